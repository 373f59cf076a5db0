"""Real clips with bytes flipped, cut out and spliced: each ends in frames or in a reason.

``python damage.py [CASES] [SEED]`` writes a dated result for 2,000 cases, else prints its figures.
A case that ends its process, takes more than a minute or holds more than the bound is named, with
what makes it again. The clips are those of ../shared/videos, where they are, and some made here.
"""

import json
import random
import resource
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import av
import numpy as np

CASES, SECONDS, MOST_BYTES = 2000, 60, 2_000_000
BOUND_BYTES = 64 * 2**20
"""Over the process base, for pictures of up to 1920 x 1080; larger ones in proportion."""
HD_PIXELS = 1920 * 1080
SHARED = Path(__file__).parents[2] / "shared" / "videos"
MADE = {
    "h264.mp4": ("libx264", {"bf": "3", "g": "20"}),
    "h264.mkv": ("libx264", {"bf": "3", "g": "20"}),
    "h264.ts": ("libx264", {"bf": "0", "g": "10"}),
    "hevc.mp4": ("libx265", {"x265-params": "keyint=20:pools=1:log-level=none"}),
    "mpeg4.avi": ("mpeg4", {"bf": "2", "g": "12"}),
    "mpeg2.mpg": ("mpeg2video", {"g": "12"}),
    "vp9.webm": ("libvpx-vp9", {"g": "20", "deadline": "realtime", "cpu-used": "8"}),
    "mjpeg.avi": ("mjpeg", {}),
}


def make_clips(folder: Path) -> list[Path]:
    """Forty moving frames in each of the codecs."""
    generator = np.random.default_rng(0)
    texture = np.kron(generator.integers(0, 256, (30, 60, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    made = []
    for name, (codec, options) in MADE.items():
        path = folder / name
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=25, options=options)
            stream.width, stream.height = 160, 96
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            stream.codec_context.thread_count = 1
            for number in range(40):
                picture = np.ascontiguousarray(texture[:96, 2 * number : 2 * number + 160])
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode(None))
        made.append(path)
    return made


def hurt(content: bytes, other: bytes, chance: random.Random) -> bytes:
    """The bytes of a clip after one to eight injuries, each anywhere or in the header alone."""
    hurt = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        where = len(hurt) if chance.random() < 0.6 else min(len(hurt), 4096)
        at = chance.randrange(max(where, 1))
        run = chance.choice((1, 4, 64, 1024, 16384))
        how = chance.choice(
            ("bit", "byte", "random", "zeros", "ones", "cut", "end", "splice", "twice")
        )
        if how == "bit" and hurt:
            hurt[at] ^= 1 << chance.randrange(8)
        elif how == "byte" and hurt:
            hurt[at] = chance.randrange(256)
        elif how == "random":
            hurt[at : at + run] = chance.randbytes(len(hurt[at : at + run]))
        elif how in ("zeros", "ones"):
            hurt[at : at + run] = (b"\0" if how == "zeros" else b"\xff") * len(hurt[at : at + run])
        elif how == "cut":
            del hurt[at : at + run]
        elif how == "end":
            del hurt[max(at, 1) :]
        elif how == "splice":
            begin = chance.randrange(len(other))
            hurt[at : at + run] = other[begin : begin + run]
        else:
            hurt[at:at] = hurt[at : at + run]
    return bytes(hurt)


def work() -> None:
    """Takes paths from the input, a line each; answers how each ended."""
    import torch

    from reelfit.errors import VideoError
    from reelfit.video.decode import decode
    from reelfit.video.probe import probe

    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        path = Path(line.strip())
        began, before = time.perf_counter(), _held("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")
        pixels = HD_PIXELS
        try:
            facts = probe(path, on_damage="keep_whole_frames")
            pixels = facts.width * facts.height
            at = np.linspace(0, facts.frame_count - 1, 4).astype(int).tolist()
            frames = decode(path, at=at, size=64)
            end = "frames" if frames.shape == (4, 3, 64, 64) else f"frames of {frames.shape}"
        except VideoError as error:
            end = error.reason
        except Exception as error:
            end = f"{type(error).__name__}: {error}"
        told = {
            "end": end,
            "seconds": time.perf_counter() - began,
            "peak_bytes": _held("VmHWM") - before,
            "pixels": pixels,
        }
        print(json.dumps(told), flush=True)


def _held(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return 1024 * int(line.split()[1])
    raise LookupError(name)


class Worker:
    """A process that does case after case, and is replaced when it dies."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def ask(self, path: Path) -> dict[str, Any]:
        """How one case ended."""
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, __file__, "work"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], SECONDS)
        line = self.process.stdout.readline() if ready else ""
        if line:
            return dict(json.loads(line))
        self.process.kill()
        status = self.process.wait()
        self.process = None
        return {"end": f"died with {status}" if ready else f"hung for {SECONDS} s"}

    def close(self) -> None:
        """Ends it."""
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
            self.process.wait()


REASONS = {
    "frames", "no such file", "not a file", "empty file", "cannot be read", "not a video",
    "no video stream", "unknown codec", "too large", "encrypted", "no frames", "truncated",
    "damaged", "damaged frame", "no such frame", "colours that cannot be converted",
    "frames of several sizes", "no frame rate",
}  # fmt: skip


def run_cases(count: int, seed: int) -> dict[str, Any]:
    """``count`` cases, and those that ended otherwise than they may."""
    chance = random.Random(seed)
    ends: Counter[str] = Counter()
    wrong: list[dict[str, Any]] = []
    peak, slowest, worker = 0.0, 0.0, Worker()
    with tempfile.TemporaryDirectory() as folder:
        clips = make_clips(Path(folder))
        if SHARED.is_dir():
            clips += [
                path
                for path in sorted(SHARED.iterdir())
                if path.suffix != ".csv" and path.stat().st_size < MOST_BYTES
            ]
        contents = [path.read_bytes() for path in clips]
        for number in range(count):
            chosen = chance.randrange(len(clips))
            case = Path(folder) / f"case{clips[chosen].suffix}"
            other = contents[chance.randrange(len(clips))]
            case.write_bytes(hurt(contents[chosen], other, random.Random(f"{seed} {number}")))
            found = worker.ask(case)
            ends[found["end"]] += 1
            bound = BOUND_BYTES * max(1, found.get("pixels", 0) / HD_PIXELS)
            peak = max(peak, found.get("peak_bytes", 0) / bound)
            slowest = max(slowest, found.get("seconds", 0.0))
            if found["end"] not in REASONS or found.get("peak_bytes", 0) > bound:
                wrong.append({"seed": seed, "number": number, "clip": clips[chosen].name, **found})
                print(wrong[-1], file=sys.stderr, flush=True)
        worker.close()
    return {
        "cases": count,
        "clips": len(clips),
        "ends": dict(ends.most_common()),
        "wrong": wrong,
        "largest_share_of_the_bound": round(peak, 3),
        "slowest_seconds": round(slowest, 2),
    }


def main() -> None:
    """The benchmark, or fewer cases for a test."""
    arguments = [int(each) for each in sys.argv[1:3]]
    count, seed = (*arguments, *(CASES, 0)[len(arguments) :])
    figures = run_cases(count, seed)
    if count < CASES:
        print(json.dumps(figures))
        return
    from measured import write_result

    write_result("damage", figures)


if __name__ == "__main__":
    if sys.argv[1:] == ["work"]:
        work()
    else:
        main()
