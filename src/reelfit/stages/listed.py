"""What the user's table or folder gives, for whoever has the study alone."""

from reelfit.data.listing import Listing, read_listing
from reelfit.study import Study


def listing_of(study: Study) -> Listing:
    """The rows that the study's table or folder gives.

    Raises:
        StudyError: as ``read_listing``.
    """
    videos = study.videos
    return read_listing(
        table=videos.table,
        folder=videos.folder,
        root=videos.root,
        path=videos.path,
        label=videos.label,
        group=videos.group,
        classes=videos.classes,
        columns=study.evaluate.subsets,
    )
