"""What decoding holds over the process base: however long the video, however many of them.

A video of 1920 x 1080 of ten seconds and one of two hours, made of the same packets, each decoded
by eight frames in a fresh process; and 10,000 videos one after the other in one process. Goals: at
most 64 MiB, the two-hour video within 5 % of the short one, less than 1 KiB a video of growth.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import av
import numpy as np

MIB = 2**20
SECONDS, TIMES, FPS = 10, 720, 30
VIDEOS, EVERY = 10_000, 250
GOAL_MIB, GOAL_RATIO, GOAL_BYTES = 64, 1.05, 1024


def write_ten_seconds(path: Path) -> None:
    """A moving texture, a keyframe every 60 frames."""
    generator = np.random.default_rng(0)
    texture = np.kron(generator.integers(0, 256, (80, 140, 3)), np.ones((16, 16, 1)))
    texture = texture.astype(np.uint8)
    options = {"g": "60", "preset": "ultrafast"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        for number in range(SECONDS * FPS):
            picture = np.ascontiguousarray(texture[number // 2 :, number:][:1080, :1920])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def write_two_hours(path: Path, short: Path) -> None:
    """The packets of ``short``, again and again."""
    with av.open(str(short)) as source, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        base = packets[0].time_base
        for turn in range(TIMES):
            shift = int(turn * SECONDS / base)
            for packet in packets:
                copy = av.Packet(bytes(packet))
                copy.pts, copy.dts = packet.pts + shift, packet.dts + shift
                copy.time_base, copy.is_keyframe = base, packet.is_keyframe
                copy.stream = stream
                container.mux(copy)


def held(name: str) -> int:
    """Bytes by the kernel's name."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return 1024 * int(line.split()[1])
    raise LookupError(name)


def peak(long: Path, warm: Path) -> None:
    """In a fresh process: the peak of eight frames at 112 over what stood after a small video."""
    import torch

    from reelfit.video.decode import decode
    from reelfit.video.probe import probe

    torch.set_num_threads(1)
    decode(warm, at=[0, 5], size=112)
    count = probe(long).frame_count
    at = ((2 * np.arange(8) + 1) * count // 16).tolist()
    before = held("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    decode(long, at=at, size=112)
    print(json.dumps({"peak_bytes": held("VmHWM") - before, "frames": count}))


def many(folder: Path) -> None:
    """In a fresh process: resident bytes after each 250 videos."""
    import torch

    from reelfit.video.decode import decode
    from reelfit.video.probe import probe

    torch.set_num_threads(1)
    paths = sorted(folder.glob("small*"))
    found = []
    for number in range(VIDEOS):
        path = paths[number % len(paths)]
        facts = probe(path)
        decode(path, at=[0, facts.frame_count // 2], size=32)
        if number % EVERY == EVERY - 1:
            found.append(held("VmRSS"))
    late = np.array(found[len(found) // 4 :], dtype=float)
    slope = np.polyfit(np.arange(len(late)) * EVERY, late, 1)[0]
    print(
        json.dumps(
            {"bytes_per_video": float(slope), "resident_mib": [round(b / MIB, 1) for b in found]}
        )
    )


def write_small(path: Path, codec: str) -> None:
    """Thirty small frames."""
    generator = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for _ in range(30):
            picture = generator.integers(0, 256, (96, 128, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def in_a_process(*arguments: object) -> dict[str, Any]:
    """What one of the functions above tells."""
    done = subprocess.run(
        [sys.executable, __file__, *map(str, arguments)], capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout))


def main() -> None:
    """All three."""
    from measured import write_result

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small = {"small.mp4": "libx264", "small.avi": "mpeg4", "small.mkv": "libx264"}
        for file, codec in small.items():
            write_small(folder / file, codec)
        short, long = folder / "short.mkv", folder / "long.mkv"
        write_ten_seconds(short)
        write_two_hours(long, short)
        found = {}
        for label, path in (("ten seconds", short), ("two hours", long)):
            runs = [in_a_process("peak", path, folder / "small.mp4") for _ in range(3)]
            peaks = sorted(run["peak_bytes"] for run in runs)
            found[label] = {"frames": runs[0]["frames"], "peak_mib": round(peaks[1] / MIB, 2)}
        long.unlink()
        growth = in_a_process("many", folder)
    ratio = found["two hours"]["peak_mib"] / found["ten seconds"]["peak_mib"]
    figures = {
        "peak_over_base": found,
        "two_hours_over_ten_seconds": round(ratio, 3),
        "videos": VIDEOS,
        **growth,
        "held": {
            f"at most {GOAL_MIB} MiB": all(one["peak_mib"] <= GOAL_MIB for one in found.values()),
            f"at most {GOAL_RATIO}": ratio <= GOAL_RATIO,
            f"below {GOAL_BYTES} bytes a video": growth["bytes_per_video"] < GOAL_BYTES,
        },
    }
    write_result("decode_memory", figures)


if __name__ == "__main__":
    if sys.argv[1:2] == ["peak"]:
        peak(Path(sys.argv[2]), Path(sys.argv[3]))
    elif sys.argv[1:2] == ["many"]:
        many(Path(sys.argv[2]))
    else:
        main()
