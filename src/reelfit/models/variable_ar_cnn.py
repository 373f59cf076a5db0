"""A small CNN on each frame that leaves out the bars of letterboxed clips."""

from typing import final

from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor, nn
from typing_extensions import override

from reelfit.models.depths import depths_along
from reelfit.models.frame_convolutions import Channels, half_the_channels
from reelfit.models.input_adapter import Needs
from reelfit.models.letterbox import PictureNorm, picture_area
from reelfit.models.model import Network


@final
class VariableAspectRatioCNN(Network):
    """Convolutions on each frame, of the picture alone, then the mean over its area and over time.

    Clips of one study have one size; ``clips: {fit: letterbox}`` keeps each picture's shape and
    fills the rest with black bars. Here the bars enter no convolution, no norm and no mean: a clip
    has the outputs of its picture cut out, where the bar before it is a multiple of the stride of
    all blocks (8 pixels of three blocks); elsewhere the kernels stand on other pixels of it. A
    picture less high or wide than that stride is taken with its bars. The bars are found by pixels,
    not told: a border that is dark in every frame of the clip is taken for one, and a bar with a
    logo in it, or of another colour, is not. On clips without bars this is ``naive_cnn``.

    Source: Liu et al., Image Inpainting for Irregular Holes Using Partial Convolutions (2018), for
    masks that go through a network, without its scaling.
    """

    channels: Channels = Field(default=(32, 64, 128), min_length=1)
    """Channels of each block; each halves height and width. Multiples of 8."""
    black: float = Field(default=-0.9, ge=-1, lt=1)
    """The brightest that a bar may be, of -1 (black) to 1; codecs leave some noise in it."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """The share of pooled features that is dropped in training."""

    def build(self, *, num_outputs: int) -> nn.Module:
        """The network."""
        return _PictureCNN(self.channels, self.black, self.dropout, num_outputs)

    @override
    def needs(self) -> Needs:
        """Pixels of which it is known which are black."""
        return Needs(own_scale=True)

    @override
    def depths(self, network: nn.Module) -> dict[str, int]:
        """The blocks, the head."""
        return depths_along(network, "frame", then=("head",))

    @override
    def smaller(self) -> "Network | None":
        """Half the channels of each block, in multiples of 8."""
        channels = half_the_channels(self.channels)
        return None if channels is None else self.model_copy(update={"channels": channels})


class _PictureCNN(nn.Module):
    def __init__(self, channels: Channels, black: float, dropout: float, num_outputs: int) -> None:
        super().__init__()
        self.black = black
        self.frame = nn.ModuleList(
            _PictureBlock(before, after)
            for before, after in zip((3, *channels), channels, strict=False)
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels[-1], num_outputs)

    def forward(
        self, clips: Float[Tensor, "batch time 3 height width"]
    ) -> Float[Tensor, "batch output"]:
        # of a picture at least as large as the stride of all blocks, one place is left at the end
        picture = picture_area(clips, black=self.black, least=2 ** len(self.frame))
        picture = picture.repeat_interleave(clips.shape[1], 0)
        maps = clips.flatten(0, 1) * picture[:, None]
        for block in self.frame:
            picture = picture[:, ::2, ::2]  # where the middle of a convolution's kernel stood
            maps = block(maps, picture)
        pooled = maps.sum((2, 3)) / picture.sum((1, 2))[:, None]
        mean = pooled.reshape(*clips.shape[:2], -1).mean(1)
        outputs: Tensor = self.head(self.dropout(mean))
        return outputs


class _PictureBlock(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
        self.norm = PictureNorm(8, after)
        self.relu = nn.ReLU()

    def forward(
        self,
        maps: Float[Tensor, "frame channel height width"],
        picture: Bool[Tensor, "frame low_height low_width"],
    ) -> Float[Tensor, "frame after low_height low_width"]:
        normal: Tensor = self.relu(self.norm(self.convolution(maps), picture))
        return normal
