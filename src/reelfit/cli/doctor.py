"""The machine as Reelfit sees it: what it has, what it lacks, and what a child is told."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from reelfit import __version__
from reelfit.memory.allocator import child_variables
from reelfit.memory.budget import (
    UNIT_BYTES,
    available_cores,
    format_size,
    free_memory,
    host_budget,
)
from reelfit.memory.devices import ask_devices
from reelfit.report.wording import count


def examine(runs: Path) -> dict[str, Any]:
    """All findings as JSON values; ``problems`` says in sentences what no study can run with."""
    threads = available_cores()
    variables = child_variables(os.environ, threads=threads)
    found: dict[str, Any] = {
        "reelfit": __version__,
        "python": {"version": platform.python_version(), "executable": sys.executable},
        "processors": {"usable": threads, "installed": os.cpu_count()},
        "memory": {**asdict(free_memory()), "auto_bytes": host_budget("auto")},
        "disk": {"folder": str(runs.absolute()), "free_bytes": _free_disk(runs)},
        "environment": [asdict(v) for v in variables],
        **_ask_torch(threads),
    }
    return found | {"problems": list(_problems(found))}


def _ask_torch(threads: int) -> dict[str, Any]:
    """What torch is and finds, from a process like those that units run in."""
    facts = ask_devices(threads=threads)
    if "error" in facts:
        return {"torch": facts, "gpus": [], "hard_limit": None}
    gpus, hard_limit = facts.pop("gpus"), facts.pop("hard_limit")
    version = facts.pop("torch")
    return {"torch": {"version": version, **facts}, "gpus": gpus, "hard_limit": hard_limit}


def _free_disk(folder: Path) -> int:
    """Free where ``folder`` stands or would be made."""
    folder = folder.absolute()
    standing = next(place for place in (folder, *folder.parents) if place.exists())
    return shutil.disk_usage(standing).free


def _problems(found: dict[str, Any]) -> Iterator[str]:
    if "error" in found["torch"]:
        yield f"torch cannot be used: {found['torch']['error']}; install Reelfit anew"
    if found["memory"]["auto_bytes"] < UNIT_BYTES:
        yield (
            f"{format_size(found['memory']['free_bytes'])} of main memory are free; one process "
            f"with torch needs {format_size(UNIT_BYTES)}: close other programs"
        )


def print_findings(found: dict[str, Any]) -> None:
    """The findings as two tables on standard output, and the problems below."""
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    facts = Table(box=None, pad_edge=False, show_header=False)
    facts.add_column(style="bold")
    facts.add_column(overflow="fold")
    for name, value in _rows(found):
        facts.add_row(name, value)
    console.print(facts)
    told = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("told to a child", "value", "set by", "why"):
        told.add_column(title, no_wrap=title != "why")
    for variable in found["environment"]:
        told.add_row(*(variable[name] for name in ("name", "value", "set_by", "why")))
    console.print()
    console.print(told)
    for problem in found["problems"]:
        console.print(f"\nproblem: {problem}", markup=False)


def _rows(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "reelfit", found["reelfit"]
    yield "Python", "{version}, {executable}".format(**found["python"])
    yield "torch", _torch_text(found["torch"])
    for gpu in found["gpus"]:
        free, total = format_size(gpu["free_bytes"]), format_size(gpu["total_bytes"])
        yield "GPU", f"{gpu['name']}, {free} free of {total}"
    if not found["gpus"]:
        yield "GPU", "none that torch can use: networks train on the processors"
    yield "processors", "{usable} usable of {installed}".format(**found["processors"])
    sizes = {name: format_size(v) for name, v in found["memory"].items() if name != "bounded_by"}
    yield (
        "main memory",
        f"{sizes['free_bytes']} free of {sizes['total_bytes']}, which the "
        f"{found['memory']['bounded_by']} sets; memory.host: auto is {sizes['auto_bytes']}",
    )
    yield "limit of memory", _limit_text(found["hard_limit"])
    yield "disk", f"{format_size(found['disk']['free_bytes'])} free for {found['disk']['folder']}"


def _torch_text(torch: dict[str, Any]) -> str:
    if "error" in torch:
        return f"cannot be used: {torch['error']}"
    cuda = f"built for CUDA {torch['cuda']}" if torch["cuda"] else "built without CUDA"
    return f"{torch['version']}, {cuda}, {count(torch['threads'], 'thread')}"


def _limit_text(hard: bool | None) -> str:
    if hard is None:
        return "not known without torch's answer"
    if hard:
        return (
            "hard: what exceeds it fails inside the process and is recovered (RLIMIT_DATA, tried)"
        )
    return "soft: this system does not hold a process to it; the plan and a watch alone do"
