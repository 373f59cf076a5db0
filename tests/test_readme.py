"""What README, CONTRIBUTING and docs/ say can be done as it stands there."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from numbered_video import Recipe, write_video
from reelfit.cli.commands import app
from reelfit.study_yaml import explain, read_study

HERE = Path(__file__).parents[1]
README = (HERE / "README.md").read_text()
BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.DOTALL | re.MULTILINE)
CODE = BLOCK.findall(README)
DOCS = sorted((HERE / "docs").glob("*.md"))
EVERYWHERE = "".join(CODE + [code for path in DOCS for code in BLOCK.findall(path.read_text())])
COMMANDS = sorted(
    {line.split("#")[0].strip() for line in EVERYWHERE.splitlines() if line[:8] == "reelfit "}
)


@pytest.mark.parametrize("line", COMMANDS)
def test_each_command_is_one_that_reelfit_takes(line: str):
    _, name, *arguments = shlex.split(line)
    top = typer.main.get_command(app)
    command = top.commands[name]  # type: ignore[attr-defined]
    context = command.make_context(name, arguments, resilient_parsing=True)
    assert not context.args
    for argument in arguments:
        options = [option for parameter in command.params for option in parameter.opts]
        assert not argument.startswith("-") or argument in options


def test_the_commands_of_make_are_there():
    makefile = (HERE / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", "".join(CODE), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_the_study_is_one_that_reelfit_reads(tmp_path: Path):
    (text,) = [code for code in CODE if code.startswith("task:")]
    (tmp_path / "study.yaml").write_text(text)
    study = read_study(tmp_path / "study.yaml", environment={})
    assert [choice.id for choice in study.models] == [
        "handcrafted_logistic",
        "naive_cnn",
        "r2plus1d",
    ]
    for place in re.findall(r"--explain\s+([\w.]+\w)", README):
        assert explain(place)


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_program_in_docs_runs(path: Path, tmp_path: Path):
    write_video(tmp_path / "a.mp4", Recipe(num_frames=61))  # for those that open one
    for program in re.findall(r"^```python\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE):
        told = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert told.returncode == 0, told.stderr


def test_the_tree_of_folders_names_what_is_there():
    (tree,) = [code for code in CODE if code.startswith("src/reelfit/\n")]
    named = {
        word
        for line in tree.splitlines()
        for word in re.split(r"\s{2,}", line.strip())[0].replace(":", "").split()
        if "/" in word or word.endswith(".py")
    }
    source = HERE / "src" / "reelfit"
    folders = {f"{path.name}/" for path in source.iterdir() if (path / "__init__.py").exists()}
    assert folders <= named
    for name in named:
        assert (source / name).exists() or (HERE / name).exists(), name


def test_every_link_to_a_file_leads_somewhere():
    for path in (*(HERE / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG")), *DOCS):
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
            assert "://" in target or (path.parent / target).exists(), target
