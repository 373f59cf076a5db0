"""What the user's table or folder gives, for whoever has the study alone."""

from dataclasses import replace
from typing import Any

from reelfit.data.listing import Listing, read_listing, read_other_listing, read_text_listing
from reelfit.errors import StudyError
from reelfit.study import Study


def listing_of(study: Study) -> Listing:
    """The rows that the study's table or folder gives, and those of ``evaluate_on``.

    Raises:
        StudyError: as ``read_listing``, ``read_text_listing`` and ``read_other_listing``; a setting
            of the videos that the task has no use for, or one that it lacks.
    """
    videos = study.videos
    how: dict[str, Any] = {
        **videos.model_dump(include={"table", "root", "path", "group", "separator"}),
        "columns": study.evaluate.subsets,
        "split": study.folds.column,
    }
    if study.task == "retrieve":
        return read_text_listing(**how, text=_text_column(study), item=videos.item)
    for name in ("text", "item"):
        if getattr(videos, name) is not None:
            raise StudyError(
                f"videos.{name} is for the task retrieve, and this one is {study.task}: leave it "
                "out, or write task: retrieve",
                place=("videos", name),
            )
    listing = read_listing(**how, folder=videos.folder, label=videos.label, classes=videos.classes)
    others = {
        other.name: _other_listing(study, number, listing.classes)
        for number, other in enumerate(study.evaluate_on)
    }
    return replace(listing, others=others)


def _text_column(study: Study) -> str:
    """The column that says which texts are right for which video."""
    videos, place = study.videos, "videos"
    if videos.table is None:
        problem, name = "videos.folder has no texts: give a table with videos.text", "folder"
    elif videos.text is None:
        problem, name = "task: retrieve needs videos.text, the column of the texts", "task"
    elif videos.classes is not None:
        problem, name = "videos.classes is for the task classify: leave it out", "classes"
    elif study.evaluate_on:
        problem, name = "evaluate_on is for the task classify: leave it out", ""
        place = "evaluate_on"
    else:
        return videos.text
    raise StudyError(problem, place=(place, name) if name else (place,))


def _other_listing(study: Study, number: int, classes: list[str]) -> Listing:
    other = study.evaluate_on[number]
    try:
        return read_other_listing(
            **other.model_dump(
                include={"table", "folder", "root", "separator", "path", "label", "group"}
            ),
            classes=classes,
        )
    except StudyError as error:
        raise StudyError(str(error), place=("evaluate_on", number)) from None
