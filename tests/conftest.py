"""Shapes and types are checked while tests run."""

from jaxtyping import install_import_hook

install_import_hook("reelfit", "beartype.beartype")
