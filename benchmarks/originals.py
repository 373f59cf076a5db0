"""What the systems that Reelfit replaces wrote down about their memory, measured: before and after.

Their table, from which every user planned: 32 clips of 16 frames at 224 in a batch, 4 loading
processes, each video decoded whole ("1.87 GB per video", "500 MB" of workers, "2 to 3 GB per
batch", "80 GB" in all). Each row is a process of its own and its children; bytes are the most that
was resident beyond what stood before the work began.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

from measured import write_result

BATCH, FRAMES, SIZE, WORKERS = 32, 16, 224, 4
VIDEO_FRAMES, HEIGHT, WIDTH = 300, 1080, 1920
BUDGET = 2 * 2**30
CLIPS = 8
"""Of a batch that are loaded: all loading processes are at work, which is when they hold most."""
MIB = 2**20


class Whole:
    """The original's data set: every frame of the video, then the wanted ones of them."""

    def __init__(self, video: Path) -> None:
        self.video = video

    def __len__(self) -> int:
        return CLIPS

    def __getitem__(self, number: int) -> Any:
        import av
        import numpy as np
        import torch

        with av.open(str(self.video)) as container:
            # Once: a list of frames that is stacked has them twice.
            video = np.empty((VIDEO_FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8)
            for place, frame in enumerate(container.decode(video=0)):
                video[place] = frame.to_ndarray(format="rgb24")
        clip = torch.from_numpy(video[np.linspace(0, len(video) - 1, FRAMES).astype(int)])
        pixels = clip.permute(0, 3, 1, 2).float().div(127.5).sub(1.0)
        return torch.nn.functional.interpolate(
            pixels, size=(SIZE, SIZE), antialias=True, mode="bilinear"
        )


class Exact:
    """Ours: the wanted frames alone, each made small at once, kept as bytes."""

    def __init__(self, video: Path) -> None:
        self.video = video

    def __len__(self) -> int:
        return CLIPS

    def __getitem__(self, number: int) -> Any:
        from reelfit.video.decode import decode
        from reelfit.video.sample import sample_frames

        at = sample_frames(VIDEO_FRAMES, count=FRAMES, sampling="uniform")
        return decode(self.video, at=at, size=SIZE)


def one_video(kind: type, video: Path) -> None:
    """One clip of it."""
    kind(video)[0]


def loader(kind: type, video: Path, workers: int) -> None:
    """A batch of clips from so many processes, each busy with a part of it."""
    import torch

    torch.set_num_threads(1)
    parts = torch.utils.data.DataLoader(kind(video), CLIPS // WORKERS, num_workers=workers)
    assert len(torch.cat(list(parts))) == CLIPS


def training(*, exact: bool) -> None:
    """Two steps of AdamW over a batch: as one, or cut as the plan for 2 GiB says."""
    import torch

    from reelfit.memory.limits import limit_host_memory
    from reelfit.memory.plan import make_plan
    from reelfit.models import make_model
    from reelfit.models.model import Network
    from reelfit.tasks import TASKS
    from reelfit.training.labelled import Labelled
    from reelfit.training.optimizer import make_optimizer
    from reelfit.training.predicting import to_input
    from reelfit.training.rehearsal import Rehearsal
    from reelfit.training.step import ExactStep

    torch.set_num_threads(2)
    model = make_model("r2plus1d", {})
    assert isinstance(model, Network)
    network = model.build(num_outputs=2)
    optimizer = make_optimizer(network, learning_rate=1e-3, weight_decay=0.01)
    shape = (BATCH, FRAMES, 3, SIZE, SIZE)
    clips = torch.randint(0, 256, shape, dtype=torch.uint8)
    targets = torch.arange(BATCH) % 2
    cpu = torch.device("cpu")
    if not exact:
        pixels = to_input(clips, cpu)
        for _ in range(2):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(pixels), targets).backward()
            optimizer.step()
        return
    task = TASKS["classify"](2, None)  # type: ignore[call-arg]
    profile = Rehearsal(
        build=lambda: model.build(num_outputs=2),
        objective=Labelled(task),
        frames=FRAMES,
        size=(SIZE, SIZE),
        device=cpu,
        precision="float32",
    ).profile()
    plan = make_plan(profile, budget_bytes=BUDGET, effective_batch=BATCH)
    print(json.dumps({"micro_batch": plan.micro_batch, "technique": plan.technique}))
    limit_host_memory(BUDGET)

    def losses(network: torch.nn.Module, part: Any) -> torch.Tensor:
        return task.losses(network(to_input(part[0], cpu)), part[1])

    step = ExactStep(
        network,
        optimizer,
        losses,
        BATCH,
        micro_batch=plan.micro_batch,
        technique=plan.technique,
    )
    for _ in range(2):
        assert step((clips, targets)).samples == BATCH


ROWS = {
    "one video of 300 frames at 1920 x 1080": (
        lambda video: one_video(Whole, video),
        lambda video: one_video(Exact, video),
    ),
    "8 clips of such videos by 4 loading processes, and by one": (
        lambda video: loader(Whole, video, WORKERS),
        lambda video: loader(Exact, video, 0),
    ),
    "two training steps of r2plus1d on that batch": (
        lambda _: training(exact=False),
        lambda _: training(exact=True),
    ),
}


def tree_bytes(process: Any) -> int:
    """Proportional resident memory of a process and its children."""
    import psutil

    total = 0
    try:
        for each in (process, *process.children(recursive=True)):
            total += each.memory_full_info().pss
    except psutil.Error:  # one has ended: the next look tells
        return 0
    return total


def measure(row: int, side: int, video: Path) -> dict[str, Any]:
    """The most that a row's process and its children held beyond the start of the work."""
    import psutil

    from reelfit.memory.allocator import child_environment

    began = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, __file__, str(row), str(side), str(video)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=child_environment(os.environ, threads=2) if side else None,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    process = psutil.Process(child.pid)
    base, most = tree_bytes(process), 0
    done = threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.05):
            most = max(most, tree_bytes(process))

    watcher = threading.Thread(target=watch)
    watcher.start()
    said, _ = child.communicate("go\n")
    done.set()
    watcher.join()
    if child.returncode:
        raise SystemExit(f"row {row}, side {side}: exit status {child.returncode}")
    plan = next(iter(map(json.loads, said.splitlines())), {})
    seconds = round(time.monotonic() - began, 1)
    return {"mib": round((most - base) / MIB, 1), "seconds": seconds, **plan}


def make_video(place: Path) -> None:
    """Noise that moves over a gradient: neither empty nor as hard to code as noise alone."""
    import numpy as np

    from reelfit.demo.writing import video_bytes

    drawn = np.random.default_rng(0)
    texture = drawn.integers(0, 64, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    slope = np.linspace(0, 190, WIDTH).astype(np.uint8)[None, :, None]
    frames = np.empty((VIDEO_FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8)
    for number in range(VIDEO_FRAMES):
        frames[number] = np.roll(texture, 3 * number, axis=1) + slope
    place.write_bytes(video_bytes(frames, fps=Fraction(30)))


def main() -> None:
    """The table."""
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "large.mp4"
        make_video(video)
        for number, name in enumerate(ROWS):
            before, after = (measure(number, side, video) for side in (0, 1))
            factor = round(before["mib"] / max(after["mib"], 0.1), 1)
            rows[name] = {"before": before, "after": after, "factor": factor}
            print(name, rows[name], flush=True)
    write_result("originals", {"budget_after_mib": BUDGET // MIB, "rows": rows})


if len(sys.argv) == 1:
    main()
else:
    import torch  # noqa: F401  before the base is measured, on both sides

    import reelfit.video.decode  # noqa: F401

    work = list(ROWS.values())[int(sys.argv[1])][int(sys.argv[2])]
    print("ready", flush=True)
    sys.stdin.readline()
    work(Path(sys.argv[3]))
