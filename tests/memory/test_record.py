import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from own_process import printed_by
from reelfit.files import read_json_lines
from reelfit.memory.record import MIB, MemoryLog, host_memory

FIELDS = [
    *("timestamp", "phase", "stage", "unit", "model", "fold", "epoch", "batch_idx"),
    *("global_step", "allocated_mb", "reserved_mb", "max_allocated_mb", "total_memory_mb"),
    *("usage_percent", "free_mb", "host_rss_mb", "host_data_mb", "host_peak_mb", "budget_mb"),
    *("largest", "largest_mb"),
]
FACTS = {"stage": "train", "unit": "naive_cnn/fold_1", "pid": 1}


def test_every_line_has_every_field_and_null_where_it_does_not_apply(tmp_path: Path):
    with MemoryLog(tmp_path / "memory.jsonl", FACTS, budget_bytes=64 * 2**30) as memory:
        memory.place.update(model="naive_cnn", fold=1, epoch=2, batch_idx=3, global_step=17)
        memory.find_largest = lambda: ("batch[0]", 3 * MIB)
    first, last = read_json_lines(tmp_path / "memory.jsonl")
    assert set(FIELDS) <= set(first)
    assert list(first) == list(last)
    assert (first["phase"], last["phase"]) == ("start", "end")
    assert first["model"] is None
    assert first["global_step"] is None
    assert first["largest_mb"] is None
    assert (last["largest"], last["largest_mb"]) == ("batch[0]", 3.0)
    assert (last["model"], last["batch_idx"], last["global_step"]) == ("naive_cnn", 3, 17)
    assert last["allocated_mb"] is None
    assert last["budget_mb"] == last["total_memory_mb"] == 65536.0
    assert last["usage_percent"] == pytest.approx(100 * last["host_rss_mb"] / 65536, abs=0.01)
    assert last["free_mb"] == pytest.approx(65536 - last["host_rss_mb"], abs=0.02)


def test_the_documentation_tells_every_field():
    told = (Path(__file__).parents[2] / "docs" / "memory.md").read_text()
    assert [name for name in FIELDS if f"`{name}`" not in told] == []


def test_without_a_budget_the_figures_are_of_the_machine(tmp_path: Path):
    with MemoryLog(tmp_path / "memory.jsonl", FACTS):
        pass
    last = read_json_lines(tmp_path / "memory.jsonl")[-1]
    assert last["budget_mb"] is None
    assert last["total_memory_mb"] == pytest.approx(psutil.virtual_memory().total / MIB, abs=0.01)


def test_what_the_kernel_tells_agrees_with_what_others_read():
    rss_bytes = psutil.Process().memory_info().rss
    assert host_memory().rss_bytes == pytest.approx(rss_bytes, rel=0.02)
    assert host_memory().peak_bytes >= rss_bytes


PEAKS = """
import json
from reelfit.memory.record import host_memory, peak_since_restart, restart_peak

def hold(mebibytes):
    block = bytearray(mebibytes << 20)
    block[::4096] = b"x" * len(block[::4096])

base = host_memory().rss_bytes
seen = []
for mebibytes in (200, 50, 100):
    restart_peak()
    hold(mebibytes)
    seen.append((peak_since_restart() - base) / 2**20)
print(json.dumps([seen, (host_memory().peak_bytes - base) / 2**20]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="no other kernel counts anew")
def test_the_peak_of_each_step_is_told_and_the_highest_of_all_is_kept():
    steps, highest = printed_by(PEAKS)
    assert steps == pytest.approx([200, 50, 100], abs=8)
    assert highest == pytest.approx(200, abs=8)


PRESSED = """
import json, sys
from pathlib import Path
from reelfit.memory.record import MemoryLog, host_memory

def hold(mebibytes):
    block = bytearray(mebibytes << 20)
    block[::4096] = b"x" * len(block[::4096])

said = []
base = host_memory().rss_bytes
memory = MemoryLog(Path(sys.argv[1]), {}, budget_bytes=base + (400 << 20), warn=said.append)
answers = [memory.pressed()]
for mebibytes in (100, 395, 100, 395):
    hold(mebibytes)
    answers.append(memory.pressed())
memory.write("end")
print(json.dumps([answers, said]))
"""


def test_a_peak_between_two_questions_is_told_once_and_warned_of_once(tmp_path: Path):
    answers, said = printed_by(PRESSED, tmp_path / "memory.jsonl")
    assert answers == [False, False, True, False, True]
    assert len(said) == 1
    assert "of its" in said[0]


def test_without_a_budget_nothing_is_ever_pressed(tmp_path: Path):
    assert not MemoryLog(tmp_path / "memory.jsonl", FACTS).pressed()


def test_measuring_loads_no_torch_and_takes_less_than_a_millisecond():
    loaded = "import sys, reelfit.memory.record; print(int('torch' in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", loaded], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "0"
    took = []
    for _ in range(50):
        began = time.perf_counter()
        host_memory()
        took.append(time.perf_counter() - began)
    assert sorted(took)[25] < 1e-3
