"""A child that the kernel itself kills, in a control group with little memory."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reelfit.files import read_json_lines
from reelfit.report.history import decisions
from reelfit.runs import Run

HERE = Path(__file__).parent
LIMIT = 300 * 2**20
PARENT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from dying_child import Dying
from reelfit.launch.local import LocalLauncher
from reelfit.runs import Run
from reelfit.stages.stage import Unit
from reelfit.study_yaml import read_study

folder = Path(sys.argv[2])
sys.executable = str(folder / "python")
study = read_study(folder / "study.yaml", environment={})
launcher = LocalLauncher(
    run_folder=Run(folder), study=study, workers=1, threads=1, host_bytes=2**30
)
unit = Unit("dying", "a", 1, {"ends": [{"by": "the kernel"}]})
launcher.run([unit], key="k", stage=Dying())
"""


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group below this one, where the system lets us make one."""
    lines = Path("/proc/self/cgroup").read_text().splitlines() if os.name == "posix" else []
    places = {kind: path for _, kind, path in (line.split(":", 2) for line in lines)}
    if "memory" in places:
        above, bound = Path("/sys/fs/cgroup/memory") / places["memory"][1:], "memory.limit_in_bytes"
    else:
        above, bound = Path("/sys/fs/cgroup") / places.get("", "/")[1:], "memory.max"
    group = above / f"reelfit_test_{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        (group / bound).write_text(str(LIMIT))
        yield group
    except OSError as error:
        pytest.skip(f"no control group with a limit can be made here: {error}")
    finally:
        group.rmdir()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="control groups are Linux's")
def test_a_child_that_the_kernel_killed_for_memory_is_known_as_such(
    small_group: Path, tmp_path: Path
):
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{HERE / "dying_child.py"}"\n')
    program.chmod(0o755)
    (tmp_path / "study.yaml").write_text("videos: {folder: clips}\nmodels: [naive_cnn]\n")
    enter = f'echo $$ > "{small_group / "cgroup.procs"}" && exec "$@"'
    subprocess.run(
        ["sh", "-c", enter, "sh", sys.executable, "-c", PARENT, str(HERE), str(tmp_path)],
        check=True,
        timeout=120,
    )
    rows = read_json_lines(Run(tmp_path).file("events.jsonl"))
    died, done = (row for row in rows if row["event"] == "unit_ends")
    assert (died["ended_by"], died["kernel_kills"], died["short_of_memory"]) == ("SIGKILL", 1, True)
    assert died["then"] == "smaller plan"
    assert 100 < died["held_mb"] < LIMIT / 2**20
    assert done["outcome"] == "done"
    (told,) = decisions([died])
    assert "the kernel killed it because memory was short" in told
