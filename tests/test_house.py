"""The house rules that no linter knows."""

import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parents[1]
BANNED = {"utils", "helpers", "misc", "common", "base", "core", "manager", "handler"}


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=HERE,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return [HERE / name for name in listed.split("\0") if name and (HERE / name).exists()]


def test_no_file_has_a_name_that_says_nothing():
    words = {word for path in tracked_files() for word in path.stem.lower().split("_")}
    assert not words & BANNED


def test_no_two_files_of_tests_share_a_name():
    """Pytest imports them by their names alone, and stops where two are the same."""
    names = Counter(path.name for path in tracked_files() if path.name.startswith("test_"))
    assert [name for name, count in names.items() if count > 1] == []


def test_no_file_is_larger_than_a_mebibyte():
    assert [path for path in tracked_files() if path.stat().st_size > 2**20] == []


def test_the_lock_names_no_host_and_no_cuda_package():
    lock = (HERE / "requirements.lock").read_text()
    assert "://" not in lock
    assert "nvidia-" not in lock
    assert lock.count("--hash=") > lock.count("==")


def test_the_wheel_has_what_the_report_and_the_types_need(tmp_path: Path):
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check"),
            *("--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(HERE)),
        ],
        check=True,
    )
    (wheel,) = tmp_path.glob("reelfit-*.whl")
    with zipfile.ZipFile(wheel) as opened:
        packed = {name for name in opened.namelist() if name.startswith("reelfit/")}
    source = HERE / "src"
    tracked = {
        path.relative_to(source).as_posix() for path in tracked_files() if source in path.parents
    }
    assert packed == tracked
    assert {"reelfit/py.typed", "reelfit/report/page.html"} <= packed
