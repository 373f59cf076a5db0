"""How videos and texts are learnt together. No torch here: the parent process reads these."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from reelfit.settings import Settings
from reelfit.video_text.ways import Beam, Way

Share = Annotated[float, Field(ge=0, le=1)]
Weight = (
    Annotated[float, Field(ge=0)]
    | tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]]
)
"""A number, or two: the weight at the first step and at the last, and on a line between."""


def weight_at(weight: float | tuple[float, float], progress: float) -> float:
    """The weight when ``progress``, from 0 to 1, of training is done."""
    if isinstance(weight, tuple):
        first, last = weight
        return first + (last - first) * progress
    return weight


class TextEncoderChoice(BaseModel):
    """A text encoder: its name, and its own options beside it."""

    model_config = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True)

    name: str
    """A text encoder of this version."""

    @property
    def options(self) -> dict[str, Any]:
        """What was said beside the name."""
        return dict(self.model_extra or {})


def _by_name(given: Any) -> Any:
    return {"name": given} if isinstance(given, str) else given


class CaptionSettings(Settings):
    """A decoder that puts into words what the video encoder saw, trained beside the embeddings."""

    weight: Weight = 1.0
    """What its loss counts, or from and to what over all steps."""
    width: int = Field(default=128, ge=8)
    """Numbers per token inside it."""
    layers: int = Field(default=2, ge=1)
    """Transformer layers."""
    heads: int = Field(default=4, ge=1)
    """Attention heads of each layer; they divide the width."""
    dropout: Share = 0.1
    """The share of activations that is dropped in training."""
    smoothing: float = Field(default=0.1, ge=0, lt=1)
    """The share of each target that is spread evenly over all tokens."""
    write: Way = Beam()
    """How captions are written: ``{how: greedy}``, ``{how: beam, beams: 4}`` or ``{how: nucleus}``,
    with a probability and a temperature."""

    @model_validator(mode="after")
    def _heads_divide(self) -> "CaptionSettings":
        if self.width % self.heads:
            raise ValueError(f"width is {self.width} and heads are {self.heads}: heads divide it")
        return self


class MaskedSettings(Settings):
    """Masked video modelling: what is hidden of a clip is to be told from the rest of it."""

    weight: Weight = 1.0
    """What its loss counts, or from and to what over all steps."""
    grid: int = Field(default=7, ge=2)
    """A frame is cut into so many rows and columns of patches."""
    share: float = Field(default=0.5, gt=0, lt=1)
    """The share of the patches that is hidden, the same in all frames."""
    steps: int = Field(default=4, ge=1)
    """Means over time that are to be told of each patch."""
    cells: int = Field(default=2, ge=1)
    """Rows and columns of such means in each patch."""
    hidden: int = Field(default=256, ge=8)
    """Numbers inside the network that tells them."""

    @model_validator(mode="after")
    def _some_hidden(self) -> "MaskedSettings":
        patches = self.grid**2
        if not 0 < round(self.share * patches) < patches:
            raise ValueError(f"a share of {self.share} of {patches} patches hides none or all")
        return self


class RetrieveSettings(Settings):
    """How videos and texts are brought into one space of embeddings."""

    loss: Literal["info_nce", "sigmoid"] = "info_nce"
    """Which of a step's texts belongs to each video, and the other way (InfoNCE), or for each pair
    whether it belongs together (SigLIP)."""
    weight: Weight = 1.0
    """What that loss counts, or from and to what over all steps."""
    dimensions: int = Field(default=128, ge=2)
    """Numbers per embedding."""
    width: int = Field(default=128, ge=8)
    """Numbers that the video encoder gives of a clip, or of a segment of it."""
    segments: int = Field(default=1, ge=1)
    """Runs of frames that a clip is cut into; attention pools them, and several videos."""
    text: Annotated[TextEncoderChoice, BeforeValidator(_by_name)] = TextEncoderChoice(
        name="text_transformer"
    )
    """The text encoder: a name, or name and options."""
    caption: CaptionSettings | None = None
    """Captioning beside the embeddings; null is none."""
    masked: MaskedSettings | None = None
    """Masked video modelling beside them; null is none."""
