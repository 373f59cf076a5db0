"""A launcher whose children have the stage of dying_child.py."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reelfit.launch.local import LocalLauncher
from reelfit.runs import start_run
from reelfit.study_yaml import read_study

DYING_CHILD = Path(__file__).with_name("dying_child.py")
MIB = 2**20


@pytest.fixture
def launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., LocalLauncher]:
    """``launcher(workers=2, retries=2)``, in a run of its own."""
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{DYING_CHILD}"\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    (tmp_path / "study.yaml").write_text("videos: {folder: clips}\nmodels: [naive_cnn]\n")

    def make(*, workers: int = 1, retries: int = 2, **more: Any) -> LocalLauncher:
        study = read_study(
            tmp_path / "study.yaml", changes=[f"launch.retries={retries}"], environment={}
        )
        run = start_run(study, listing_digest="0" * 64, facts={})
        return LocalLauncher(
            run_folder=run,
            study=study,
            workers=workers,
            threads=1,
            host_bytes=512 * MIB * workers,
            **more,
        )

    return make
