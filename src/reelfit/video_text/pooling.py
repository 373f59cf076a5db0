"""Several tokens of an item as one, weighted by what they are."""

from typing import final

from jaxtyping import Bool, Float
from torch import Tensor, nn
from typing_extensions import override


@final
class AttentionPooling(nn.Module):
    """The mean of the tokens that are there, by weights that a small network gives each of them.

    Their order is without effect, and a token that is alone is the result.

    Source: Ilse et al., Attention-based Deep Multiple Instance Learning (2018).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, width)
        self.score = nn.Linear(width, 1, bias=False)  # a bias would be the same for all tokens

    @override
    def forward(
        self, tokens: Float[Tensor, "item token width"], present: Bool[Tensor, "item token"]
    ) -> Float[Tensor, "item width"]:
        """Each item has one token at least; what stands where there is none is without effect."""
        tokens = tokens.masked_fill(~present.unsqueeze(-1), 0)
        scores = self.score(self.inner(self.norm(tokens)).tanh()).squeeze(-1)
        weights = scores.masked_fill(~present, -float("inf")).softmax(-1)
        pooled: Tensor = (weights.unsqueeze(-1).to(tokens.dtype) * tokens).sum(1)
        return pooled
