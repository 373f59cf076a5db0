"""Reelfit trains video models inside the memory you have, and never loses work."""

__version__ = "0.1.0"
