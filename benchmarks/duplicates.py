"""What looking for videos that look alike costs: fingerprints, and the search among many."""

import resource
import time
from typing import Any

import numpy as np
import torch
from measured import write_result

from reelfit.data.duplicates import Fingerprints, near_pairs
from reelfit.video.fingerprint import FRAMES, fingerprint

SETS = (1_000, 10_000, 40_000)
COPIES = 100
SIZES = ((1080, 1920), (360, 640))
ROUNDS = 100


def search(count: int) -> dict[str, Any]:
    """CPU seconds and memory of the search among ``count`` videos, 100 of them copies."""
    generator = np.random.default_rng(count)
    bits = generator.integers(0, 2**64, (count, FRAMES), dtype=np.uint64)
    bits[-COPIES:] = bits[:COPIES]
    known = np.ones(bits.shape, np.bool_)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    pairs = near_pairs(Fingerprints(bits, known), most_bits=6)
    seconds = time.process_time() - began
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert len(pairs) == COPIES
    return {"videos": count, "cpu_seconds": round(seconds, 2), "grown_mb": round(grown / 1024, 1)}


def print_of(height: int, width: int) -> float:
    """CPU milliseconds of one frame's fingerprint, as a decoder gives the frame."""
    picture = torch.randint(0, 256, (height, width, 3), dtype=torch.uint8).permute(2, 0, 1)
    fingerprint(picture)
    began = time.process_time()
    for _ in range(ROUNDS):
        fingerprint(picture)
    return round((time.process_time() - began) / ROUNDS * 1000, 2)


def main() -> None:
    """Writes benchmarks/results/<date>_duplicates.json."""
    torch.set_num_threads(1)
    result = {
        "search": [search(count) for count in SETS],
        "fingerprint_ms": {f"{width}x{height}": print_of(height, width) for height, width in SIZES},
    }
    print(result)
    write_result("duplicates", result)


if __name__ == "__main__":
    main()
