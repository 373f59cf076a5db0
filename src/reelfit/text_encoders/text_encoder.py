"""What a text encoder is: options of a tokenizer, and of a network on its tokens."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import nn

from reelfit.settings import Settings
from reelfit.text_encoders.tokens import Tokenizer


class TextEncoder(Settings, ABC):
    """The options of a text encoder."""

    @abstractmethod
    def tokenizer(self, texts: Sequence[str]) -> Tokenizer:
        """The tokenizer, of the training's ``texts`` where it learns its vocabulary from them.

        The order of the texts is without effect.
        """

    @abstractmethod
    def build(self, tokenizer: Tokenizer) -> nn.Module:
        """A module from rows of tokens, ``batch token``, to ``batch width``; ``width`` is an int.

        Padding is without effect. Initial weights come from torch's generator, seeded by the
        caller. Parameters that are not to be trained do not require a gradient.
        """

    def rate_factors(self, network: nn.Module) -> dict[str, float]:
        """Of parameters that learn at another rate than the study's: name and factor."""
        del network
        return {}
