"""Elastic deformation: the picture on a sheet of rubber."""

from collections.abc import Mapping
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor
from typing_extensions import override

from reelfit.augment.augmentation import PLACE_BITS, GeometricAugmentation, Places

_CELLS = 4
_CONTROLS = _CELLS + 3
_WEIGHT_BITS = 10


@final
class Elastic(GeometricAugmentation):
    """Pulled smoothly this way and that, by one field for all frames.

    Strength is the largest displacement as a share of the shorter side (0..0.06); up to there no
    part is ever folded over another. What comes in at the border is the mirrored picture. Source:
    P. Simard, D. Steinkraus and J. Platt, Best practices for convolutional neural networks
    (ICDAR 2003), smoothed by cubic B-splines (D. Rueckert et al., Nonrigid registration using
    free-form deformations, 1999) on a grid of 4 cells a side.
    """

    max_strength = 0.06
    probability = 0.25

    @override
    def draw(
        self, generator: np.random.Generator, *, strength: float, num_frames: int
    ) -> dict[str, Any]:
        """``share`` of the shorter side, over half the strength to all of it; the ``seed``."""
        return {
            "share": generator.uniform(strength / 2, strength),
            "seed": int(generator.integers(2**63)),
        }

    @override
    def sources(self, places: Places, drawn: Mapping[str, Any]) -> Places:
        """The places, each displaced by the field, which spans the picture as it comes out."""
        height, width = places.x.shape
        most = round(drawn["share"] * min(height, width) * (1 << PLACE_BITS))
        controls = _controls(drawn["seed"], most=most).to(places.x.device)
        across, along = (_weights(side).to(places.x.device) for side in (width, height))
        # Weights of 10 bits on each side leave 33 of float64's 53 for the displacement: exact.
        shifts = (along @ controls @ across.T).mul_(2.0 ** (-2 * _WEIGHT_BITS)).round_().long()
        return Places(places.x + shifts[0], places.y + shifts[1])


def _controls(seed: int, *, most: int) -> Float64[Tensor, "2 controls controls"]:
    """The displacements that the field blends, even over -most..most, in 1/65536 of a pixel."""
    generator = np.random.Generator(np.random.Philox(key=seed))
    drawn = generator.integers(-most, most, size=(2, _CONTROLS, _CONTROLS), endpoint=True)
    return torch.from_numpy(drawn).double()


def _weights(length: int) -> Float64[Tensor, "length controls"]:
    """How much of each control every pixel gets, in 1/1024, with a sum of exactly one."""
    one, inside = 1 << _WEIGHT_BITS, 2 * length
    # The cell of each pixel's centre, and how far it lies in it, in 1/(2 length) of a cell.
    at = (2 * torch.arange(length) + 1) * _CELLS
    cell, rest = at // inside, at % inside
    weights = torch.zeros(length, _CONTROLS, dtype=torch.float64)
    for step, share in enumerate(_bspline(rest, inside, one=one)):
        weights[torch.arange(length), cell + step] = share.double()
    return weights


def _bspline(
    rest: Int64[Tensor, " length"], inside: int, *, one: int
) -> list[Int64[Tensor, " length"]]:
    """The four weights of the uniform cubic B-spline, in whole parts of ``one``."""
    back, cube = inside - rest, 6 * inside**3
    first, last = (
        (2 * one * side**3 + cube).div(2 * cube, rounding_mode="floor") for side in (back, rest)
    )
    near = 4 * inside**3 - 6 * inside * rest**2 + 3 * rest**3
    second = (2 * one * near + cube).div(2 * cube, rounding_mode="floor")
    return [first, second, one - first - second - last, last]
