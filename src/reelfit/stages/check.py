"""Whether what the study asks for exists: models, their options, augmentations, metrics.

Reads the study -> writes ``models.json``.
Runs again when what is trained changes, or a checkpoint that it names. Peak memory: torch's
imports, and the weights of one checkpoint, where one is given.
"""

from typing import TYPE_CHECKING, Any, ClassVar, final

from reelfit.data.listing import Listing
from reelfit.errors import StudyError
from reelfit.files import write_json
from reelfit.runs import Run
from reelfit.search.settings import SearchSettings
from reelfit.stages.chosen import lay_over
from reelfit.stages.founded import require_founded
from reelfit.stages.stage import Context, Stage, Unit
from reelfit.stages.variants import MODELS, Variant, variant_values, variants_of
from reelfit.study import ModelChoice, Study, what_matters_of, what_trains

if TYPE_CHECKING:
    from torch import nn

    from reelfit.models.model import Network
    from reelfit.stages.learners.learner import Learner


@final
class Check(Stage):
    """Builds every model without memory for its weights, so that a mistake shows in seconds."""

    name: ClassVar[str] = "check"
    version: ClassVar[int] = 3
    reads: ClassVar[tuple[str, ...]] = ()
    writes: ClassVar[tuple[str, ...]] = (MODELS,)

    def settings(self, study: Study) -> Any:
        """All of the study but how its models are judged."""
        return what_trains(study) | {"models": what_matters_of(study.models)}

    def units(self, run: Run, study: Study, listing: Listing, *, key: str) -> list[Unit]:
        """None: it is done at once."""
        return []

    def work(self, run: Run, study: Study, unit: Unit, context: Context) -> None:
        """Never called."""
        raise AssertionError(unit)

    def gather(self, run: Run, study: Study, listing: Listing, context: Context) -> None:
        """Counts each model's parameters."""
        import torch

        from reelfit.augment import check_strengths
        from reelfit.models import make_model
        from reelfit.models.model import Network
        from reelfit.stages.learners import LEARNERS

        learner = LEARNERS[study.task].to_rehearse(run, study)
        learner.check()
        try:
            check_strengths(study.clips.augment)
        except StudyError as error:
            raise StudyError(str(error), place=("clips", "augment")) from None
        stopping = study.train.early_stopping
        if stopping is not None and stopping.metric not in ("loss", *learner.metrics):
            raise StudyError(
                f"train.early_stopping.metric: {stopping.metric} is not a metric; "
                f"known: loss, {', '.join(learner.metrics)}",
                place=("train", "early_stopping", "metric"),
            )
        if study.search is not None:
            _check_search(study, study.search)
        models, made = {}, {}
        for number, choice in enumerate(study.models):
            network, parameters, variants = None, 0, []
            try:
                model = make_model(choice.name, choice.options)
                if isinstance(model, Network):
                    with torch.device("meta"):
                        network = learner.build(model)
                elif study.task == "retrieve":
                    raise StudyError(
                        f"models: {choice.name} tells classes apart; the task retrieve takes "
                        "networks, see docs/models.md"
                    )
            except StudyError as error:
                raise StudyError(str(error), place=("models", number)) from None
            made[choice.id] = model
            if isinstance(model, Network) and network is not None:
                parameters = sum(p.numel() for p in network.parameters())
                _check_rates(learner, model, network, choice)
                _check_precision(network, choice, study)
                _tell_adapted(model, choice, study, context)
                variants = _learnable(learner, variants_of(choice, model, study), study)
            models[choice.id] = {
                "name": choice.name,
                "kind": model.kind,
                "parameters": parameters,
                "variants": list(map(variant_values, variants)),
            }
        require_founded(study, made, folds=len(run.folds()))
        write_json(run.file(MODELS), models)
        cuda = torch.cuda.is_available()
        context.event("device", device=torch.cuda.get_device_name() if cuda else "cpu")


def _learnable(learner: "Learner", variants: list[Variant], study: Study) -> list[Variant]:
    """The variants whose clips the task can learn from, the first of which is as asked."""
    size = study.clips.height_width
    refused = learner.refusal_of(frames=variants[0].frames, size=size)
    if refused is not None:
        raise StudyError(refused, place=(study.task,))
    return [v for v in variants if learner.refusal_of(frames=v.frames, size=size) is None]


def _check_search(study: Study, search: SearchSettings) -> None:
    """Each value alone, and both ends of a range, as training would take them."""
    from reelfit.models import make_model
    from reelfit.search.proposal import require_optuna
    from reelfit.stages.learners import LEARNERS

    require_optuna()
    metrics = LEARNERS[study.task].metrics
    if search.metric not in ("loss", *metrics):
        raise StudyError(
            f"search.metric: {search.metric} is not a metric; known: loss, {', '.join(metrics)}",
            place=("search", "metric"),
        )
    for choice in study.models:
        for place, choices in search.space_of(choice.id).items():
            ends = choices if isinstance(choices, list) else [choices.low, choices.high]
            for value in ends:
                _, changed = lay_over(study, choice, {place: value})
                try:
                    make_model(changed.name, changed.options)
                except StudyError as error:
                    raise StudyError(f"search.space: {error}", place=("search", "space")) from None


def _tell_adapted(model: "Network", choice: ModelChoice, study: Study, context: Context) -> None:
    """An event that says what a network makes of the clips, where it needs other ones."""
    clips = study.clips
    needs, asked = model.needs(), study.train.normalize
    changes: dict[str, Any] = needs.changes(frames=clips.frames, size=clips.height_width)
    if needs.own_scale and asked != "halves":
        changes["normalize"] = [asked if isinstance(asked, str) else asked.model_dump(), "its own"]
    if changes:
        context.event("clips_adapted", model=choice.id, **changes)


def _check_precision(network: "nn.Module", choice: ModelChoice, study: Study) -> None:
    """Whether the gradients of the arithmetic asked for can be trusted here.

    On a processor torch's backward pass of a 3D convolution in bfloat16 writes where it should not
    for clips of few frames: gradients that are not finite, or a broken process.
    """
    import torch
    from torch.nn import Conv3d

    if study.train.precision != "bfloat16" or torch.cuda.is_available():
        return
    if any(isinstance(module, Conv3d) for module in network.modules()):
        raise StudyError(
            f"train.precision: {choice.id} has 3D convolutions, whose gradients in bfloat16 are "
            "wrong on a processor; write auto, which takes bfloat16 on a GPU alone",
            place=("train", "precision"),
        )


def _check_rates(
    learner: "Learner", model: "Network", network: "nn.Module", choice: ModelChoice
) -> None:
    """Whether the model can learn at the rates that the study asks for."""
    try:
        learner.rate_factors(model, network)
    except StudyError as error:
        raise StudyError(f"{error} ({choice.id})", place=error.place) from None
