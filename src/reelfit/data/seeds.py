"""Every random number as a function of what it is for, never of place, order or machine.

A generator is made from the study's seed, a purpose and the identity of what it serves, so there
is no state to save: the same question gives the same numbers in any process, in any order.
"""

import hashlib

import numpy as np


def seed_for(seed: int, purpose: str, *identity: str | int) -> int:
    """63 bits that depend on all of (seed, purpose, identity) and on nothing else."""
    text = "\x1f".join([str(seed), purpose, *(str(part) for part in identity)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1


def generator_for(seed: int, purpose: str, *identity: str | int) -> np.random.Generator:
    """A counter-based generator for one purpose and identity.

    Source: Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (2011), as NumPy's Philox.
    """
    return np.random.Generator(np.random.Philox(key=seed_for(seed, purpose, *identity)))


def clip_generator(seed: int, video_id: str, copy: int) -> np.random.Generator:
    """The generator of one copy of one video's clip; ``video_id`` is made from its content."""
    return generator_for(seed, "clip", video_id, copy)
