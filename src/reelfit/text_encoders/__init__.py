"""The text encoders: one file each, one row each."""

from typing import Any, Final

from reelfit.errors import StudyError
from reelfit.models import with_options
from reelfit.text_encoders.hf_text import HFText
from reelfit.text_encoders.text_encoder import TextEncoder
from reelfit.text_encoders.text_transformer import TextTransformer

TEXT_ENCODERS: Final[dict[str, type[TextEncoder]]] = {
    "hf_text": HFText,
    "text_transformer": TextTransformer,
}


def make_text_encoder(name: str, options: dict[str, Any]) -> TextEncoder:
    """The text encoder ``name`` with its options.

    Raises:
        StudyError: no such encoder or option; names the nearest.
    """
    if name not in TEXT_ENCODERS:
        known = ", ".join(TEXT_ENCODERS)
        raise StudyError(f"text_encoder: {name} is not a text encoder; known: {known}")
    return with_options(TEXT_ENCODERS[name], name, options, place="text_encoder")
