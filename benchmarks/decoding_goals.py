"""What issue 4 asks of decoding, held against the rows of ``decoding.py``."""

from typing import Any

from made_videos import LONG, MAIN

RATIO, FLOOR = "cpu_to_torchcodec_exact", "cpu_to_floor"
WHOLE_OVER_OURS = 60

Rows = dict[str, dict[str, Any]]
"""By cell and contender."""


def goals(rows: Rows, codecs: dict[str, str]) -> list[dict[str, Any]]:
    """Each goal with the worst of the cells that it is set for: it holds if that one holds."""
    h264, hevc = ([c for c in rows if codecs[c] == codec] for codec in ("h264", "hevc"))
    return [
        at_most(0.75, RATIO, "H.264", rows, h264),
        at_most(0.55, RATIO, "HEVC", rows, hevc),
        at_most(0.35, RATIO, "two minutes of 1080p", rows, [c for c in rows if LONG in c]),
        at_most(1.0, RATIO, "every file", rows, list(rows)),
        at_most(1.15, FLOOR, "every file", rows, list(rows)),
        whole_over_ours(rows),
    ]


def at_most(limit: float, key: str, what: str, rows: Rows, cells: list[str]) -> dict[str, Any]:
    """The goal that Reelfit's ``key`` is no larger in any of ``cells``."""
    goal = {"goal": f"{key} on {what}", "limit": f"at most {limit}"}
    figures = {cell: rows[cell]["reelfit"].get(key) for cell in cells}
    if not figures or None in figures.values():
        return goal | {"held": "not measured"}
    worst = max(figures, key=lambda cell: figures[cell])
    failing = {cell: figure for cell, figure in figures.items() if figure > limit}
    found = {"held": not failing, "worst": figures[worst], "of": worst}
    return goal | found | ({"not_held_by": failing} if failing else {})


def whole_over_ours(rows: Rows) -> dict[str, Any]:
    """The original systems' headline: decoding ten seconds of 1080p whole, over what ours holds."""
    limit = f"at least {WHOLE_OVER_OURS} times"
    goal = {"goal": "peak memory of whole-video decoding over ours", "limit": limit}
    factors = {
        cell: round(rows[cell]["pyav_whole"][key] / rows[cell]["reelfit"][key], 1)
        for cell in rows
        for key in ["peak_over_base_mib"]
        if MAIN in cell and all(key in rows[cell][name] for name in ("pyav_whole", "reelfit"))
    }
    if not factors:
        return goal | {"held": "not measured"}
    worst = min(factors, key=lambda cell: factors[cell])
    return goal | {"held": factors[worst] >= WHOLE_OVER_OURS, "worst": factors[worst], "of": worst}
