"""A run is found again by its work, and one process at a time holds it."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest

from reelfit import runs
from reelfit.errors import RunError
from reelfit.files import write_json
from reelfit.runs import Run, find_run, held, holder_of, start_run
from reelfit.study import Study, study_hash
from reelfit.study_yaml import read_study

FILMS = "1" * 64  # digests of listings
OTHERS = "2" * 64


def study_in(folder: Path, **changes) -> Study:
    wanted = {"videos": {"table": "videos.csv"}, "models": ["naive_cnn"], "runs": folder / "runs"}
    return Study.model_validate(wanted | changes)


def begun(study: Study, *, digest: str = FILMS, second: int, **facts) -> Run:
    """A run as if it had begun at that second of the first minute of 2030."""
    run = start_run(study, listing_digest=digest, facts=facts)
    named = run.folder.with_name(f"run_20300101_0000{second:02}_{study_hash(study)[:8]}")
    return Run(run.folder.rename(named))


def test_the_newest_run_of_the_same_work_is_found(tmp_path):
    study = study_in(tmp_path)
    assert find_run(study, listing_digest=FILMS) is None
    begun(study, second=1)
    newest = begun(study, second=30)
    begun(study, second=2)
    begun(study, second=40, digest=OTHERS)
    begun(study_in(tmp_path, seed=1), second=50)
    assert find_run(study, listing_digest=FILMS) == newest
    assert find_run(study, listing_digest="3" * 64) is None


def test_a_run_is_found_again_under_settings_that_change_no_result(tmp_path):
    run = begun(study_in(tmp_path), second=1)
    again = study_in(tmp_path, memory={"host": "3GiB"}, launch={"workers": 1})
    assert find_run(again, listing_digest=FILMS) == run
    judged = study_in(tmp_path, evaluate={"bootstrap": 200, "permutations": 5})
    assert find_run(judged, listing_digest=FILMS) == run
    assert find_run(study_in(tmp_path, folds={"count": 3}), listing_digest=FILMS) is None
    assert find_run(study_in(tmp_path, name="other"), listing_digest=FILMS) is None


def test_a_finished_run_is_found_and_says_so(tmp_path):
    study = study_in(tmp_path)
    run = begun(study, second=1)
    assert not run.finished
    write_json(run.state / "finished.json", {})
    found = find_run(study, listing_digest=FILMS)
    assert found == run
    assert found.finished


def test_a_folder_that_a_killed_start_left_is_no_run(tmp_path):
    study = study_in(tmp_path)
    whole = begun(study, second=1)
    begun(study, second=2).file("run.json").unlink()
    assert find_run(study, listing_digest=FILMS) == whole


def test_a_run_of_another_study_whose_hash_begins_alike_is_not_taken(tmp_path):
    study = study_in(tmp_path)
    run = begun(study, second=1)
    alike = study_hash(study)[:8] + "0" * 56
    write_json(run.file("run.json"), run.facts() | {"study_hash": alike})
    assert find_run(study, listing_digest=FILMS) is None


def test_a_run_says_all_that_it_was_begun_with(tmp_path):
    study = study_in(tmp_path, seed=4)
    run = start_run(study, listing_digest=FILMS, facts={"classes": ["a", "b"], "threads": 2})
    assert run.facts() == {
        "run_id": run.folder.name,
        "study_hash": study_hash(study),
        "listing_digest": FILMS,
        "classes": ["a", "b"],
        "threads": 2,
    }
    assert study_hash(read_study(run.study_file, environment={})) == study_hash(study)
    assert runs.environment()["packages"]["torch"] == version("torch")


def test_a_torn_install_of_a_package_stops_no_run(tmp_path, monkeypatch):
    (tmp_path / "torn-1.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert "torch" in runs.environment()["packages"]


class LastSecond(datetime):
    """A clock that stands in the last second of a day."""

    @classmethod
    def now(cls, tz=None):
        return cls(2030, 1, 31, 23, 59, 59, tzinfo=UTC)


def test_of_runs_begun_in_one_second_the_last_is_the_newest(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "datetime", LastSecond)
    study = study_in(tmp_path)
    for _ in range(3):
        run = start_run(study, listing_digest=FILMS, facts={})
        assert find_run(study, listing_digest=FILMS) == run


def test_runs_begun_at_once_have_folders_of_their_own(tmp_path):
    study = study_in(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        starts = [pool.submit(start_run, study, listing_digest=FILMS, facts={}) for _ in range(8)]
    assert len({future.result().folder for future in starts}) == 8


HOLD = """
import sys
from pathlib import Path
from reelfit.runs import Run, held

with held(Run(Path(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_holder_is_refused_and_told_which_process_holds_the_run(tmp_path):
    run = Run(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as first:
        assert first.stdout.readline() == b"held\n"
        said = rf"held by process {first.pid} on .*: wait for it"
        with pytest.raises(RunError, match=said), held(run):
            pytest.fail("two processes hold one run")
        assert f"process {first.pid} " in holder_of(run)
        first.kill()
        first.wait()
    assert run.file(".lock").exists()  # as the killed process left it
    assert holder_of(run) is None
    with held(run):
        assert f"process {os.getpid()} " in holder_of(run)
    assert holder_of(run) is None


def test_a_run_is_let_go_of_after_an_error(tmp_path):
    run = Run(tmp_path)
    with pytest.raises(KeyError), held(run):
        raise KeyError
    assert holder_of(run) is None


def test_asking_who_holds_a_run_changes_nothing_in_it(tmp_path):
    assert holder_of(Run(tmp_path)) is None
    assert list(tmp_path.iterdir()) == []
