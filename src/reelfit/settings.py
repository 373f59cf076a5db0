"""The base of all settings: frozen, strict about names, documented field by field."""

from pydantic import BaseModel, ConfigDict
from pydantic.config import JsonDict

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
"""What can be the name of a folder on any system."""
NO_EFFECT: JsonDict = {"changes_result": False}
"""Marks a field (``json_schema_extra=NO_EFFECT``) that is left out of the study's hash."""
AFTER_TRAINING: JsonDict = {"after_training": True}
"""Marks a field that says how finished models are judged: a change leaves the run the same."""


class Settings(BaseModel):
    """Settings live beside their owner; the sentence under a field is its documentation."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        validate_default=True,
    )
