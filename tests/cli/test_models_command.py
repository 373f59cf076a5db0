"""What ``reelfit models`` foretells is what a real step needs."""

import json
import subprocess
import sys

import pytest

from own_process import printed_by
from reelfit.cli.display import choose_voice
from reelfit.cli.models import caption, figures_of, known_models, study_of, table_of
from reelfit.memory.budget import parse_size
from reelfit.models import MODELS
from reelfit.models.model import Network
from reelfit.pipeline import Display

BUDGET = "700MiB"
STEP = """
import json, sys, torch
from reelfit.errors import OutOfMemoryError
from reelfit.memory.limits import limit_host_memory
from reelfit.models import make_model
from reelfit.stages.profile import load_as_training_does
from reelfit.tasks import TASKS
from reelfit.training.mixing import as_input
from reelfit.training.optimizer import ADAMW, make_optimizer
from reelfit.training.step import ExactStep

name, samples, budget = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(1)
load_as_training_does()
limit_host_memory(budget)
network, task = make_model(name, {}).build(num_outputs=2).train(), TASKS["classify"](2, None)
optimizer = make_optimizer(network, learning_rate=1e-3, weight_decay=0.01, descent=ADAMW)

def losses(network, part):
    inputs, targets = as_input(part, torch.device("cpu"))
    return task.losses(network(inputs), targets)

step = ExactStep(network, optimizer, losses, effective_batch=samples, recover=False)
try:
    for _ in range(3):
        clips = torch.zeros(samples, 8, 3, 64, 64, dtype=torch.uint8)
        step((clips, torch.zeros(samples, dtype=int)))
    print(json.dumps(True))
except OutOfMemoryError:
    print(json.dumps(False))
"""


@pytest.fixture
def silent() -> Display:
    return choose_voice(quiet=True, verbose=False, as_json=False).display()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["naive_cnn", "r2plus1d"])
def test_the_largest_micro_batch_fits_its_budget_and_twice_as_many_do_not(name, silent):
    study = study_of([name], None, [f"memory.host={BUDGET}", "clips.size=64"])
    (row,) = figures_of(study, silent)
    samples = row["micro_batch"]["plain"]
    assert row["device"] == "cpu"
    assert printed_by(STEP, name, samples, parse_size(BUDGET)) is True
    assert printed_by(STEP, name, 2 * samples, parse_size(BUDGET)) is False


@pytest.mark.slow
def test_every_model_is_listed_and_a_network_with_its_parameters(silent):
    study = study_of(known_models(), None, ["memory.gpu=8GiB"])
    rows = figures_of(study, silent)
    assert [row["model"] for row in rows] == list(MODELS)
    for row in rows:
        assert row["what"]
        assert "error" not in row
        kind = MODELS[row["model"]]
        assert ("micro_batch" in row) == issubclass(kind, Network)
        if issubclass(kind, Network):
            built = kind().build(num_outputs=2)
            assert row["parameters"] == sum(p.numel() for p in built.parameters())
            assert row["micro_batch"]["plain"] > 0
    assert "on a GPU with 8.0 GiB" in caption(study, rows)
    assert [line["model"] for line in table_of(rows)] == list(MODELS)


def test_twice_the_frames_hold_twice_the_activations_and_about_half_as_many_samples_fit(
    silent, tmp_path
):
    file = tmp_path / "study.yaml"
    rows = []
    for frames in (4, 8):
        file.write_text(
            "videos: {folder: none}\nmodels: [r2plus1d]\nmemory: {gpu: 1GiB}\n"
            f"clips: {{size: 64, frames: {frames}}}\n"
        )
        rows += figures_of(study_of(["naive_cnn"], file, []), silent, keep=True)
    assert len(list((tmp_path / "runs").glob("**/profiles/*.json"))) == 2
    one, two = (row["activations_bytes"] for row in rows)
    assert two == pytest.approx(2 * one, rel=0.01)
    one, two = (row["micro_batch"]["plain"] for row in rows)
    assert one == pytest.approx(2 * two, rel=0.2)


def test_a_name_or_a_setting_that_is_none_is_refused_with_the_nearest():
    for arguments, nearest in [
        (["naive_cn"], "did you mean naive_cnn?"),
        (["naive_cnn", "--set", "clips.sze=3"], "did you mean clips.size?"),
    ]:
        done = subprocess.run(
            [sys.executable, "-m", "reelfit", "models", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert nearest in done.stderr


def test_rows_come_as_json_with_nothing_beside_them():
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "reelfit",
            "models",
            "naive_cnn",
            "--json",
            "--set",
            "clips.size=16",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    (row,) = map(json.loads, done.stdout.splitlines())
    assert row["micro_batch"]["plain"] > 0
    assert done.stderr == ""
