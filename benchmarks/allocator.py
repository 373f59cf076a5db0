"""What each variable of a child's environment is worth here, in seconds and resident memory.

Fresh child processes, every environment once in each round, so that the machine's moods fall on
all alike. Each has one thread, and processor seconds are told beside those of the clock: other
programs run here. So the variables of threads are not measured, which only keep processes side by
side from each other's processors, nor the GPU's, which needs a GPU.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from measured import write_result

from reelfit.memory.allocator import child_variables
from reelfit.memory.kernel import Resident, resident_of

ROUNDS = 3
BATCHES = {"r2plus1d": 2, "naive_cnn": 8}
STEPS = 5
VIDEOS = 8


def environments() -> dict[str, dict[str, str]]:
    """Nothing set, each alone, the two about large blocks, and all."""
    ours = {v.name: v.value for v in child_variables({}, threads=1)}
    alone = {
        name: {name: ours[name]}
        for name in ("MALLOC_ARENA_MAX", "MALLOC_MMAP_THRESHOLD_", "THP_MEM_ALLOC_ENABLE")
    }
    large = alone["MALLOC_MMAP_THRESHOLD_"] | alone["THP_MEM_ALLOC_ENABLE"]
    return {"nothing": {}, **alone, "threshold + pages": large, "all": ours}


def train(model: str) -> dict[str, float]:
    """Seconds of a training step, its warm-up left out, and the peak over what stood before it."""
    import torch

    from reelfit.models import make_model
    from reelfit.training.optimizer import make_optimizer

    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = make_model(model, {}).build(num_outputs=2)  # type: ignore[attr-defined]
    optimizer = make_optimizer(network, learning_rate=1e-3, weight_decay=0.01)
    clips = torch.randn(BATCHES[model], 8, 3, 112, 112)
    targets = torch.arange(BATCHES[model]) % 2
    watch = _Watch()
    for _ in range(STEPS + 1):
        watch.begin()
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(clips), targets).backward()
        optimizer.step()
        watch.end()
    return watch.figures(warm_up=1)


def cut_clips(folder: Path) -> dict[str, float]:
    """The same for one video decoded and augmented once."""
    import torch

    from reelfit.augment import apply_augmentation, check_strengths, draw_augmentation
    from reelfit.data.seeds import clip_generator
    from reelfit.video.decode import decode

    torch.set_num_threads(1)
    strengths = check_strengths("standard")
    watch = _Watch()
    for path in sorted(folder.glob("*.mp4"))[:VIDEOS]:
        watch.begin()
        frames = decode(path, at=range(0, 16, 2), size=112)
        drawn = draw_augmentation(
            strengths, generator=clip_generator(0, path.name, 1), num_frames=8
        )
        apply_augmentation(frames, drawn)
        watch.end()
    return watch.figures(warm_up=0)


class _Watch:
    """Seconds of each piece of work, and the peak from here on over what is held now."""

    def __init__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")  # the kernel counts the peak anew: proc(5)
        self.held = self._resident().rss_bytes
        self.clock: list[float] = []
        self.processor: list[float] = []

    def _resident(self) -> Resident:
        now = resident_of(os.getpid())
        assert now is not None
        return now

    def begin(self) -> None:
        self._began = time.perf_counter(), time.process_time()

    def end(self) -> None:
        self.clock.append(time.perf_counter() - self._began[0])
        self.processor.append(time.process_time() - self._began[1])

    def figures(self, *, warm_up: int) -> dict[str, float]:
        return {
            "seconds": statistics.median(self.clock[warm_up:]),
            "processor_seconds": statistics.median(self.processor[warm_up:]),
            "peak_mib": (self._resident().peak_bytes - self.held) / 2**20,
        }


def measure(workload: str, folder: Path, environment: dict[str, str]) -> dict[str, float]:
    """One workload in a fresh process."""
    names = {v.name for v in child_variables({}, threads=1)}
    bare = {name: value for name, value in os.environ.items() if name not in names}
    said = subprocess.run(
        [sys.executable, __file__, workload, str(folder)],
        env=bare | environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    figures: dict[str, float] = json.loads(said)
    return figures


def main() -> None:
    from reelfit.demo import make_demo_set

    found: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as place:
        videos = make_demo_set(Path(place), sources=4).parent / "videos"
        for _ in range(ROUNDS):
            for workload in (*BATCHES, "clips"):
                for name, environment in environments().items():
                    found[workload, name].append(measure(workload, videos, environment))
                    print(workload, name, found[workload, name][-1], file=sys.stderr, flush=True)
    table: dict[str, Any] = defaultdict(dict)
    for (workload, name), figures in found.items():
        table[workload][name] = {
            what: round(statistics.median(f[what] for f in figures), 4) for what in figures[0]
        }
    for workload, rows in table.items():
        print(f"{workload:<24}{'seconds':>9}{'processor':>11}{'peak MiB':>10}{'ratio':>8}")
        for name, row in rows.items():
            ratio = row["processor_seconds"] / rows["nothing"]["processor_seconds"]
            print(
                f"  {name:<22}{row['seconds']:>9.4f}{row['processor_seconds']:>11.4f}"
                f"{row['peak_mib']:>10.1f}{ratio:>8.2f}"
            )
    write_result("allocator", {"rounds": ROUNDS, "batches": BATCHES, "workloads": table})


if __name__ == "__main__":
    if len(sys.argv) > 1:
        done = cut_clips(Path(sys.argv[2])) if sys.argv[1] == "clips" else train(sys.argv[1])
        print(json.dumps(done))
    else:
        main()
