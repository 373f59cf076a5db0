"""What the kernel says of another process, and of those that it killed."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reelfit.memory.kernel import has_hard_limit, kernel_kills, resident_of
from reelfit.memory.limits import hard_limit_holds
from reelfit.memory.record import host_memory

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
HOLD = "import sys; held = b'x' * (64 * 2**20); print('holds', flush=True); sys.stdin.read()"


def test_another_process_is_seen_while_it_lives_and_not_afterwards():
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"holds\n"
        held = resident_of(other.pid)
        assert held is not None
        assert 64 * 2**20 < held.rss_bytes < 128 * 2**20
        assert held.peak_bytes >= held.rss_bytes
        other.kill()
        while resident_of(other.pid) is not None:  # its exit takes a moment
            time.sleep(0.01)
    assert resident_of(other.pid) is None
    assert not has_hard_limit(other.pid)


@LINUX
def test_a_limit_of_another_process_is_seen():
    import resource

    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        assert not has_hard_limit(other.pid)
        resource.prlimit(other.pid, resource.RLIMIT_DATA, (2**30, resource.RLIM_INFINITY))
        assert has_hard_limit(other.pid)
        other.kill()


@LINUX
def test_trying_out_a_hard_limit_leaves_none_behind():
    before = host_memory().rss_bytes
    assert hard_limit_holds()
    assert not has_hard_limit(os.getpid())
    assert len(bytearray(128 * 2**20)) == 128 * 2**20
    assert host_memory().rss_bytes - before < 32 * 2**20


def system(folder: Path, *, cgroup: str, **counters: str) -> dict[str, Path]:
    """The kernel's files as they stand on one kind of system."""
    (folder / "proc" / "self").mkdir(parents=True)
    (folder / "proc" / "self" / "cgroup").write_text(cgroup)
    (folder / "proc" / "vmstat").write_text("nr_free_pages 7\noom_kill 5\n")
    for name, text in counters.items():
        path = folder / "cgroup" / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return {"processes": folder / "proc", "groups": folder / "cgroup"}


V2 = "low 0\nhigh 0\nmax 9\noom 2\noom_kill {}\n"
V1 = "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"


def test_the_counter_of_this_group_goes_before_that_of_the_machine(tmp_path: Path):
    plain = system(tmp_path / "plain", cgroup="0::/\n")
    assert kernel_kills(**plain) == 5
    job = system(
        tmp_path / "job", cgroup="0::/job/step\n", job__step__memory_dot_events=V2.format(1)
    )
    assert kernel_kills(**job) == 1
    container = system(tmp_path / "in", cgroup="0::/../x\n", memory_dot_events=V2.format(2))
    assert kernel_kills(**container) == 2
    older = system(
        tmp_path / "older",
        cgroup="4:memory:/job\n0::/\n",
        memory__job__memory_dot_oom_control=V1.format(3),
    )
    assert kernel_kills(**older) == 3


def test_a_system_that_counts_nothing_says_so(tmp_path: Path):
    assert kernel_kills(processes=tmp_path, groups=tmp_path) is None
