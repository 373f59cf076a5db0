"""The tasks as training has them: one file each, one row each."""

from typing import Final

from reelfit.stages.learners.labelling import Labelling
from reelfit.stages.learners.learner import Learner
from reelfit.stages.learners.pairing import Pairing

LEARNERS: Final[dict[str, type[Learner]]] = {"classify": Labelling, "retrieve": Pairing}
