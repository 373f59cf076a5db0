"""What a study is: a frozen tree of settings, read from YAML, checked, and hashed."""

from pathlib import Path, PurePath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from reelfit.data.checkpoint_files import by_content
from reelfit.data.others import OtherVideos, as_other_videos
from reelfit.data.settings import ClipSettings, VideosSettings
from reelfit.files import digest
from reelfit.memory.budget import MemorySettings
from reelfit.search.settings import OF_TRAINING, SearchSettings
from reelfit.settings import AFTER_TRAINING, NAME, NO_EFFECT, Settings
from reelfit.training.settings import TrainSettings
from reelfit.video_text.settings import RetrieveSettings

FOLDERS_OF_A_RUN = ("evaluate_on", "logs", "search", "state")
"""Names that stand in a run's folder beside the models' own."""


class FeatureSettings(Settings):
    """Of which frames of a video the handcrafted features are computed, at its own size."""

    share: float = Field(default=0.1, gt=0, le=1)
    """The share of the video's frames, spread evenly over it."""
    least: int = Field(default=5, ge=1, le=1000)
    """Frames at the least, as far as the video has them."""
    most: int = Field(default=50, ge=1, le=1000)
    """Frames at the most."""

    @model_validator(mode="after")
    def _least_below_most(self) -> "FeatureSettings":
        if self.least > self.most:
            raise ValueError(f"least is {self.least} and most is {self.most}: give least <= most")
        return self


class FoldSettings(Settings):
    """How the videos are split for cross-validation."""

    count: int | None = Field(default=5, ge=2, le=100)
    """Folds; no group of videos ever stands on both sides of one."""
    column: str | None = None
    """The column of the table that says it instead: train, validation (val, valid) or test, or
    whole numbers as folds. Rows of test are judged, those of validation where there are none."""
    near_duplicates: int | None = Field(default=6, ge=0, le=24)
    """Videos that look alike stay on one side, too: more than half of the frames compared differ by
    so many of the 64 bits of their fingerprints at the most; null: they are not looked for."""

    @model_validator(mode="before")
    @classmethod
    def _one_way(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get("column") is None:
            return given
        if given.get("count") is not None:
            raise ValueError(
                "give either count or column: the column says itself which folds there are"
            )
        return given | {"count": None}

    @model_validator(mode="after")
    def _some_way(self) -> "FoldSettings":
        if self.count is None and self.column is None:
            raise ValueError("give a count of folds, or the column that says them")
        return self


class EvaluateSettings(Settings):
    """How results are judged."""

    bootstrap: int = Field(default=1000, ge=100)
    """Resamples of whole groups behind each 95 % interval."""
    subsets: tuple[str, ...] = ()
    """Columns of the table, such as platform, by whose values results are told apart, too."""
    top: int = Field(default=5, ge=1, le=100)
    """Of the task retrieve: how many of the highest-ranked answers of each query are kept."""
    permutations: int = Field(default=0, ge=0, le=100_000)
    """Times that labels are dealt out anew, to see what each model would reach if they meant
    nothing; a model on features is fitted anew each time, the predictions of others are kept."""

    @model_validator(mode="after")
    def _subsets_differ(self) -> "EvaluateSettings":
        twice = sorted({name for name in self.subsets if self.subsets.count(name) > 1})
        if twice:
            raise ValueError(f"the column {twice[0]} stands twice in subsets: once is enough")
        return self


class LaunchSettings(Settings):
    """Where and how units run; nothing here changes a result."""

    workers: int | Literal["auto"] = "auto"
    """Child processes side by side at the most; auto follows processors and memory."""
    retries: int = Field(default=2, ge=0)
    """How often a unit that was killed is started again without having got further."""


class ModelChoice(BaseModel):
    """A model to train: its name, its id in this study, and its own options."""

    model_config = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True)

    name: str
    """A model of this version; its options stand beside its name."""
    id: str = Field(default="", pattern=r"^$|" + NAME)
    """What this choice is called in the results, where one model stands in two versions."""

    @property
    def options(self) -> dict[str, Any]:
        """What was said beside name and id."""
        return dict(self.model_extra or {})


ON_NETWORKS = ("logistic_on", "xgboost_on")
"""Models whose name may stand before the network's id: ``{logistic_on: r2plus1d}``."""


def _model_choice(value: Any) -> Any:
    value = {"name": value} if isinstance(value, str) else value
    if not isinstance(value, dict):
        return value
    if "name" not in value:
        for name in ON_NETWORKS:
            if name in value:
                rest = {key: option for key, option in value.items() if key != name}
                value = {"name": name, "model": value[name], **rest}
                break
    if value.get("name") in ON_NETWORKS and "model" in value:
        value = {"id": f"{value['name']}_{value['model']}", **value}
    elif "name" in value:
        value = {"id": value["name"], **value}
    return value


class Study(Settings):
    """One study: what is trained on what, within which memory."""

    task: Literal["classify", "retrieve"] = "classify"
    """What is learnt: classify gives each video one of the classes; retrieve finds the texts of
    videos, and the videos of texts."""
    name: str = Field(default="study", pattern=NAME, json_schema_extra=NO_EFFECT)
    """The experiment, which names the folder of its runs."""
    seed: int = Field(default=0, ge=0)
    """What all random numbers start from."""
    videos: VideosSettings
    """Where the videos and their labels stand."""
    memory: MemorySettings = Field(default=MemorySettings(), json_schema_extra=NO_EFFECT)
    """What the run may hold."""
    clips: ClipSettings = ClipSettings()
    """Which frames of a video are kept."""
    features: FeatureSettings = FeatureSettings()
    """Which frames of a video the handcrafted features are computed of."""
    folds: FoldSettings = FoldSettings()
    """How the videos are split."""
    models: list[Annotated[ModelChoice, BeforeValidator(_model_choice)]] = Field(min_length=1)
    """The models to compare over the same folds."""
    allow: tuple[Literal["fewer_frames", "smaller_preset"], ...] = ()
    """What a network may give up, in this order, where not one sample fits the memory: half of its
    frames, half of its width. It is another model then; the report says so first."""
    train: TrainSettings = TrainSettings()
    """How each model is trained on each fold."""
    search: SearchSettings | None = None
    """Settings to be found for each model on each fold before it is trained; null takes those that
    stand here."""
    evaluate: EvaluateSettings = Field(default=EvaluateSettings(), json_schema_extra=AFTER_TRAINING)
    """How results are judged."""
    evaluate_on: tuple[OtherVideos, ...] = Field(default=(), json_schema_extra=AFTER_TRAINING)
    """Other tables of videos, which no model has seen, to judge the trained models on: a path, or
    several, or name, table and columns of each."""
    retrieve: RetrieveSettings = RetrieveSettings()
    """Of the task retrieve: how videos and texts are brought together."""
    launch: LaunchSettings = Field(default=LaunchSettings(), json_schema_extra=NO_EFFECT)
    """Where and how units run."""
    runs: Path = Field(default=Path("runs"), json_schema_extra=NO_EFFECT)
    """The folder of all runs and of the clips that they share."""

    @model_validator(mode="before")
    @classmethod
    def _others_spelled_out(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "evaluate_on" not in given:
            return given
        others = as_other_videos(given["evaluate_on"], given.get("videos"))
        return {**given, "evaluate_on": others}

    @model_validator(mode="after")
    def _others_differ(self) -> "Study":
        names = [other.name for other in self.evaluate_on]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(
                f"evaluate_on: two sets are called {twice[0]}: give one of them another name"
            )
        return self

    @model_validator(mode="after")
    def _settings_are_of_the_task(self) -> "Study":
        if self.task != "retrieve" and self.retrieve != RetrieveSettings():
            raise ValueError(f"retrieve: these are of task: retrieve, and the task is {self.task}")
        if self.task == "retrieve":
            train = self.train
            no_use = {
                "train.mixup": train.mixup,
                "train.cutmix": train.cutmix,
                "train.focal": train.focal,
                "train.label_smoothing": train.label_smoothing,
                "train.balance": train.balance != "none",
                "evaluate.permutations": self.evaluate.permutations,
                "evaluate.subsets": self.evaluate.subsets,
            }
            for name, given in no_use.items():
                if given:
                    raise ValueError(f"{name}: this is of task: classify; leave it out")
            if train.effective_batch < 2:
                raise ValueError(
                    "train.effective_batch: 1 leaves no other text to tell a video's own from: "
                    "give 2 or more"
                )
        elif self.evaluate.top != EvaluateSettings().top:
            raise ValueError("evaluate.top: this is of task: retrieve; leave it out")
        return self

    @model_validator(mode="after")
    def _ids_differ(self) -> "Study":
        ids = [choice.id for choice in self.models]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            raise ValueError(f"two models are called {twice[0]}: give one of them an id of its own")
        taken = sorted(set(ids) & set(FOLDERS_OF_A_RUN))
        owners = {place.partition(".")[0] for place in (self.search.space if self.search else ())}
        unknown = sorted(owners - {OF_TRAINING, *ids})
        if unknown:
            raise ValueError(
                f"search.space: {unknown[0]} is not the id of a model here: {', '.join(ids)}"
            )
        if taken:
            raise ValueError(f"no model can be called {taken[0]}: a run keeps its own files there")
        return self


def what_matters(settings: BaseModel) -> dict[str, Any]:
    """The part of ``settings`` that can change a result, as JSON values."""
    kept: dict[str, Any] = {}
    dumped = settings.model_dump(mode="json")
    fields = type(settings).model_fields
    for name, value in dumped.items():
        extra = fields[name].json_schema_extra if name in fields else None
        if isinstance(extra, dict) and extra.get("changes_result") is False:
            continue
        part = getattr(settings, name)
        kept[name] = what_matters(part) if isinstance(part, Settings) else value
    return kept


def what_matters_of(models: list[ModelChoice]) -> list[dict[str, Any]]:
    """The models as JSON values; their ids name their results, so they count.

    Of a checkpoint its content counts, wherever it stands.
    """
    return [by_content(choice.model_dump(mode="json")) for choice in models]


def what_pairs(study: Study) -> Any:
    """What matters of how videos and texts are brought together; None for another task."""
    if study.task != "retrieve":
        return None
    how = what_matters(study.retrieve)
    return how | {"text": by_content(study.retrieve.text.model_dump(mode="json"))}


def judging_settings() -> list[str]:
    """The settings of a study that only say how finished models are judged."""
    fields = Study.model_fields.items()
    return [name for name, field in fields if field.json_schema_extra == AFTER_TRAINING]


def what_trains(study: Study) -> dict[str, Any]:
    """What matters of a study up to its trained models, as JSON values."""
    later = judging_settings()
    return {name: value for name, value in what_matters(study).items() if name not in later}


def study_hash(study: Study) -> str:
    """64 hex digits, equal on every machine for studies that ask for the same models.

    A checkpoint counts by the name of its folder; what it holds, in the stages that read it.
    """
    trains = what_trains(study)
    models = [choice.model_dump(mode="json") for choice in study.models]
    for options in (*models, trains["retrieve"]["text"]):
        if isinstance(options.get("weights"), str):
            options["weights"] = PurePath(options["weights"]).name
    return digest(trains | {"models": models})
