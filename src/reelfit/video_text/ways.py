"""The ways to write a caption, as settings; without torch, for whoever reads a study."""

from typing import Annotated, Literal, final

from pydantic import Field

from reelfit.settings import Settings


@final
class Greedy(Settings):
    """The likeliest token after those before, each time."""

    how: Literal["greedy"] = "greedy"
    """The likeliest token, each time."""


@final
class Beam(Settings):
    """The best of the captions that are kept while some of them are written side by side.

    At each place the likeliest continuations go on, as many as there are beams less the captions
    that have ended; one that ends keeps its beam. The best has the greatest log-probability divided
    by the number of its tokens, its end among them, to the power ``length_power``; one that was cut
    counts as it stands. One beam is ``greedy``; as many beams as there are captions find the best.

    Source: Wu et al., Google's neural machine translation system (2016), for the division by a
    power of the length.
    """

    how: Literal["beam"] = "beam"
    """The best of several captions written side by side."""
    beams: int = Field(default=4, ge=1)
    """Captions written side by side."""
    length_power: float = Field(default=1.0, ge=0)
    """1 compares captions by the mean of their tokens, 0 by the sum, which prefers short ones."""


@final
class Nucleus(Settings):
    """Each token drawn from the likeliest ones that together reach a probability.

    Source: Holtzman et al., The curious case of neural text degeneration (2020).
    """

    how: Literal["nucleus"] = "nucleus"
    """Drawn from the likeliest tokens."""
    top_p: float = Field(default=0.9, gt=0, le=1)
    """The probability that the tokens drawn from reach together."""
    temperature: float = Field(default=1.0, gt=0)
    """What logits are divided by: below 1 the likely tokens become likelier."""


Way = Annotated[Greedy | Beam | Nucleus, Field(discriminator="how")]
"""One of them, told apart by ``how``."""
