"""All models side by side: what each holds, measured here, and what fits a budget by it."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reelfit.errors import StudyError
from reelfit.memory.budget import format_size, host_budget
from reelfit.memory.plan import HEADROOM, largest_micro_batch
from reelfit.pipeline import Display
from reelfit.session import measure
from reelfit.stages.plans import budget_of
from reelfit.study import Study
from reelfit.study_yaml import read_study, study_of_models

if TYPE_CHECKING:
    from reelfit.memory.profile import Profile
    from reelfit.models.model import Model

CLASSES = ("one", "other")


def known_models() -> list[str]:
    """The names of all models of this version."""
    from reelfit.models import MODELS

    return list(MODELS)


def study_of(names: list[str], study_file: Path | None, changes: list[str]) -> Study:
    """These models as they are by default, with clips, recipe and memory of a study if given.

    Raises:
        StudyError: one of them is no model; a change that no study takes.
    """
    from reelfit.models import kind_of

    for name in names:
        kind_of(name)
    asked = study_of_models(names, changes=[] if study_file else changes)
    if study_file is None:
        return asked
    own = read_study(study_file, changes=changes)
    return own.model_copy(update={"models": asked.models, "search": None, "allow": ()})


def figures_of(study: Study, display: Display, *, keep: bool = False) -> list[dict[str, Any]]:
    """Of each model of the study: parameters, bytes of activations, and what fits its budget.

    Networks are taken to tell two classes apart, and are measured in processes of their own.
    ``micro_batch`` has the most samples at once by technique, 0 where not one fits. Where ``keep``
    says so, what was measured stays in the study's store.
    """
    import torch

    from reelfit.models import kind_of, make_model
    from reelfit.models.model import Network

    rows: dict[str, dict[str, Any]] = {}
    networks: list[str] = []
    for choice in study.models:
        kind = kind_of(choice.name)
        row = rows[choice.id] = {"model": choice.name, "what": _summary(kind)}
        if not issubclass(kind, Network):  # it has no size before it is fitted
            continue
        try:
            model = make_model(choice.name, choice.options)
            assert isinstance(model, Network)
            with torch.device("meta"):
                built = model.build(num_outputs=len(CLASSES))
            row["parameters"] = sum(p.numel() for p in built.parameters())
            networks.append(choice.name)
        except StudyError as error:  # a library that is not installed
            row["error"] = str(error)
    if networks:
        profiles = _measured(study, networks, display, keep=keep)
        for name, profile in profiles.items():
            rows[name] |= _what_fits(profile, study)
    return list(rows.values())


def _measured(
    study: Study, networks: list[str], display: Display, *, keep: bool
) -> dict[str, "Profile"]:
    """By a study of the same settings, on a listing of which nothing is opened."""
    with tempfile.TemporaryDirectory() as folder:
        for name in CLASSES:
            place = Path(folder) / "videos" / name / "unopened.mp4"
            place.parent.mkdir(parents=True)
            place.touch()
        asked = study_of_models(networks).model_copy(
            update={
                "clips": study.clips,
                "train": study.train,
                "seed": study.seed,
                "runs": study.runs.absolute() if keep else Path(folder) / "runs",
            }
        )
        videos = asked.videos.model_copy(update={"folder": Path(folder) / "videos"})
        return measure(asked.model_copy(update={"videos": videos}), display=display)


def _what_fits(profile: "Profile", study: Study) -> dict[str, Any]:
    """By the GPU's budget where one was measured on or asked for, else by the host's."""
    foretold = profile.device == "cpu" and isinstance(study.memory.gpu, int)
    if foretold:  # the tensors are the same; of the process nothing counts on a GPU
        profile = replace(profile, device="cuda", base_bytes=0, libraries_bytes=0, reserved_bytes=0)
    budget_bytes = budget_of(profile, study, host_bytes=host_budget(study.memory.host))
    return {
        "activations_bytes": profile.techniques[0].traced[0].activations_bytes,
        "device": profile.device,
        "foretold": foretold,
        "budget_bytes": budget_bytes,
        "micro_batch": {
            each.technique: largest_micro_batch(
                profile, technique=each.technique, budget_bytes=budget_bytes
            )
            for each in profile.techniques
        },
    }


def _summary(kind: "type[Model]") -> str:
    text = (kind.__doc__ or "").split("\n\n", maxsplit=1)[0]
    return " ".join(text.split()).rstrip(".")


def table_of(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    """The rows as people read them."""
    return [
        {
            "model": row["model"],
            "parameters": f"{row['parameters']:,}" if "parameters" in row else "-",
            "activations": (
                format_size(row["activations_bytes"]) if "activations_bytes" in row else "-"
            ),
            "micro-batch": _samples(row, "plain"),
            "by checkpointing": _samples(row, "checkpointing"),
            "": row.get("error", row["what"]),
        }
        for row in rows
    ]


def _samples(row: dict[str, Any], technique: str) -> str:
    samples = row.get("micro_batch", {}).get(technique)
    return "-" if samples is None else f"{samples:,}" if samples else "none fits"


def caption(study: Study, rows: list[dict[str, Any]]) -> str:
    """What the figures are of."""
    of_network = next((row for row in rows if "device" in row), None)
    if of_network is None:
        return "no network among them: nothing is cut"
    height, width = study.clips.height_width
    where = "a GPU" if of_network["device"] == "cuda" else "processors"
    how = "measured on processors, foretold for a GPU" if of_network["foretold"] else "measured"
    return (
        f"activations of one sample, and the most samples at once: of {study.clips.frames} frames "
        f"of {height} x {width}, on {where} with {format_size(of_network['budget_bytes'])} for one "
        f"process, of which {HEADROOM:.0%} stay free; {how}"
    )
