"""What the user's table or folder gives, for whoever has the study alone."""

from dataclasses import replace

from reelfit.data.listing import Listing, read_listing, read_other_listing
from reelfit.errors import StudyError
from reelfit.study import Study


def listing_of(study: Study) -> Listing:
    """The rows that the study's table or folder gives, and those of ``evaluate_on``.

    Raises:
        StudyError: as ``read_listing`` and ``read_other_listing``.
    """
    videos = study.videos
    listing = read_listing(
        table=videos.table,
        folder=videos.folder,
        root=videos.root,
        path=videos.path,
        label=videos.label,
        group=videos.group,
        classes=videos.classes,
        columns=study.evaluate.subsets,
    )
    others = {
        other.name: _other_listing(study, number, listing.classes)
        for number, other in enumerate(study.evaluate_on)
    }
    return replace(listing, others=others)


def _other_listing(study: Study, number: int, classes: list[str]) -> Listing:
    other = study.evaluate_on[number]
    try:
        return read_other_listing(
            **other.model_dump(include={"table", "folder", "root", "path", "label", "group"}),
            classes=classes,
        )
    except StudyError as error:
        raise StudyError(str(error), place=("evaluate_on", number)) from None
