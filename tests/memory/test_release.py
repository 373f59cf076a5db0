import gc
import sys

import pytest

from own_process import printed_by
from reelfit.memory.release import collect_garbage, empty_device_cache

TRIM = """
import json
from reelfit.memory.record import host_memory
from reelfit.memory.release import give_back_free_blocks

blocks = [bytes(50_000) for _ in range(2_000)]
last = bytes(50_000)
base = host_memory().rss_bytes
del blocks
freed = host_memory().rss_bytes
gave = give_back_free_blocks()
print(json.dumps([gave, (freed - host_memory().rss_bytes) / 2**20]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone trims")
def test_a_trim_returns_what_glibc_kept():
    gave, freed_mb = printed_by(TRIM)
    assert gave
    assert freed_mb > 80


def test_garbage_of_three_generations_is_found():
    class Leaf:
        pass

    collect_garbage()
    first, second = Leaf(), Leaf()
    first.other, second.other = second, first
    gc.freeze()
    gc.unfreeze()
    del first, second
    assert collect_garbage() >= 2


def test_emptying_a_cache_without_a_gpu_does_nothing():
    empty_device_cache()
