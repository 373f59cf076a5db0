"""The tasks: what a model's outputs mean, how they are scored and how they are judged."""

from typing import Final

from reelfit.tasks.classify import Classify
from reelfit.tasks.task import Task

TASKS: Final[dict[str, type[Task]]] = {"classify": Classify}
