"""A labelled set of real-looking clips, made here: pristine ones and their tampered twins."""

from reelfit.demo.clip_set import make_demo_set

__all__ = ["make_demo_set"]
