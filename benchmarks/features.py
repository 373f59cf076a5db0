"""What handcrafted features take: time by group and size of frame, memory by length of video."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
from measured import write_result
from sklearn.datasets import load_sample_image

from reelfit.demo.camera import scale_picture
from reelfit.features import FRAME_FEATURES
from reelfit.features.frame import Frame
from reelfit.features.motion import change_between
from reelfit.features.video_features import VideoFeatures
from reelfit.memory.allocator import map_large_blocks
from reelfit.memory.record import host_memory
from reelfit.stages.features import FRAME_BYTES
from reelfit.video.decode import visit_pictures
from reelfit.video.frames import indexed_video
from reelfit.video.sample import sample_share

ROUNDS = 15
SIZES = {"360p": (640, 360), "1080p": (1920, 1080)}
LENGTHS = (60, 500, 1500)
MIB = 2**20


def picture_of(width: int, height: int) -> np.ndarray:
    """A photograph at that size with a sensor's noise, as a decoder gives it."""
    photograph = scale_picture(load_sample_image("china.jpg"), width=width, height=height)
    noise = np.random.default_rng(0).normal(0, 3, photograph.shape)
    return np.clip(photograph + noise, 0, 255).astype(np.uint8)


def median_ms(work: Callable[[], object]) -> float:
    work()
    found = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return round(1000 * statistics.median(found), 2)


def time_groups(width: int, height: int) -> dict[str, float]:
    """Processor ms a frame, by group; ``luma`` comes before all, ``motion`` is of a pair."""
    picture = picture_of(width, height).transpose(2, 0, 1)
    frame = Frame(picture)
    shifted = np.roll(frame.levels, 3, axis=1)
    found = {"luma": median_ms(lambda: Frame(picture))}
    for name, group in FRAME_FEATURES.items():
        found[name] = median_ms(lambda group=group: group.measure(frame))
    found["motion"] = median_ms(lambda: change_between(frame.levels, shifted))
    return found | {"all": round(sum(found.values()), 2)}


def write_videos(folder: Path) -> dict[int, Path]:
    """1080p H.264 of a camera that moves over the photograph, by number of frames."""
    large = picture_of(2240, 1260)
    paths = {}
    for length in LENGTHS:
        paths[length] = folder / f"{length}.mp4"
        with av.open(str(paths[length]), "w") as container:
            stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
            stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
            for number in range(length):
                left, top = number % 320, number % 180
                part = np.ascontiguousarray(large[top : top + 1080, left : left + 1920])
                container.mux(stream.encode(av.VideoFrame.from_ndarray(part, format="rgb24")))
            container.mux(stream.encode(None))
    return paths


def measure_video(path: str, frame_count: int) -> dict[str, Any]:
    """In this process, which has done nothing else: the peak over what it held before."""
    map_large_blocks(FRAME_BYTES)  # as the stage does
    sampled = sample_share(frame_count, share=0.1, least=5, most=50)
    features = VideoFeatures(sampled, frame_count=frame_count)
    base_bytes = host_memory().rss_bytes
    wall, processor = time.monotonic(), time.process_time()
    with indexed_video(Path(path)) as video:
        visit_pictures(
            video, features.wanted, lambda at, picture: features.take(at, picture.numpy())
        )
    features.values()
    return {
        "frames": frame_count,
        "measured": len(sampled),
        "decoded": len(features.wanted),
        "processor_seconds": round(time.process_time() - processor, 2),
        "wall_seconds": round(time.monotonic() - wall, 2),
        "peak_over_base_mib": round((host_memory().peak_bytes - base_bytes) / MIB, 1),
    }


def in_fresh_process(path: Path, frame_count: int) -> dict[str, Any]:
    command = [sys.executable, __file__, str(path), str(frame_count)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, Any] = json.loads(said)
    return found


if len(sys.argv) > 1:
    print(json.dumps(measure_video(sys.argv[1], int(sys.argv[2]))))
else:
    groups = {name: time_groups(*size) for name, size in SIZES.items()}
    with tempfile.TemporaryDirectory() as place:
        videos = [in_fresh_process(path, n) for n, path in write_videos(Path(place)).items()]
    write_result(
        "features",
        {
            "clock": "processor time, one thread, median of 15",
            "ms_per_frame": groups,
            "videos_1080p_h264": videos,
            "bounded_by": "one decoder, one frame in RGB twice (decoder's and ours), the luma of "
            "two frames, Canny's two maps, a band of 65,536 pixels",
        },
    )
