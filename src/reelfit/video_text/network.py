"""Videos and texts in one space, in which the cosine says how well they belong together."""

import math
from collections.abc import Sequence
from typing import Final, Literal, final

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn.functional import normalize

from reelfit.video_text.losses import info_nce, sigmoid_loss
from reelfit.video_text.pooling import AttentionPooling

Contrast = Literal["info_nce", "sigmoid"]
LARGEST_SCALE: Final = 100.0
_FIRST_SCALES: Final[dict[Contrast, float]] = {"info_nce": 1 / 0.07, "sigmoid": 10.0}
_FIRST_BIAS: Final = -10.0


@final
class VideoTextNetwork(nn.Module):
    """A network of clips and one of texts, pooled and projected to the same ``dimensions``.

    An item is one or several clips. Each is cut into ``segments`` runs of frames, which differ by
    one frame at most, the longer ones first; the video network makes a token of each run. Attention
    pools all tokens of an item. ``temperature`` is the logarithm of the cosines' scale where that
    is small, and bounded above; ``bias`` is there with the sigmoid loss alone. Both are scalars,
    which weight decay leaves as they are. Captions are written from the tokens; masked video is
    predicted from what ``video`` makes of a clip.

    Source: Radford et al., CLIP (2021); Zhai et al., Sigmoid Loss for Language Image Pre-Training
    (2023), for the first scale and bias of the sigmoid loss.
    """

    def __init__(
        self,
        video: nn.Module,
        text: nn.Module,
        *,
        dimensions: int,
        segments: int = 1,
        contrast: Contrast = "info_nce",
        caption: nn.Module | None = None,
        masked: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.video, self.text = video, text
        self.segments, self.contrast = segments, contrast
        width = _width_of(video)
        self.pooling = AttentionPooling(width)
        self.places = nn.Parameter(torch.zeros(segments, width)) if segments > 1 else None
        self.video_projection = nn.Linear(width, dimensions, bias=False)
        self.text_projection = nn.Linear(int(text.width), dimensions, bias=False)  # type: ignore[arg-type]
        first = _FIRST_SCALES[contrast]
        self.temperature = nn.Parameter(
            torch.tensor(math.log(first) - math.log1p(-first / LARGEST_SCALE))
        )
        self.bias = nn.Parameter(torch.tensor(_FIRST_BIAS)) if contrast == "sigmoid" else None
        self.caption, self.masked = caption, masked

    @property
    def scale(self) -> Float[Tensor, ""]:
        """What cosines are multiplied by: up to 100, with a gradient everywhere below it."""
        return LARGEST_SCALE * (self.temperature - math.log(LARGEST_SCALE)).sigmoid()

    def encode_videos(
        self,
        clips: Float[Tensor, "clip time 3 height width"],
        item_of_clip: Int64[Tensor, " clip"] | Sequence[int],
        num_items: int,
    ) -> tuple[
        Float[Tensor, "item dimension"],
        Float[Tensor, "item token inner"],
        Bool[Tensor, "item token"],
    ]:
        """Embeddings of unit length, the tokens that they are pooled from, and which are there.

        Clips of an item may stand anywhere, and their order is without effect on the embedding. An
        item has as many tokens as the one with the most clips; what it lacks is zero and was never
        run. Numbers in a list keep a traced step from asking a tensor without data.

        Raises:
            ValueError: an item has no clip, a clip no item, or fewer frames than segments.
        """
        numbers = item_of_clip.tolist() if isinstance(item_of_clip, Tensor) else item_of_clip
        order = _clips_of(numbers, num_items)
        tokens = self._tokens_of(clips)
        most = max(map(len, order))
        packed = tokens.new_zeros((num_items, most, *tokens.shape[1:]))
        rows, columns = _places(order, clips.device)
        packed = packed.index_put((rows, columns), tokens[[c for clips_ in order for c in clips_]])
        there = [[place < len(found) for place in range(most)] for found in order]
        present = torch.tensor(there, device=clips.device).repeat_interleave(self.segments, dim=1)
        flat = packed.flatten(1, 2)
        embeddings = self.video_projection(self.pooling(flat, present))
        return normalize(embeddings, dim=-1), flat, present

    def encode_texts(self, tokens: Int64[Tensor, "text token"]) -> Float[Tensor, "text dimension"]:
        """Embeddings of unit length."""
        return normalize(self.text_projection(self.text(tokens)), dim=-1)

    def loss_across(
        self,
        video: Float[Tensor, "batch dimension"],
        text: Float[Tensor, "batch dimension"],
        numbers: Int64[Tensor, " batch"],
        *,
        block_rows: int | None = None,
    ) -> Float[Tensor, ""]:
        """The contrastive loss of a batch of pairs; those of one text have the same number."""
        if self.bias is None:
            return info_nce(video, text, numbers, self.scale, block_rows=block_rows)
        return sigmoid_loss(video, text, numbers, self.scale, self.bias, block_rows=block_rows)

    def _tokens_of(
        self, clips: Float[Tensor, "clip time 3 height width"]
    ) -> Float[Tensor, "clip segment inner"]:
        """A token of each run of frames; runs of one length go through the network together."""
        if clips.shape[1] < self.segments:
            raise ValueError(f"{clips.shape[1]} frames cannot be cut into {self.segments} segments")
        runs = clips.tensor_split(self.segments, dim=1)
        found: list[Tensor] = []
        while len(found) < len(runs):
            length = runs[len(found)].shape[1]
            alike = [run for run in runs[len(found) :] if run.shape[1] == length]
            tokens = self.video(torch.cat(alike) if len(alike) > 1 else alike[0])
            found += tokens.chunk(len(alike))
        stacked = torch.stack(found, dim=1)
        return stacked if self.places is None else stacked + self.places


def _width_of(video: nn.Module) -> int:
    head = video.get_submodule("head")
    assert isinstance(head, nn.Linear), "the last layer of a video network is a Linear, head"
    return head.out_features


def _clips_of(numbers: Sequence[int], num_items: int) -> list[list[int]]:
    """Which clips each item has, in their order."""
    found: list[list[int]] = [[] for _ in range(num_items)]
    for clip, item in enumerate(numbers):
        if not 0 <= item < num_items:
            raise ValueError(f"clip {clip} is of item {item}, and there are {num_items}")
        found[item].append(clip)
    empty = [item for item, clips in enumerate(found) if not clips]
    if empty:
        raise ValueError(f"item {empty[0]} has no clip")
    return found


def _places(order: list[list[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Item and place in it of each clip, clips in the order of their items."""
    items = [item for item, clips in enumerate(order) for _ in clips]
    places = [place for clips in order for place in range(len(clips))]
    return torch.tensor(items, device=device), torch.tensor(places, device=device)
