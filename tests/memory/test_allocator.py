"""What a child is told before it starts, and that it acts on it."""

import json
import os
import subprocess
import sys

import pytest

from reelfit.memory import allocator
from reelfit.memory.allocator import child_environment, child_variables

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="variables of glibc")
FREED = """
import json, torch
from reelfit.memory.record import host_memory
torch.ones(2**21)  # once one such block was freed, glibc keeps the next ones, if it is let
before = host_memory().rss_bytes
tensors = [torch.ones(2**16) for _ in range(512)]
held = host_memory().rss_bytes - before
kept = tensors[-1]
del tensors
print(json.dumps([held, host_memory().rss_bytes - before]))
"""


def child_says(text: str, environment: dict[str, str]) -> list[int]:
    told = subprocess.run(
        [sys.executable, "-c", text], env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    said: list[int] = json.loads(told.stdout)
    return said


def test_what_the_user_set_stands_and_is_told_as_theirs():
    theirs = {"OMP_NUM_THREADS": "7", "PATH": "/bin"}
    told = {v.name: v for v in child_variables(theirs, threads=2)}
    assert (told["OMP_NUM_THREADS"].value, told["OMP_NUM_THREADS"].set_by) == ("7", "user")
    assert (told["POLARS_MAX_THREADS"].value, told["POLARS_MAX_THREADS"].set_by) == ("2", "reelfit")
    whole = child_environment(theirs, threads=2)
    assert whole["OMP_NUM_THREADS"] == "7"
    assert whole["PATH"] == "/bin"
    assert all(v.why for v in told.values())


def test_a_gpu_allocator_is_set_where_a_gpu_is_and_under_any_of_its_names_it_is_the_users(
    monkeypatch: pytest.MonkeyPatch, tmp_path
):
    monkeypatch.setattr(allocator, "_GPU_DEVICES", (tmp_path / "nvidiactl",))
    assert not [name for name in child_environment({}, threads=1) if "ALLOC_CONF" in name]
    (tmp_path / "nvidiactl").touch()
    ours = child_environment({}, threads=1)
    assert ours["PYTORCH_CUDA_ALLOC_CONF"] == "expandable_segments:True"
    theirs = child_environment({"PYTORCH_ALLOC_CONF": "max_split_size_mb:64"}, threads=1)
    assert "PYTORCH_CUDA_ALLOC_CONF" not in theirs
    assert theirs["PYTORCH_ALLOC_CONF"] == "max_split_size_mb:64"


@LINUX
def test_in_a_child_freed_tensors_are_back_with_the_system():
    held, left = child_says(FREED, child_environment(os.environ, threads=1))
    assert held > 120 * 2**20
    assert left < 8 * 2**20


@LINUX
def test_a_child_that_decodes_keeps_what_it_frees_for_the_next_frame():
    kept = child_environment({}, threads=1, trains=False)
    assert "MALLOC_MMAP_THRESHOLD_" not in kept
    assert kept["MALLOC_ARENA_MAX"] == "1"


def test_the_threads_of_a_child_are_those_it_was_given():
    bare = {name: value for name, value in os.environ.items() if not name.endswith("_THREADS")}
    text = "import torch, polars; print([torch.get_num_threads(), polars.thread_pool_size()])"
    assert child_says(text, child_environment(bare, threads=1)) == [1, 1]


HOLES = """
import sys
import torch
from reelfit.memory.allocator import map_large_blocks
from reelfit.memory.record import host_memory

if sys.argv[1] == "mapped":
    map_large_blocks()
large = torch.ones(16 * 2**20, dtype=torch.uint8)
del large  # from here on, glibc by itself keeps blocks of up to this size in its heap
blocks = [torch.ones(2**18, dtype=torch.uint8) for _ in range(200)]
before = host_memory().data_bytes
del blocks[::2]
print(before - host_memory().data_bytes)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's own")
def test_blocks_that_are_freed_among_others_are_back_with_the_system_at_once():
    freed = {}
    for way in ("mapped", "as it is"):
        done = subprocess.run(
            [sys.executable, "-c", HOLES, way], env={"PATH": ""}, check=True, stdout=subprocess.PIPE
        )
        freed[way] = int(done.stdout)
    assert freed["as it is"] < 2**20
    assert freed["mapped"] > 100 * 2**18
