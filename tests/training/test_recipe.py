"""A recipe with everything on at once: exact however it is cut, the same bits after a kill."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from reelfit.errors import Interrupted, Restart
from reelfit.files import read_json_lines
from reelfit.memory.allocator import child_environment
from reelfit.memory.rungs import Rung
from reelfit.training.checkpoint import SUFFIX, load_checkpoint
from reelfit.training.fit import Fit
from small_training import Planted, SmallTraining, same_weights

LOSS = {"label_smoothing": 0.1, "focal": 1.5, "mixup": 0.4, "cutmix": 1.0}
ADAMW = {
    **LOSS,
    "ema": 0.9,
    "schedule": "step",
    "drop_every": 2,
    "decay_vectors": True,
    "balance": "sampling",
    "early_stopping": {"patience": 5},
}
SGD = {
    **LOSS,
    "ema": 0.7,
    "optimizer": "sgd",
    "nesterov": True,
    "schedule": "one_cycle",
    "learning_rate": 0.1,
    "early_stopping": {"metric": "roc_auc"},
}
FACTORS = {"head.weight": 3.0, "head.bias": 3.0, "frame.0.weight": 0.5}
NO_DROPOUT = {"channels": [8, 16], "dropout": 0.0}


def all_held(fit: Fit) -> dict[str, Tensor]:
    """Weights, optimizer state and averages."""
    assert fit._averages is not None
    state = fit.optimizer.state
    of_optimizer = {
        f"{name} {key}": value
        for name, parameter in fit.network.named_parameters()
        for key, value in state[parameter].items()
    }
    return fit.network.state_dict() | of_optimizer | fit._averages.tensors()


@pytest.mark.parametrize("recipe", [ADAMW, SGD], ids=["adamw", "sgd"])
@pytest.mark.parametrize("stopped_after", [1, 3, 5])
def test_with_everything_on_a_training_stopped_anywhere_ends_with_the_same_bits(
    training: Callable[..., SmallTraining], recipe: dict[str, Any], stopped_after: int
) -> None:
    whole = training("whole", **recipe).fit(rate_factors=FACTORS)
    whole.run()
    torn = training("torn", **recipe)
    first = torn.fit(rate_factors=FACTORS)
    first.should_stop = lambda: first.progress.step == stopped_after
    with pytest.raises(Interrupted):
        first.run()
    second = torn.fit(rate_factors=FACTORS)
    second.run()
    wanted, found = all_held(whole), all_held(second)
    assert wanted.keys() == found.keys()
    assert all(torch.equal(found[name], value) for name, value in wanted.items())
    for fit in (whole, second):
        fit.use_best()
    assert np.array_equal(*(fit.predict(fit.validation)[0] for fit in (whole, second)))


KILLED = """
import hashlib, json, os, signal, sys
from pathlib import Path

import torch

from small_training import SmallTraining

torch.set_num_threads(1)
recipe, kill_at = json.loads(sys.argv[2]), int(sys.argv[3])
training = SmallTraining(Path(sys.argv[1]), checkpoint_minutes=1e-9, **recipe)


def progress(done, total):
    if done == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)


fit = training.fit(on_progress=progress, rate_factors={"head.weight": 3.0})
fit.run()
fit.use_best()
told = hashlib.sha256(fit.predict(fit.validation)[0].tobytes())
for tensor in [*fit.network.state_dict().values(), *fit._averages.of.values()]:
    told.update(tensor.numpy().tobytes())
print(told.hexdigest())
"""


def test_with_everything_on_a_killed_process_is_gone_on_from_with_the_same_bits(
    tmp_path: Path,
) -> None:
    def told(name: str, kill_at: int) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-c", KILLED, str(tmp_path / name), json.dumps(ADAMW), str(kill_at)],
            cwd=Path(__file__).parent,
            env=child_environment(dict(os.environ), threads=1),
            capture_output=True,
            text=True,
            check=False,
        )

    assert told("killed", 4).returncode == -9
    gone_on, undisturbed = told("killed", 0), told("whole", 0)
    assert gone_on.returncode == 0, gone_on.stderr[-2000:]
    assert gone_on.stdout == undisturbed.stdout != ""


class InDouble(nn.Module):
    """A network that computes in double precision on the same clips."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.double()

    def forward(self, clips: Tensor) -> Tensor:
        outputs: Tensor = self.network(clips.double())
        return outputs


def gradient(some: SmallTraining, rung: Rung, *, fails: int = 0) -> tuple[list[Tensor], float]:
    """Of the first step, and its loss; ``fails`` is the pass in which memory runs out once."""
    fit = some.fit(rung=rung)
    fit.network = InDouble(fit.network)
    passes = 0

    def failing(network: nn.Module, part: Any, losses: Any) -> Tensor:
        nonlocal passes
        passes += 1
        if passes == fails:
            raise MemoryError("planted")
        return losses(network, part)

    fit.objective = Planted(fit.objective, failing)
    fit.should_stop = lambda: True
    with pytest.raises(Restart if fails else Interrupted):
        fit.run()
    found = [p.grad for p in fit.network.parameters() if p.grad is not None]
    return found, fit.progress.epoch_loss_sum


@pytest.mark.parametrize("recipe", [ADAMW, SGD], ids=["adamw", "sgd"])
@pytest.mark.parametrize(
    ("rung", "fails"),
    [
        (Rung(1), 0),
        (Rung(3), 0),
        (Rung(4, "checkpointing"), 0),
        (Rung(8), 1),
        (Rung(4), 2),
        (Rung(3), 3),
    ],
    ids=["1", "3", "checkpointed", "8 fails", "4 fails in its second", "3 fails in its last"],
)
def test_with_everything_on_the_gradient_is_that_of_the_whole_step_however_it_is_cut(
    training: Callable[..., SmallTraining], recipe: dict[str, Any], rung: Rung, fails: int
) -> None:
    whole, loss = gradient(training("whole", options=NO_DROPOUT, **recipe), Rung(8))
    some = training("cut", options=NO_DROPOUT, **recipe)
    cut, cut_loss = gradient(some, rung, fails=fails)
    assert read_json_lines(some.folder / "steps.jsonl")[0]["micro_batch"] < 8
    for found, wanted in zip(cut, whole, strict=True):
        assert found.dtype == torch.float64
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-14)
    assert sum(float(each.square().sum()) for each in whole) > 1e-3
    if not fails:
        assert cut_loss == pytest.approx(loss, rel=1e-12)


OPTIONS = [
    {"optimizer": "sgd"},
    {"optimizer": "sgd", "momentum": 0.5},
    {"optimizer": "sgd", "nesterov": True},
    {"decay_vectors": True},
    {"schedule": "linear"},
    {"schedule": "constant"},
    {"schedule": "one_cycle"},
    {"schedule": "step", "drop_every": 1},
    {"schedule": "step", "drop_every": 1, "drop_factor": 0.5},
    {"warmup_steps": 2},
    {"label_smoothing": 0.1},
    {"focal": 2.0},
    {"mixup": 0.2},
    {"cutmix": 1.0},
    {"mixup": 0.2, "cutmix": 1.0},
    {"ema": 0.9},
]


def test_each_option_gives_other_weights_or_predictions_than_any_other(
    training: Callable[..., SmallTraining],
) -> None:
    usual = {"weight_decay": 0.5, "warmup_steps": 1, "learning_rate": 0.02}
    seen: list[bytes] = []
    for number, option in enumerate([{}, *OPTIONS]):
        fit = training(str(number), **(usual | option)).fit()
        fit.run()
        seen.append(fit.predict(fit.validation)[0].tobytes())
    assert len(set(seen)) == len(OPTIONS) + 1


def test_averages_predict_and_are_validated_and_the_weights_go_on_without_them(
    training: Callable[..., SmallTraining],
) -> None:
    plain, averaged = training("plain").fit(), training("averaged", ema=0.9).fit()
    plain.run()
    averaged.run()
    assert same_weights(plain, averaged)
    file = training("averaged").folder / "checkpoints" / f"latest{SUFFIX}"
    kept = load_checkpoint(file).tensors
    predicted = averaged.predict(averaged.validation)[0]
    assert not np.allclose(predicted, plain.predict(plain.validation)[0])
    with torch.no_grad():
        for name, parameter in averaged.network.named_parameters():
            assert torch.equal(parameter, kept[f"model.{name}"])
            parameter.copy_(kept[f"average.{name}"])
    averaged._averages = None
    assert np.array_equal(averaged.predict(averaged.validation)[0], predicted)


def test_the_validation_that_is_told_is_of_the_averages(
    training: Callable[..., SmallTraining],
) -> None:
    some = training("a", ema=0.9)
    fit = some.fit()
    fit.run()
    told = [line[2] for line in some.told if line[:2] == ("validation", "loss")]
    assert told[-1] == pytest.approx(float(fit.predict(fit.validation)[1].mean()))


def test_the_best_epoch_comes_back_with_its_averages(
    training: Callable[..., SmallTraining],
) -> None:
    stopping = {"metric": "accuracy", "patience": 4}
    some = training("a", ema=0.5, epochs=4, early_stopping=stopping, keep_epochs=4)
    fit = some.fit()
    fit.run()
    assert 0 < fit.progress.best_epoch < fit.progress.epoch
    fit.use_best()
    best = load_checkpoint(
        some.folder / "checkpoints" / f"epoch_{fit.progress.best_epoch:03d}{SUFFIX}"
    ).tensors
    assert all(torch.equal(best[f"model.{n}"], p) for n, p in fit.network.named_parameters())
    assert all(torch.equal(best[f"average.{n}"], a) for n, a in fit._averages.of.items())
    assert fit.judge(fit.validation)["accuracy"] == fit.progress.best_value


def test_what_is_not_trained_stays_has_no_state_and_is_resumed(
    training: Callable[..., SmallTraining],
) -> None:
    def frozen(some: SmallTraining) -> Fit:
        fit = some.fit()
        fit.network.frame.requires_grad_(False)
        return fit

    some = training("a", ema=0.9, mixup=1.0)
    first = frozen(some)
    before = {name: p.clone() for name, p in first.network.frame.named_parameters()}
    first.should_stop = lambda: first.progress.step == 2
    with pytest.raises(Interrupted):
        first.run()
    fit = frozen(some)
    fit.run()
    for name, parameter in fit.network.frame.named_parameters():
        assert torch.equal(parameter, before[name])
        assert parameter.grad is None
        assert parameter not in fit.optimizer.state
    kept = load_checkpoint(some.folder / "checkpoints" / f"latest{SUFFIX}").tensors
    assert {name for name in kept if name.startswith("average.")} == {
        "average.head.weight", "average.head.bias",
    }  # fmt: skip
    assert {name.split(".")[1] for name in kept if name.startswith("optimizer.")} == {"6", "7"}


def test_rate_factors_reach_the_steps(training: Callable[..., SmallTraining]) -> None:
    fits = [training(name).fit(rate_factors=given) for name, given in (
        ("usual", {}), ("slow", {"head.weight": 1e-9}),
    )]  # fmt: skip
    moved = []
    for fit in fits:
        before = fit.network.head.weight.detach().clone()
        fit.run()
        moved.append(float((fit.network.head.weight.detach() - before).abs().max()))
    assert moved[1] < 1e-6 < 1e-3 < moved[0]
