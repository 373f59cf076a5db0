"""What networks around an encoder of the transformers library share: options, parts, freezing."""

from abc import abstractmethod
from typing import Annotated, Any, Final, Literal, final

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn
from typing_extensions import override

from reelfit.data.checkpoint_files import by_content
from reelfit.errors import StudyError
from reelfit.models.embedding_cache import EmbeddingCache
from reelfit.models.input_adapter import InputAdapter, Needs
from reelfit.models.model import Network
from reelfit.models.transformers_checkpoint import require_weights

Size = Literal["mini", "tiny", "small", "base", "large"]
SIZES: Final[tuple[Size, ...]] = ("mini", "tiny", "small", "base", "large")
_WIDTHS: Final[dict[Size, tuple[int, int, int]]] = {
    "mini": (96, 4, 3),
    "tiny": (192, 12, 3),
    "small": (384, 12, 6),
    "base": (768, 12, 12),
    "large": (1024, 24, 16),
}
PRETRAINED_RATE: Final = 0.1


class TransformersNetwork(Network):
    """The options that all networks around an encoder of the library have."""

    size: Size = "mini"
    """How large an encoder without weights is: mini, for small machines, or as published."""
    config: dict[str, Any] = Field(default_factory=dict)
    """Values of the library's configuration, by its own names, laid over those of the size."""
    weights: str | None = None
    """A folder as save_pretrained writes it, beside the study or absolute; or a name of the hub,
    such as MCG-NJU/videomae-base, with @ and a revision where one is meant."""
    image_size: Annotated[int, Field(ge=8, le=2048)] | None = None
    """Pixels of a side of the square frames that the encoder sees; null: its own."""
    train: Literal["all", "last_blocks", "head"] = "all"
    """What learns: all; the last blocks of the encoder and what stands above it; or that alone."""
    last_blocks: int = Field(default=2, ge=1)
    """How many blocks of the encoder learn with train: last_blocks."""
    encoder_rate: float | None = Field(default=None, gt=0)
    """The encoder's share of the learning rate; null: a tenth with weights, all of it without."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """The share of features that is dropped before the head in training."""

    @model_validator(mode="after")
    def _frozen_has_weights(self) -> "TransformersNetwork":
        require_weights(self.weights, train=self.train)
        return self

    @abstractmethod
    def configuration(self) -> Any:
        """The library's configuration: that of the weights, or of the size."""

    @override
    def rate_factors(self, network: nn.Module) -> dict[str, float]:
        """The encoder's share, for each of its parameters."""
        rate = self.encoder_rate
        if rate is None:
            rate = 1.0 if self.weights is None else PRETRAINED_RATE
        names = [name for name, _ in network.named_parameters() if name.startswith("encoder.")]
        return {} if rate == 1 else dict.fromkeys(names, rate)

    @override
    def depths(self, network: nn.Module) -> dict[str, int]:
        """What comes before the encoder's first block is 0, its blocks follow, the rest is last."""
        assert isinstance(network, EncodedClips)
        inner = {f"encoder.{name}": depth for name, depth in block_depths(network.encoder).items()}
        last = max(inner.values()) + 1
        return {name: inner.get(name, last) for name, _ in network.named_parameters()}

    @override
    def frozen_part(self) -> Any:
        """The options that the encoder and its input depend on, its weights by their content."""
        if self.train != "head":
            return None
        above = {"train", "last_blocks", "encoder_rate", "dropout", "hidden", "layers", "heads"}
        options = self.model_dump(mode="json", exclude=above)
        return [type(self).__name__, by_content(options)]

    @override
    def smaller(self) -> "Network | None":
        """The next smaller size; None for the smallest, and where there are weights or a config."""
        number = SIZES.index(self.size)
        if self.weights is not None or self.config or not number:
            return None
        return self.model_copy(update={"size": SIZES[number - 1]})

    def assemble(
        self, needs: Needs, encoder: nn.Module, above: nn.Module, *, width: int, num_outputs: int
    ) -> "EncodedClips":
        """The whole network, with what does not learn frozen; ``width`` is what ``above`` gives.

        Raises:
            StudyError: fewer blocks than are to learn.
        """
        if self.train != "all":
            freeze(encoder, last_blocks=self.last_blocks if self.train == "last_blocks" else 0)
        head = nn.Linear(width, num_outputs)
        return EncodedClips(InputAdapter(needs), encoder, above, nn.Dropout(self.dropout), head)


@final
class EncodedClips(nn.Module):
    """Clips, adapted and encoded, then what stands above the encoder, and the head."""

    def __init__(
        self,
        adapter: InputAdapter,
        encoder: nn.Module,
        above: nn.Module,
        dropout: nn.Module,
        head: nn.Linear,
    ) -> None:
        super().__init__()
        self.adapter = adapter
        self.encoder = encoder
        self.above = above
        self.dropout = dropout
        self.head = head
        self.cache: EmbeddingCache | None = None
        """Where embeddings are kept, of an encoder that does not learn."""

    @override
    def forward(
        self, clips: Float[Tensor, "batch time 3 height width"]
    ) -> Float[Tensor, "batch output"]:
        return self.judge(self.embed(clips))

    def embed(
        self, clips: Float[Tensor, "batch time 3 height width"]
    ) -> Float[Tensor, "batch ..."]:
        """What the encoder makes of clips; a wholly frozen one keeps no activations."""
        if self.cache is not None:
            return self.cache(clips, lambda clip: self.encoder(self.adapter(clip)))
        learns = any(parameter.requires_grad for parameter in self.encoder.parameters())
        with torch.set_grad_enabled(torch.is_grad_enabled() and learns):
            embeddings: Tensor = self.encoder(self.adapter(clips))
        return embeddings

    def judge(self, embeddings: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch output"]:
        """The outputs of what ``embed`` gave."""
        outputs: Tensor = self.head(self.dropout(self.above(embeddings)))
        return outputs

    @override
    def train(self, mode: bool = True) -> "EncodedClips":
        """What is frozen does not train: without dropout it gives the same each time."""
        super().train(mode)
        for part in self.encoder.modules():
            weights = list(part.parameters())
            if weights and not any(weight.requires_grad for weight in weights):
                part.eval()
        return self


def widths_of(size: Size) -> dict[str, int]:
    """Width, layers and heads of a vision transformer, as the library calls them.

    Source: Touvron et al., DeiT (2021), for tiny and small; Dosovitskiy et al., ViT (2021), for
    base and large.
    """
    width, layers, heads = _WIDTHS[size]
    return {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads}


def blocks_of(encoder: nn.Module) -> list[str]:
    """The names of an encoder's blocks from its input to its output; those of all its stages."""
    for name, part in encoder.named_modules():
        if isinstance(part, nn.ModuleList) and any(map(_is_block, part)):
            found = []
            for number, child in enumerate(part):
                inner = [f"{name}.{number}.{block}" for block in blocks_of(child)]
                found += inner or ([f"{name}.{number}"] if _is_block(child) else [])
            return found
    return []


def block_depths(encoder: nn.Module) -> dict[str, int]:
    """Of each parameter how many blocks begin before its end, in the order of their making."""
    blocks, depth, found = blocks_of(encoder), 0, {}
    for name, _ in encoder.named_parameters():
        while depth < len(blocks) and name.startswith(blocks[depth] + "."):
            depth += 1
        found[name] = depth
    return found


def freeze(encoder: nn.Module, *, last_blocks: int) -> None:
    """Lets only the last blocks of an encoder learn, and what follows them in it; 0: nothing.

    Raises:
        StudyError: it has fewer blocks.
    """
    count = len(blocks_of(encoder))
    if last_blocks > count:
        raise StudyError(f"last_blocks: {last_blocks} blocks are to learn, and there are {count}")
    depths = block_depths(encoder)
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad_(bool(last_blocks) and depths[name] > count - last_blocks)


def _is_block(part: nn.Module) -> bool:
    """Whether it has more than one matrix: a layer that halves the size has one."""
    return sum(parameter.ndim > 1 for parameter in part.parameters()) > 1
