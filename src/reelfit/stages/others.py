"""The videos of other sets, as those of the study are made ready, by the same stages.

Reads the tables of ``evaluate_on``, their videos -> writes shards and features in the store,
``evaluate_on/<name>/``: ``index.parquet``, ``rejected.parquet``, ``clips.parquet``,
``fingerprints.parquet``, ``features.parquet``.
Runs again for videos that the store lacks under these settings. Peak memory: that of the stages
that it wraps.
"""

from abc import ABC
from dataclasses import replace
from typing import Any, ClassVar, final

from reelfit.data.listing import Listing
from reelfit.data.others import OtherVideos
from reelfit.files import read_json, write_json
from reelfit.runs import Run
from reelfit.stages.clips import Clips
from reelfit.stages.features import Features
from reelfit.stages.index import Index
from reelfit.stages.stage import Context, Stage, Unit
from reelfit.stages.variants import MODELS
from reelfit.study import Study

PLACES = {"table", "folder", "root", "separator", "path", "label", "group"}
"""What is said of each set as of the study's own videos."""


def study_on(study: Study, other: OtherVideos) -> Study:
    """The study as if these were its videos: the same frames of them, and no copies."""
    places = other.model_dump(include=PLACES)
    return study.model_copy(
        update={
            "videos": study.videos.model_copy(update=places),
            "clips": study.clips.model_copy(update={"copies": 0, "augment": "none"}),
            "evaluate_on": (),
        }
    )


class OnOthers(Stage, ABC):
    """Does on each other set what ``inner`` does on the study's own, in a part of the run."""

    inner: ClassVar[Stage]
    items: ClassVar[str] = "videos"
    writes: ClassVar[tuple[str, ...]] = ()

    def is_asked(self, study: Study) -> bool:
        """Where there is another set."""
        return bool(study.evaluate_on)

    def settings(self, study: Study) -> Any:
        """Those of the stage on each set."""
        return [
            [other.name, self.inner.settings(study_on(study, other))] for other in study.evaluate_on
        ]

    def inputs(self, listing: Listing) -> Any:
        """Those of the stage on each set."""
        return [self.inner.inputs(other) for other in listing.others.values()]

    def units(self, run: Run, study: Study, listing: Listing, *, key: str) -> list[Unit]:
        """Those of the stage on each set."""
        found = []
        for other in study.evaluate_on:
            asked, videos = study_on(study, other), listing.others[other.name]
            for unit in self.inner.units(run.on(other.name), asked, videos, key=key):
                facts = {"other": other.name, "name": unit.name, "facts": unit.facts}
                name = f"{other.name}/{unit.name}"
                found.append(replace(unit, stage=self.name, name=name, facts=facts))
        return found

    def work(self, run: Run, study: Study, unit: Unit, context: Context) -> None:
        """One unit of the stage."""
        other = next(each for each in study.evaluate_on if each.name == unit.facts["other"])
        inner = Unit(self.inner.name, unit.facts["name"], unit.items, unit.facts["facts"])
        self.inner.work(run.on(other.name), study_on(study, other), inner, _told(context, other))

    def gather(self, run: Run, study: Study, listing: Listing, context: Context) -> None:
        """The stage's tables of each set."""
        for other in study.evaluate_on:
            inside = run.on(other.name)
            write_json(inside.file(MODELS), read_json(run.file(MODELS)))
            asked, videos = study_on(study, other), listing.others[other.name]
            self.inner.gather(inside, asked, videos, _told(context, other))


def _told(context: Context, other: OtherVideos) -> Context:
    """What is told of another set is not taken for the study's own."""

    def event(name: str, /, **facts: Any) -> None:
        context.event(f"other_{name}", other=other.name, **facts)

    return replace(context, event=event)


@final
class OtherIndex(OnOthers):
    """Opens every container of the other sets."""

    name: ClassVar[str] = "other_index"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("check", "index")
    inner: ClassVar[Stage] = Index()


@final
class OtherClips(OnOthers):
    """Decodes each video of the other sets."""

    name: ClassVar[str] = "other_clips"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("other_index", "clips")
    inner: ClassVar[Stage] = Clips()


@final
class OtherFeatures(OnOthers):
    """Decodes a share of each video of the other sets."""

    name: ClassVar[str] = "other_features"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("other_clips", "features")
    inner: ClassVar[Stage] = Features()
