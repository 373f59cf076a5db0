"""Sets made here: real-looking clips and their tampered twins, moving shapes and their captions."""

from reelfit.demo.clip_set import make_demo_set
from reelfit.demo.shapes import make_shapes_set

__all__ = ["make_demo_set", "make_shapes_set"]
