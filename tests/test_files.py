import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reelfit.errors import RunError
from reelfit.files import (
    append_json_line,
    digest,
    read_json,
    read_json_lines,
    require_room,
    write_json,
    write_text,
    write_whole,
)


def test_a_failed_write_leaves_the_old_file_whole_and_nothing_beside_it(tmp_path):
    path = tmp_path / "table"
    write_text(path, "old")

    def fail(beside):
        beside.write_text("half")
        raise KeyError

    with pytest.raises(KeyError):
        write_whole(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_an_error_that_says_what_to_do(tmp_path):
    write_text(tmp_path / "kept", "old")

    def fill(beside):
        with Path("/dev/full").open("wb", buffering=0) as full:
            full.write(b"x")

    with pytest.raises(RunError, match=r"Make room, then give the same command again"):
        write_whole(tmp_path / "kept", fill)
    assert (tmp_path / "kept").read_text() == "old"


def test_room_that_will_be_needed_is_looked_for_beforehand(tmp_path):
    require_room(tmp_path, 1, what="one byte")
    with pytest.raises(RunError, match=r"the checkpoints need 1,048,576,000,000 MiB and the disk"):
        require_room(tmp_path, 10**6 * 2**40, what="the checkpoints")


def test_a_writer_killed_at_any_moment_leaves_a_whole_file(tmp_path):
    path = tmp_path / "value.json"
    write_json(path, 0)
    script = (
        "import sys, itertools; from pathlib import Path; from reelfit.files import write_json\n"
        "print('ready', flush=True)\n"
        "for i in itertools.count(): write_json(Path(sys.argv[1]), [i] * 20000)"
    )
    for delay in (0.01, 0.03, 0.05, 0.08):
        with subprocess.Popen(
            [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout.readline() == b"ready\n"
            with pytest.raises(subprocess.TimeoutExpired):
                writer.wait(delay)
            os.kill(writer.pid, signal.SIGKILL)
        value = read_json(path)
        assert value == 0 or (len(value) == 20000 and len(set(value)) == 1)


def test_lines_from_many_processes_are_all_there_and_a_torn_one_is_passed_over(tmp_path):
    path = tmp_path / "events.jsonl"
    script = (
        "import sys; from pathlib import Path; from reelfit.files import append_json_line\n"
        "for i in range(300): append_json_line(Path(sys.argv[1]), {'who': sys.argv[2], 'i': i})"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", script, str(path), str(k)]) for k in range(3)
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    with path.open("ab") as torn:
        torn.write(b'{"who": "torn", "i": ')
    lines = read_json_lines(path)
    for k in range(3):
        assert [line["i"] for line in lines if line["who"] == str(k)] == list(range(300))
    assert len(lines) == 900
    append_json_line(path, {"who": "later"})
    assert read_json_lines(path)[-1] == {"who": "later"}


def test_a_digest_depends_on_the_value_and_not_on_the_order_of_keys():
    assert digest({"a": 1, "b": [1.5, None]}) == digest({"b": [1.5, None], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
