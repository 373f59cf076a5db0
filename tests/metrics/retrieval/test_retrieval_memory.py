"""Retrieval's metrics stay within the memory that they are given, beside the features."""

from pathlib import Path

import numpy as np
import pytest

from own_process import printed_by

MIB = 2**20

PROGRAM = """
import json, sys, threading, time
from pathlib import Path
import numpy as np, torch
import reelfit
torch.set_num_threads(2)
folder, memory, exact, spread = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "True", sys.argv[4]
targets = np.load(folder / "targets.npy")
small = np.random.default_rng(0).standard_normal((2500, 256)).astype(np.float32)
for way in (False, True):  # imports, and what libraries keep
    reelfit.retrieval_metrics(small, small, np.arange(2500), top=3, exact=way)

def held():  # pages of a file, which the system takes back as it likes, are not held
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

base, peak, done = held(), [0], threading.Event()

def watch():
    while not done.wait(0.002):
        peak[0] = max(peak[0], held())

watcher = threading.Thread(target=watch)
watcher.start()
found = reelfit.retrieval_metrics(
    folder / f"video_{spread}.npy", folder / f"text_{spread}.npy", targets,
    memory=memory, exact=exact, top=3, groups=[str(n // 3) for n in range(len(targets))],
    resamples=20,
)
done.set()
watcher.join()
print(json.dumps([peak[0] - base, found["text_to_video"]["mean_rank"]]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 8,000 videos and 6,000 texts, far apart and fallen together: 14 MiB together."""
    place = tmp_path_factory.mktemp("features")
    draw = np.random.default_rng(0)
    targets = draw.integers(6000, size=8000)
    np.save(place / "targets.npy", targets)
    text = draw.standard_normal((6000, 256)).astype(np.float32)
    video = 0.2 * text[targets] + draw.standard_normal((8000, 256)).astype(np.float32)
    for name, spread in (("far", 1.0), ("near", 1e-5)):
        base = 0.0 if name == "far" else 1.0
        np.save(place / f"video_{name}.npy", (base + spread * video).astype(np.float32))
        np.save(place / f"text_{name}.npy", (base + spread * text).astype(np.float32))
    return place


@pytest.mark.parametrize("spread", ["far", "near"])
def test_the_peak_stays_within_the_memory_given_and_the_ranks_are_the_same(
    folder: Path, spread: str
) -> None:
    ranks = []
    for memory in (40, 64, 256) if spread == "far" else (40,):
        exact = spread == "far"
        peak, rank = printed_by(PROGRAM, folder, f"{memory}MiB", exact, spread)
        assert peak <= memory * MIB
        ranks.append(rank)
    if spread == "far":
        assert ranks[0] == ranks[1] == ranks[2]
