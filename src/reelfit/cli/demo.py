"""The set that a demo's study runs on, as it is asked for on the command line."""

from pathlib import Path
from typing import Literal

from reelfit.cli.display import Voice
from reelfit.errors import StudyError

SOURCES = 24
FOLDERS = {"classify": Path("reelfit-demo"), "retrieve": Path("reelfit-demo-retrieve")}


def make_set(
    task: Literal["classify", "retrieve"],
    out: Path | None,
    *,
    videos: Path | None,
    sources: int | None,
    seed: int,
    voice: Voice,
) -> Path:
    """Makes the set for ``task``, as far as it does not stand, and returns its study.

    Raises:
        StudyError: an option that the set of this task has no use for, or no usable videos.
        RunError: the disk is full.
    """
    from reelfit.demo import make_demo_set, make_shapes_set

    folder = FOLDERS[task] if out is None else out
    unused = {"--videos": videos, "--sources": sources} if task == "retrieve" else {}
    for option, given in unused.items():
        if given is not None:
            raise StudyError(
                f"{option}: the set for --task retrieve is drawn, not filmed; leave {option} out, "
                "or take --task classify"
            )
    with voice.counting("demo set", "videos") as counted:
        if task == "retrieve":
            return make_shapes_set(folder, seed=seed, report_progress=counted)
        return make_demo_set(
            folder,
            seed=seed,
            sources=SOURCES if sources is None else sources,
            videos=videos,
            report_progress=counted,
        )
