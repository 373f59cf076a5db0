"""Training goes on exactly where it was, sees every sample, and gives none up unasked."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from reelfit.errors import Interrupted, OutOfMemoryError, Restart
from reelfit.files import read_json_lines
from reelfit.memory.allocator import child_environment
from reelfit.memory.rungs import Rung, techniques_of
from reelfit.training.checkpoint import SUFFIX
from small_training import Planted, same_weights


def test_an_epoch_sees_every_sample_once_by_its_own_log(training):
    done = training("a", epochs=3)
    done.fit().run()
    lines = read_json_lines(done.folder / "steps.jsonl")
    assert [line["step"] for line in lines] == list(range(9))
    seen = Counter()
    for line in lines:
        seen[line["epoch"]] += line["samples"]
    assert seen == {0: 21, 1: 21, 2: 21}


@pytest.mark.parametrize("stopped_after", [1, 2, 3, 5])
def test_a_training_stopped_anywhere_ends_with_the_same_bits(training, stopped_after):
    whole = training("whole").fit()
    whole.run()
    torn = training("torn")
    first = torn.fit()
    first.should_stop = lambda: first.progress.step == stopped_after
    with pytest.raises(Interrupted):
        first.run()
    second = torn.fit()
    second.run()
    assert same_weights(whole, second)
    assert torn.named("resumed")[0]["step"] == stopped_after
    assert np.array_equal(*(fit.predict(fit.validation)[0] for fit in (whole, second)))


def test_a_replay_cuts_each_step_as_it_was_cut(training):
    """As after a kill: the checkpoint is old, the journal knows how later steps were cut."""
    cuts = {0: Rung(8), 1: Rung(3), 2: Rung(2, "checkpointing"), 3: Rung(5), 4: Rung(1), 5: Rung(8)}
    whole = training("whole")
    for step, rung in cuts.items():
        whole.fit().journal.write(step, epoch=step // 3, samples=8, rung=rung)
    first = whole.fit()
    first.run()
    lines = read_json_lines(whole.folder / "steps.jsonl")[len(cuts) :]
    assert {line["step"]: Rung(line["micro_batch"], line["technique"]) for line in lines} == cuts
    for checkpoint in (whole.folder / "checkpoints").glob(f"*{SUFFIX}"):
        if checkpoint.stem != "epoch_001":
            checkpoint.unlink()
    again = whole.fit()
    again.run()
    assert whole.named("resumed")[-1]["step"] == 3
    assert same_weights(first, again)
    uncut = training("uncut").fit()
    uncut.run()
    for one, other in zip(first.network.parameters(), uncut.network.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_what_was_learnt_stays_and_a_smaller_plan_is_taken(training):
    some = training("a")
    for planned, wanted in ((4, 4), (8, 4), (2, 2), (8, 2)):
        fit = some.fit(rung=Rung(planned))
        fit.should_stop = lambda: True
        with pytest.raises(Interrupted):
            fit.run()
        assert read_json_lines(some.folder / "steps.jsonl")[-1]["micro_batch"] == wanted


@pytest.mark.parametrize(("shortages", "wanted"), [(0, [8, 8]), (1, [8, 4]), (2, [2, 2])])
def test_a_death_for_want_of_memory_takes_a_rung_less_and_a_second_one_the_old_cuts_as_well(
    training, shortages, wanted
):
    """The first step was done and is known, the checkpoint of it is lost, the second is new."""
    some = training("a", epochs=1, effective_batch=11)
    some.fit().journal.write(0, epoch=0, samples=11, rung=Rung(8))
    some.fit(rung=Rung(8), shortages=shortages).run()
    lines = read_json_lines(some.folder / "steps.jsonl")[1:]
    assert [line["micro_batch"] for line in lines] == wanted


def test_a_watch_that_finds_memory_nearly_full_cuts_the_next_step_finer(training):
    full = iter([False, True, False, True, False, False])
    watched = training("a")
    watched.fit(nearly_full=lambda: next(full)).run()
    lines = read_json_lines(watched.folder / "steps.jsonl")
    assert [line["micro_batch"] for line in lines] == [8, 4, 4, 2, 2, 2]
    assert [e["micro_batch"] for e in watched.named("memory_nearly_full")] == [4, 2]
    assert sum(line["samples"] for line in lines) == 2 * 21


def test_after_a_process_with_room_for_no_rung_the_next_one_begins_with_the_last(training):
    some = training("a", epochs=1)
    unlucky = some.fit()
    unlucky.objective = Planted(unlucky.objective, no_memory)
    with pytest.raises(Restart, match="planted"):
        unlucky.run()
    some.fit().run()
    lines = read_json_lines(some.folder / "steps.jsonl")
    assert {line["micro_batch"] for line in lines} == {1}
    assert sum(line["samples"] for line in lines) == 21


def test_too_little_memory_for_the_last_rung_of_a_fresh_process_is_an_error(training):
    some = training("a", epochs=1)
    fit = some.fit(rung=Rung(1, techniques_of(some.fit().network, torch.device("cpu"))[-1]))
    fit.objective = Planted(fit.objective, no_memory)
    with pytest.raises(OutOfMemoryError, match="one sample does not fit"):
        fit.run()


def no_memory(*_):
    raise MemoryError("planted")


SHORT = """
import json, resource, sys
from pathlib import Path

import torch

from reelfit.errors import Restart
from reelfit.memory.limits import limit_host_memory
from reelfit.memory.record import host_memory
from small_training import SmallTraining

torch.set_num_threads(1)
training = SmallTraining(
    Path(sys.argv[1]), count=11, size=160, model="r2plus1d", options={"width": 32, "blocks": [1]},
    epochs=1, effective_batch=8, on_out_of_memory=sys.argv[2],
)
torch.nn.Conv3d(3, 8, 3)(torch.zeros(1, 3, 4, 8, 8)).sum().backward()  # libraries take their own
limit_host_memory(host_memory().rss_bytes + 200 * 2**20)
starts = 0
while True:
    starts += 1
    fit = training.fit()
    try:
        fit.run()
        break
    except Restart:
        continue
predicted = fit.predict(fit.validation)[0]
print(json.dumps({"events": training.events, "starts": starts, "predicted": len(predicted),
                  "samples": [line[2] for line in training.told if line[1] == "loss"]}))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is Linux's own")
@pytest.mark.parametrize("way", ["retry", "skip"])
def test_a_real_shortage_gives_samples_up_only_where_the_study_asks(tmp_path, way):
    told = subprocess.run(
        [sys.executable, "-c", SHORT, str(tmp_path), way],
        cwd=Path(__file__).parent,
        env={"MALLOC_ARENA_MAX": "1", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr[-3000:]
    lines = read_json_lines(tmp_path / "steps.jsonl")
    last = {line["step"]: line for line in lines}.values()
    seen, given_up = (sum(line.get(key, 0) for line in last) for key in ("samples", "skipped"))
    events = json.loads(told.stdout)["events"]
    if way == "retry":
        assert (seen, given_up) == (11, 0)
        assert lines[0]["micro_batch"] < 8
        resumed = [event for event in events if event["event"] == "resumed"]
        assert resumed[0] == {"event": "resumed", "epoch": 0, "step": 0}
        assert json.loads(told.stdout)["starts"] == len(resumed) + 1
    else:
        assert seen + given_up == 11
        assert given_up >= 8
        assert '"samples_skipped"' in told.stdout


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is Linux's own")
def test_a_training_goes_on_under_the_limit_that_it_was_stopped_under(tmp_path):
    """The weights are 66 MB, so the file of a checkpoint is 198 MB: it is not to count as well."""

    def told(way: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "large_weights.py", str(tmp_path), way, "350"],
            cwd=Path(__file__).parent,
            env=child_environment({"PATH": ""}, threads=1),
            capture_output=True,
            text=True,
            check=False,
        )

    stopped = told("stop")
    assert stopped.stderr.endswith("Interrupted\n"), stopped.stderr[-2000:]
    gone_on = told("go on")
    assert gone_on.returncode == 0, gone_on.stderr[-2000:]
    assert (stopped.stdout, gone_on.stdout) == ("1\n", "2\n")
