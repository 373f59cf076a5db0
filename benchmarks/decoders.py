"""The frames wanted of one video, by one decoder: ``python decoders.py NAME TASK``.

One task is measured; of a list of tasks the frames are kept. Each run is a process of its own, with
its own interpreter where the decoder is installed in another environment, so nothing of Reelfit is
imported here but for Reelfit itself. One thread each. Those without a resize of their own make each
frame small as Reelfit does, or as their library has it.
"""

import json
import math
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

Task = dict[str, Any]
"""``path``; the frames ``at`` in increasing order; ``size``, the side of a square, or null."""

SIGNATURE_SIDE = 128
MODULES = {
    "reelfit": "reelfit.video.decode",
    "torchcodec_exact": "torchcodec.decoders",
    "torchcodec_approximate": "torchcodec.decoders",
    "decord": "decord",
    "pyav_seek": "av",
    "opencv_grab": "cv2",
}
"""What those import whose frames are judged."""


def reelfit(task: Task) -> Any:
    """Ours."""
    import torch

    from reelfit.video.decode import decode

    torch.set_num_threads(1)
    # At their own size, pixels that are not square would be made so, which the others do not do.
    size = task["size"] or task.get("stored_size")
    return decode(Path(task["path"]), at=task["at"], size=size, fit="stretch")


def floor(task: Task) -> Any:
    """The packets that ours feeds, known beforehand, through the decoder; no frame is converted."""
    import av

    runs, kept = list(task["feed"]["runs"]), set(task["feed"]["kept"])
    with av.open(task["path"]) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        context.thread_count = 1
        for position, packet in enumerate(p for p in container.demux(stream) if p.size):
            if position < runs[0][0]:
                continue
            if task["feed"]["skips"]:
                context.skip_frame = "DEFAULT" if position in kept else "NONREF"
            context.decode(packet)
            if position == runs[0][1]:
                context.decode(None)
                context.flush_buffers()
                runs.pop(0)
            if not runs:
                return


def torchcodec_exact(task: Task, mode: str = "exact") -> Any:
    """It runs over all packets first, too."""
    from torchcodec.decoders import VideoDecoder
    from torchcodec.transforms import Resize

    made_small = [Resize((task["size"], task["size"]))] if task["size"] else None
    decoder = VideoDecoder(
        task["path"], seek_mode=mode, transforms=made_small, num_ffmpeg_threads=1
    )
    return decoder.get_frames_at(task["at"]).data


def torchcodec_approximate(task: Task) -> Any:
    """It trusts the header's rate."""
    return torchcodec_exact(task, mode="approximate")


def decord(task: Task) -> Any:
    """With its own resize."""
    from decord import VideoReader, cpu

    side = task["size"] or -1
    reader = VideoReader(task["path"], ctx=cpu(0), width=side, height=side, num_threads=1)
    return reader.get_batch(task["at"]).asnumpy()


def pyav_seek(task: Task) -> Any:
    """For each frame to the keyframe before its time, and on from there: what people write."""
    import av

    found = []
    with av.open(task["path"]) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        step = 1 / (stream.average_rate * stream.time_base)
        for index in task["at"]:
            wanted = (stream.start_time or 0) + round(index * step)
            container.seek(wanted, stream=stream)
            frames = (f for f in container.decode(stream) if f.pts >= wanted - step / 2)
            found.append(made_small(next(frames).to_ndarray(format="rgb24"), task["size"]))
    return np.stack(found)


def pyav_whole(task: Task) -> Any:
    """Every frame of the video, then the wanted ones of them: what the original systems did."""
    import av

    with av.open(task["path"]) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        video = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    return np.stack([made_small(video[index], task["size"]) for index in task["at"]])


def opencv_grab(task: Task) -> Any:
    """Every frame decoded up to the last one wanted; only those wanted are converted."""
    import cv2

    cv2.setNumThreads(1)
    opened = cv2.VideoCapture(task["path"], cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    found, wanted = [], set(task["at"])
    for index in range(max(wanted) + 1):
        if not opened.grab():
            raise IndexError(f"no frame {index}")
        if index in wanted:
            picture = cv2.cvtColor(opened.retrieve()[1], cv2.COLOR_BGR2RGB)
            if task["size"]:
                square = (task["size"], task["size"])
                picture = cv2.resize(picture, square, interpolation=cv2.INTER_AREA)
            found.append(picture)
    opened.release()
    return np.stack(found)


CONTENDERS = {
    each.__name__: each
    for each in (
        reelfit,
        floor,
        torchcodec_exact,
        torchcodec_approximate,
        decord,
        pyav_seek,
        pyav_whole,
        opencv_grab,
    )
}


def made_small(picture: np.ndarray, side: int | None) -> np.ndarray:
    """As Reelfit does it."""
    import torch

    torch.set_num_threads(1)
    if not side:
        return picture
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None]
    small = torch.nn.functional.interpolate(
        pixels, size=(side, side), mode="bilinear", antialias=True
    )
    return small[0].permute(1, 2, 0).numpy()


def signatures(frames: Iterable[Any]) -> Iterator[np.ndarray]:
    """Each frame (height, width, 3) as the means of squares that divide its sides, in float32."""
    for frame in frames:
        picture = np.asarray(frame)
        height, width = picture.shape[:2]
        both = math.gcd(height, width)
        fitting = (k for k in range(1, both) if both % k == 0)
        edge = next((k for k in fitting if max(height, width) <= k * SIGNATURE_SIDE), both)
        rows = picture.reshape(height // edge, edge, width * 3).sum(1, dtype=np.uint32)
        squares = rows.reshape(height // edge, width // edge, edge, 3).sum(2, dtype=np.uint32)
        yield squares.astype(np.float32) / edge**2


def held(name: str) -> int:
    """Bytes by the kernel's name."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name))


def measure(name: str, task: Task) -> dict[str, Any]:
    """What it took; the process's own imports and first use are over."""
    Path("/proc/self/clear_refs").write_text("5")  # the kernel's peak begins anew
    base, wall, processor = held("VmRSS"), time.perf_counter(), time.process_time()
    CONTENDERS[name](task)
    return {
        "end": "done",
        "cpu_seconds": time.process_time() - processor,
        "wall_seconds": time.perf_counter() - wall,
        "peak_bytes": held("VmHWM") - base,
    }


def keep(name: str, task: Task) -> dict[str, Any]:
    """The signatures of the frames go to a file."""
    frames = np.asarray(CONTENDERS[name](task))
    last = frames if frames.shape[-1] == 3 else frames.transpose(0, 2, 3, 1)
    np.save(task["signatures"], np.stack(list(signatures(last))))
    return {"end": "done"}


def tell(work: Callable[[str, Task], dict[str, Any]], name: str, task: Task) -> None:
    """Prints how it went as JSON."""
    try:
        found = work(name, task)
    except Exception as error:
        said = " ".join(str(error).split())
        found = {"end": f"{type(error).__name__}: {said}"[:160]}
    print(json.dumps(found), flush=True)


def keep_each(name: str, tasks: list[Task]) -> None:
    """One child for each task, killed when its time is over: decord can hang."""
    with suppress(ImportError):  # then each task says so
        __import__(MODULES[name])
    for task in tasks:
        child = multiprocessing.get_context("fork").Process(target=tell, args=(keep, name, task))
        child.start()
        child.join(task["seconds"])
        if child.exitcode is None:
            child.kill()
            child.join()
            print(json.dumps({"end": f"killed after {task['seconds']} s"}), flush=True)
        elif child.exitcode:
            print(json.dumps({"end": f"exit status {child.exitcode}"}), flush=True)


def measure_warm(name: str, task: Task) -> dict[str, Any]:
    """After another file."""
    CONTENDERS[name](task["warm_up"])
    return measure(name, task)


if __name__ == "__main__":
    asked = json.loads(sys.argv[2])
    if isinstance(asked, list):
        keep_each(sys.argv[1], asked)
    else:
        tell(measure_warm, sys.argv[1], asked)
