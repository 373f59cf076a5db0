"""What each network needs of memory, measured before anything is decoded or trained.

Reads ``models.json`` -> writes ``profiles.json``; each profile stands in the store as well.
Runs again when the models, the clips' shape, the classes, the precision, the optimizer, averages or
mixing change, and never for a budget. Peak memory: a step of two micro-batches of two random clips,
where it fits.
"""

import platform
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

from reelfit.data.checkpoint_files import by_content
from reelfit.data.listing import Listing
from reelfit.files import digest, read_json, write_json
from reelfit.memory.profile import Profile, profile_values, read_profile
from reelfit.runs import Run
from reelfit.stages.device import device_within_limits
from reelfit.stages.listed import listing_of
from reelfit.stages.normalising import normalise, rehearsed_normalisation
from reelfit.stages.plans import PROFILES, first_that_fits, plan_for, read_profiles
from reelfit.stages.stage import Context, Stage, Unit
from reelfit.stages.variants import Variant, read_variants
from reelfit.study import ModelChoice, Study, what_matters_of, what_pairs
from reelfit.study_yaml import read_study
from reelfit.training.settings import TrainSettings

if TYPE_CHECKING:
    from torch import nn


@final
class ProfileModels(Stage):
    """One unit per network that was not profiled yet with these clips on this machine."""

    name: ClassVar[str] = "profile"
    version: ClassVar[int] = 6
    items: ClassVar[str] = "networks"
    reads: ClassVar[tuple[str, ...]] = ("check",)
    writes: ClassVar[tuple[str, ...]] = (PROFILES,)
    all_threads: ClassVar[bool] = True
    computes: ClassVar[bool] = True

    def settings(self, study: Study) -> Any:
        """The models and what they may give up, the shape of their input, their arithmetic."""
        models = what_matters_of(study.models)
        shape = [study.clips.frames, study.clips.size]
        task = [study.task, what_pairs(study)]
        return [*task, models, study.allow, *shape, *_of_training(study.train)]

    def inputs(self, listing: Listing) -> Any:
        """How many classes there are, or which texts, and videos of one item."""
        return listing.classes or [listing.most_videos, digest(listing.texts.to_dicts())]

    def units(self, run: Run, study: Study, listing: Listing, *, key: str) -> list[Unit]:
        """The networks, and what they may shrink to, without a profile in the store."""
        return [
            Unit(
                self.name,
                f"{choice.id}/{number}" if number else choice.id,
                1,
                {"model": choice.id, "variant": number},
            )
            for choice, number, variant in _networks(run, study)
            if not _place(run, study, choice, variant).exists()
        ]

    def work(self, run: Run, study: Study, unit: Unit, context: Context) -> None:
        """Profiles one network; one whose probes all fitted is kept in the store."""
        choice = next(c for c in study.models if c.id == unit.facts["model"])
        number = unit.facts["variant"]
        variant = read_variants(run)[choice.id][number]
        profile = _rehearse(run, study, choice, variant, context)
        values = profile_values(profile)
        if all(len(technique.probed) > 1 for technique in profile.techniques):
            write_json(_place(run, study, choice, variant), values)
        write_json(_here(run, choice, number), values)
        context.report_progress(1, 1)

    def gather(self, run: Run, study: Study, listing: Listing, context: Context) -> None:
        """All profiles in one file.

        Raises:
            OutOfMemoryError: one sample of some model does not fit, though it had all the memory
                and gave up all that the study allows.
        """
        found: dict[str, list[Any]] = {}
        for choice, number, variant in _networks(run, study):
            place = _place(run, study, choice, variant)
            values = read_json(place if place.exists() else _here(run, choice, number))
            found.setdefault(choice.id, []).append(values)
        write_json(run.file(PROFILES), found)
        for model, profiles in read_profiles(run).items():
            host_bytes = context.memory.budget_bytes or profiles[0].device_bytes
            number = first_that_fits(profiles, study, host_bytes=host_bytes)
            plan_for(model, profiles[number], study, host_bytes=host_bytes, workers=1)


def profile_of(
    run: Run, study: Study, choice: ModelChoice, variant: Variant, context: Context
) -> Profile:
    """The profile of a network, also of one that a search has changed: that is made here and now.

    Options that are fractions, such as a dropout, change nothing that a network holds.
    """
    known = read_variants(run)[choice.id]
    asked = read_study(run.study_file, environment={})
    as_asked = _of_training(study.train) == _of_training(asked.train)
    for number, one in enumerate(known if as_asked else []):
        if one.frames == variant.frames and _sizes(one.options) == _sizes(variant.options):
            return read_profiles(run)[choice.id][number]
    place = _place(run, study, choice, variant)
    if not place.exists():
        profile = _rehearse(run, study, choice, variant, context)
        write_json(place, profile_values(profile))
    return read_profile(read_json(place))


def _sizes(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if not isinstance(value, float)}


def _networks(run: Run, study: Study) -> list[tuple[ModelChoice, int, Variant]]:
    """Each network in each variant, with its number."""
    variants = read_variants(run)
    return [
        (choice, number, variant)
        for choice in study.models
        for number, variant in enumerate(variants.get(choice.id, []))
    ]


def _place(run: Run, study: Study, choice: ModelChoice, variant: Variant) -> Path:
    """Where the store keeps the profile; its name says all that it depends on."""
    facts = [
        ProfileModels.version,
        study.task,
        what_pairs(study),
        _texts_in_short(run, study),
        choice.name,
        by_content(variant.options),
        len(run.facts()["classes"]),
        variant.frames,
        study.clips.size,
        *_of_training(study.train),
        run.facts()["threads"],
        version("torch"),
        processors_in_words(),
    ]
    return run.store / "profiles" / f"{digest(facts)[:32]}.json"


def _texts_in_short(run: Run, study: Study) -> Any:
    """What of the texts says how large a network for them is."""
    if study.task != "retrieve":
        return None
    return [
        run.facts()["most_videos"],
        digest(listing_of(study).texts["text"].unique().sort().to_list()),
    ]


def _of_training(settings: TrainSettings) -> list[Any]:
    """What of a recipe says how much memory a step needs: precision, state, averages, mixing."""
    return [
        settings.precision,
        settings.optimizer,
        settings.momentum,
        settings.ema is not None,
        settings.mixup,
        settings.cutmix,
        settings.normalize != "halves",
    ]


def _here(run: Run, choice: ModelChoice, number: int) -> Path:
    return run.folder / choice.id / (f"profile_{number}.json" if number else "profile.json")


def _rehearse(
    run: Run, study: Study, choice: ModelChoice, variant: Variant, context: Context
) -> Profile:
    import torch

    from reelfit.models import make_model
    from reelfit.models.model import Network
    from reelfit.stages.learners import LEARNERS
    from reelfit.training.optimizer import Descent
    from reelfit.training.rehearsal import Rehearsal

    torch.set_num_threads(context.threads)
    load_as_training_does()
    model = make_model(choice.name, variant.options)
    assert isinstance(model, Network)
    learner = LEARNERS[study.task].to_rehearse(run, study)
    device = device_within_limits(study, context)

    def build() -> "nn.Module":
        network = learner.build(model)
        normalise(learner.seeing(network), rehearsed_normalisation(study, model))
        return network

    return Rehearsal(
        build=build,
        objective=learner.objective(seed=study.seed),
        frames=variant.frames,
        size=study.clips.height_width,
        device=device,
        precision=study.train.precision,
        descent=Descent.asked_by(study.train),
        averaged=study.train.ema is not None,
    ).profile()


def load_as_training_does() -> None:
    """Imports, reads and joins as training will: what that holds is part of every process's base.

    The libraries of tables keep 28 MiB from then on; those of the loop and of the shards had 22.
    """
    import numpy as np
    import polars as pl

    import reelfit.augment.online
    import reelfit.data.shards
    import reelfit.training.fit  # noqa: F401
    from reelfit.metrics import measure

    table = BytesIO()
    pl.DataFrame({"video_id": ["one"], "copy": [0]}).write_parquet(table)
    read = pl.read_parquet(BytesIO(table.getvalue()))
    read.join(read, on="video_id", maintain_order="left").filter(pl.col("copy") == 0)
    measure(np.array([0, 1]), np.array([[0.6, 0.4], [0.3, 0.7]]))


def processors_in_words() -> list[str]:
    """The kinds of processors and GPUs here, read without torch: libraries choose code by them."""
    found = [platform.machine()]
    places = [
        Path("/proc/cpuinfo"),
        *sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")),
    ]
    for place in places:
        lines = place.read_text().splitlines() if place.exists() else []
        found += dict.fromkeys(
            line.partition(":")[2].strip()
            for line in lines
            if line.lower().startswith(("model name", "model:"))
        )
    return found
