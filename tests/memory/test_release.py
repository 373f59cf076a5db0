import sys

import pytest

from own_process import printed_by
from reelfit.memory.release import collect_garbage
from reelfit.study_yaml import explain

FREED = """
import json, sys
from reelfit.memory.record import host_memory
from reelfit.memory.release import ReleaseSettings, release

asked = ReleaseSettings.model_validate(json.loads(sys.argv[1]))
freed_mb = []
for step in range(1, 5):
    blocks = [bytes(50_000) for _ in range(2_000)]
    last = bytes(50_000)  # above the others, so that glibc keeps what lies below
    del blocks
    before = host_memory().rss_bytes
    release(asked, steps=step, steps_per_epoch=4)
    freed_mb.append((before - host_memory().rss_bytes) / 2**20)
print(json.dumps(freed_mb))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone trims")
@pytest.mark.parametrize(
    ("asked", "released_at"),
    [
        ("{}", []),
        ('{"after_epoch": true}', [4]),
        ('{"every_batches": 2}', [2, 4]),
        ('{"every_batches": 3, "after_epoch": true}', [3, 4]),
    ],
)
def test_free_blocks_go_back_when_it_is_asked_for_and_only_then(asked: str, released_at: list[int]):
    freed_mb = printed_by(FREED, asked)
    assert [step for step, mb in enumerate(freed_mb, 1) if mb > 80] == released_at
    assert all(mb < 1 for step, mb in enumerate(freed_mb, 1) if step not in released_at)


def test_cycles_are_collected():
    class Leaf:
        pass

    collect_garbage()
    first, second = Leaf(), Leaf()
    first.other, second.other = second, first
    del first, second
    assert collect_garbage() >= 2


def test_the_setting_explains_itself():
    assert "give free blocks back" in explain("train.release.after_epoch")
