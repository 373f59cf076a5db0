"""The stage that makes clips, whole, against the sum of its parts; and what it holds as sets grow.

The whole is a run's stage `clips` on the processors that there are: its processes with their starts
and imports, its slices, its manifests. The parts are decoding, the copies and the shard, each timed
by itself over the same videos by as many processes at once as the stage has, each with one thread
and after its imports: what they would take if nothing else had to be done. Rounds alternate; the
ratio is of each round, and the median counts. Goal: 0.9.

Memory is what ``growth.py`` measures, of 100 and of 10,000 short videos: the highest peak of any
process.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from growth import STUDY as SMALL_STUDY
from growth import make_table, measure, short_videos
from made_videos import Made, made_video
from measured import write_result

from reelfit.memory.allocator import child_environment
from reelfit.study_yaml import read_study

GOAL_SHARE, GOAL_GROWTH_MIB = 0.9, 8.0
ROUNDS, PROCESSES = 3, os.cpu_count() or 1
PART_VIDEOS = 24
"""Videos by which the parts are timed; all are the same packets."""
SETS = {
    "1080p of ten seconds": (192, Made(keyframe_every=30)),
    "360p of ten seconds": (2048, Made(size=(360, 640), keyframe_every=30)),
}
STUDY = """\
videos: {table: videos.csv, path: path, label: label}
clips: {frames: 8, size: 112, copies: 3}
models: [naive_cnn]
"""


def parts(folder: Path, begin: int) -> None:
    """Seconds that one video's decoding, copies and shard take, the mean of some of them."""
    import torch

    from reelfit.data.shards import ShardWriter
    from reelfit.stages.decoding import clips_of, decode_clip

    torch.set_num_threads(1)
    study = read_study(folder / "study.yaml")
    paths = [folder / f"videos/{number}.mp4" for number in range(begin, begin + PART_VIDEOS)]
    list(clips_of(decode_clip(paths[0], "warm", study), "warm", study))
    seconds = []
    began = time.monotonic()
    decoded = [decode_clip(path, path.stem, study) for path in paths]
    seconds.append(time.monotonic() - began)
    began = time.monotonic()
    clips = [
        list(clips_of(each, path.stem, study)) for each, path in zip(decoded, paths, strict=True)
    ]
    seconds.append(time.monotonic() - began)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        shard = Path(place) / "part.tar"
        writer = ShardWriter(shard, making=Path(place) / "making.tar", store="uint8", quality=95)
        for each in clips:
            writer.add(iter(each), facts={})
        writer.finish()
        seconds.append(time.monotonic() - began)
    print(json.dumps([each / PART_VIDEOS for each in seconds]))


def measure_parts(folder: Path) -> list[float]:
    """Of one video, the mean over processes that work at the same time."""
    command = [sys.executable, __file__, "parts", str(folder)]
    children = [
        subprocess.Popen(
            [*command, str(number * PART_VIDEOS)],
            env=child_environment(os.environ, threads=1, trains=False),
            stdout=subprocess.PIPE,
        )
        for number in range(PROCESSES)
    ]
    told = [json.loads(child.communicate()[0]) for child in children]
    return [sum(column) / PROCESSES for column in zip(*told, strict=True)]


def compare(folder: Path, videos: int) -> dict[str, Any]:
    """The whole stage beside its parts, in turn."""
    wholes, ideals, shares, each = [], [], [], []
    for _ in range(ROUNDS):
        seconds = measure_parts(folder)
        shutil.rmtree(folder / "runs", ignore_errors=True)  # or the clips would stand already
        whole = measure(folder / "study.yaml", until="clips")["clips"]
        ideal = sum(seconds) * videos / PROCESSES
        wholes.append(whole["seconds"])
        ideals.append(ideal)
        shares.append(ideal / whole["seconds"])
        each.append(seconds)
        print(f"{folder.name}: whole {wholes[-1]:.1f} s, parts {ideal:.1f} s", flush=True)
    names = ("decoding", "copies", "shard")
    middle = [median(column) for column in zip(*each, strict=True)]
    return {
        "videos": videos,
        "clips_per_second": round(4 * videos / median(wholes), 1),
        "whole_seconds": round(median(wholes), 2),
        "parts_seconds": round(median(ideals), 2),
        "milliseconds_a_video": {n: round(1000 * s, 2) for n, s in zip(names, middle, strict=True)},
        "share_of_ideal": round(median(shares), 3),
    }


def main() -> None:
    """All sets, then the growth."""
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        for name, (videos, made) in SETS.items():
            path = made_video(f"clip_stage_{made.size[0]}.mp4", made)
            assert path is not None
            folder = Path(place) / name.replace(" ", "_")
            make_table(folder, [path.read_bytes()], videos)
            (folder / "study.yaml").write_text(STUDY)
            figures[name] = compare(folder, videos)
        sources = short_videos(Path(place))
        growth = {}
        for rows in (100, 10_000):
            folder = Path(place) / str(rows)
            make_table(folder, sources, rows)
            (folder / "study.yaml").write_text(SMALL_STUDY)
            found = measure(folder / "study.yaml", until="clips")["clips"]
            growth[f"{rows} videos"] = found
    peaks = [growth[name]["peak_mib"] for name in growth]
    figures |= {
        "memory": growth,
        "grown_mib": round(peaks[-1] - peaks[0], 1),
        "goals": {
            "share_of_ideal": GOAL_SHARE,
            "held": min(figures[name]["share_of_ideal"] for name in SETS) >= GOAL_SHARE,
            "grown_mib": GOAL_GROWTH_MIB,
            "memory_held": peaks[-1] - peaks[0] <= GOAL_GROWTH_MIB,
        },
    }
    write_result("clip_stage", figures)


if __name__ == "__main__":
    if sys.argv[1:2] == ["parts"]:
        parts(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
