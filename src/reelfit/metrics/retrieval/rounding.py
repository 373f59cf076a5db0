"""How far a computed score may be from the true one, and which product is as near and faster."""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

UNIT = 2.0**-24
"""Half the distance from 1 to the next number of single precision."""
DOUBLE_UNIT = 2.0**-53
PROBE_ROWS, PROBE_COLUMNS = 256, 1024
PROBES = 5
WORTH_A_PROBE = 2e11
"""Operations of a product from which on 0.1 s of comparing ways to compute it is little."""

_ALONE = threading.Lock()
_WAYS: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]


def expected_error(width: int) -> float:
    """Of a product of vectors of length 1 in single precision: what differences stay below.

    Rounding errors of a sum of n grow as the root of n where they are independent; 4 more are for
    the lengths and the comparison. No proof for each single score: of 10^7 random ones measured
    the furthest was off by a sixth.

    Source: N. Higham, T. Mary, A new approach to probabilistic rounding error analysis, SIAM
    Journal on Scientific Computing 41(5), 2019.
    """
    return (math.sqrt(width) + 4) * UNIT


def largest_error(width: int) -> float:
    """The same without exception, in whatever order the products are added.

    Source: N. Higham, Accuracy and Stability of Numerical Algorithms, SIAM 2002, section 3.1.
    """
    steps = (width + 6) * UNIT
    return steps / (1 - steps)


def double_error(width: int) -> float:
    """Within which two scores in double precision count as equal."""
    return 2 * (width + 6) * DOUBLE_UNIT


@contextmanager
def one_processor_each() -> Iterator[int]:
    """Within it each thread computes by itself; gives the number of threads that there may be.

    torch has this number and the way to multiply for all of a process: both are as before
    afterwards, and one call at a time is inside. Other threads that use torch meanwhile have one
    processor each.
    """
    with _ALONE:
        threads = torch.get_num_threads()
        try:
            torch.set_num_threads(1)
            yield threads
        finally:
            torch.set_num_threads(threads)


@contextmanager
def fastest_products(*, operations: float, width: int, proven: bool) -> Iterator[None]:
    """Within it products are as exact as in single precision, and computed the fastest way.

    ``proven``: only the way whose largest error is proven.
    """
    way = _WAYS.fp32_precision
    try:
        _WAYS.fp32_precision = "ieee"
        if not proven and operations > WORTH_A_PROBE:
            _WAYS.fp32_precision = _fastest_way(width)
        yield
    finally:
        _WAYS.fp32_precision = way


def _fastest_way(width: int) -> str:
    """``bf16`` (which oneDNN need not take literally) where it is as exact, and faster by 5 %."""
    generator = torch.Generator().manual_seed(0)
    one, other = (
        torch.nn.functional.normalize(torch.randn(rows, width, generator=generator))
        for rows in (PROBE_ROWS, PROBE_COLUMNS)
    )
    out = torch.empty(PROBE_ROWS, PROBE_COLUMNS)
    true = one.double() @ other.double().T
    seconds = {}
    for way in ("ieee", "bf16"):
        _WAYS.fp32_precision = way
        spent = []
        for _ in range(PROBES):
            began = time.perf_counter()
            torch.mm(one, other.T, out=out)
            spent.append(time.perf_counter() - began)
        seconds[way] = min(spent)
        if float((out - true).abs().max()) > expected_error(width) / 3:
            seconds[way] = math.inf
    return "bf16" if seconds["bf16"] < 0.95 * seconds["ieee"] else "ieee"
