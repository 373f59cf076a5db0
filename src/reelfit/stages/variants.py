"""A network as the study asks for it, and smaller, where the study allows that by name.

The lossless rungs leave a result as it is; these change the model, so each is told first of all.
"""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from reelfit.files import read_json
from reelfit.runs import Run
from reelfit.study import ModelChoice, Study

if TYPE_CHECKING:
    from reelfit.models.model import Network

MODELS = "models.json"
FEWEST_FRAMES = 2
"""With one frame a model of videos has become a model of pictures."""


@dataclass(frozen=True)
class Variant:
    """What one network is built of and sees; ``given_up`` says in words what the study lost."""

    frames: int
    options: dict[str, Any]
    given_up: tuple[str, ...] = ()


def variants_of(choice: ModelChoice, network: "Network", study: Study) -> list[Variant]:
    """The network as asked, then one after the other what ``study.allow`` lets it shrink to."""
    frames, smaller = study.clips.frames, network
    found = [Variant(frames, choice.options)]
    for allowed in study.allow:
        if allowed == "fewer_frames":
            while frames // 2 >= FEWEST_FRAMES:
                frames //= 2
                found.append(_shrunk(choice, study, network, frames, smaller))
        else:
            while (next_one := smaller.smaller()) is not None:
                smaller = next_one
                found.append(_shrunk(choice, study, network, frames, smaller))
    return found


def _shrunk(
    choice: ModelChoice, study: Study, asked: "Network", frames: int, network: "Network"
) -> Variant:
    before, now = asked.model_dump(mode="json"), network.model_dump(mode="json")
    changed = {name: value for name, value in now.items() if value != before[name]}
    given_up = [f"{frames} of {study.clips.frames} frames"] if frames < study.clips.frames else []
    given_up += [
        f"{name} {_short(value)} in place of {_short(before[name])}"
        for name, value in changed.items()
    ]
    return Variant(frames, choice.options | changed, tuple(given_up))


def _short(value: Any) -> str:
    return "/".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def variant_values(variant: Variant) -> dict[str, Any]:
    """As JSON values."""
    return asdict(variant)


def ids_of(run: Run, *kinds: str) -> set[str]:
    """The ids of the run's models of these kinds; see ``models/model.py``."""
    return {name for name, facts in read_json(run.file(MODELS)).items() if facts["kind"] in kinds}


def read_variants(run: Run) -> dict[str, list[Variant]]:
    """The variants of every network of the run, by the id of its model."""
    models = read_json(run.file(MODELS))
    return {
        model: [
            Variant(one["frames"], one["options"], tuple(one["given_up"]))
            for one in facts["variants"]
        ]
        for model, facts in models.items()
        if facts["parameters"]
    }
