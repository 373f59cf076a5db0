"""What can be asked of Reelfit on the command line.

Heavy imports stand inside the commands: ``reelfit --help`` answers in a blink.
"""

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from reelfit import __version__
from reelfit.cli.options import (
    AsJson,
    Changes,
    Fresh,
    Memory,
    Quiet,
    StudyFile,
    Verbose,
    memory_changes,
)
from reelfit.errors import RunError, StudyError

if TYPE_CHECKING:
    from reelfit.cli.display import Voice

app = typer.Typer(
    help="Trains video models inside the memory you have, and never loses work.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _top(
    version: Annotated[bool, typer.Option("--version", help="Say the version.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def run(  # noqa: PLR0917  the options of a command
    study_file: StudyFile,
    changes: Changes = None,
    memory: Memory = None,
    fresh: Fresh = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    as_json: AsJson = False,
) -> None:
    """Run a study, or go on with it where it stopped."""
    from reelfit.cli.display import choose_voice

    voice = choose_voice(quiet=quiet, verbose=verbose, as_json=as_json)
    _run(study_file, [*(changes or []), *memory_changes(memory)], fresh=fresh, voice=voice)


@app.command()
def demo(  # noqa: PLR0913, PLR0917  the options of a command
    task: Annotated[
        Literal["classify", "retrieve"],
        typer.Option(help="Tampered clips to tell apart, or moving shapes to find by captions."),
    ] = "classify",
    out: Annotated[
        Path | None,
        typer.Option(
            help="The folder for videos, study and runs.",
            show_default="reelfit-demo; with --task retrieve reelfit-demo-retrieve",
        ),
    ] = None,
    videos: Annotated[
        Path | None, typer.Option(help="A folder of your own clips, taken as the pristine ones.")
    ] = None,
    sources: Annotated[
        int | None,
        typer.Option(min=10, help="Scenes, where no clips are given.", show_default="24"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed gives other videos.")] = 0,
    changes: Changes = None,
    memory: Memory = None,
    fresh: Fresh = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    as_json: AsJson = False,
) -> None:
    """Make a small set of clips with labels, or with captions, and run a study on it."""
    from reelfit.cli.demo import make_set
    from reelfit.cli.display import choose_voice

    voice = choose_voice(quiet=quiet, verbose=verbose, as_json=as_json)
    study_file = make_set(task, out, videos=videos, sources=sources, seed=seed, voice=voice)
    _run(study_file, [*(changes or []), *memory_changes(memory)], fresh=fresh, voice=voice)


@app.command()
def plan(
    study_file: StudyFile,
    changes: Changes = None,
    memory: Memory = None,
    as_json: AsJson = False,
) -> None:
    """Say what each network will hold and how its steps are cut, without training it."""
    from reelfit.cli.display import choose_voice
    from reelfit.errors import OutOfMemoryError
    from reelfit.session import foresee
    from reelfit.study_yaml import read_study

    voice = choose_voice(quiet=True, verbose=False, as_json=as_json)
    asked = read_study(study_file, changes=[*(changes or []), *memory_changes(memory)])
    with _mendable(study_file, voice):
        plans = foresee(asked, display=voice.display())
    voice.plans(plans)
    if not plans and not as_json:
        typer.echo("no model of this study is a network: nothing is cut")
    if any(isinstance(plan, OutOfMemoryError) for plan in plans.values()):
        raise typer.Exit(1)


@app.command()
def status(
    place: Annotated[
        Path, typer.Argument(metavar="STUDY|FOLDER", help="A study, or a folder of runs.")
    ] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Say how far the runs are: finished, at work, or stopped."""
    from reelfit.cli.display import print_table
    from reelfit.cli.overview import folder_of_runs, overview

    folder = folder_of_runs(place)
    rows = overview(folder)
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row))
    elif rows:
        print_table(rows)
    else:
        typer.echo(f"{folder}: there is no run yet")


@app.command(name="memory")
def analyse_memory(
    place: Annotated[
        Path, typer.Argument(metavar="RUN|STUDY", help="A run's folder, or a study: its newest.")
    ],
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the SVG goes; else into the run.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a run held: peaks, growth (does anything leak?), recoveries and their cost."""
    from reelfit.cli.consumption import as_object, draw, read_consumption, run_at, tell

    asked = run_at(place)
    found = read_consumption(asked)
    drawn = draw(asked, picture)
    if as_json:
        typer.echo(json.dumps({"run": str(asked.folder), "picture": drawn, **as_object(found)}))
    else:
        tell(found, picture=drawn)


@app.command()
def models(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME ...]", help="Some models instead of all.")
    ] = None,
    study_file: Annotated[
        Path | None,
        typer.Option("--study", metavar="STUDY", help="Take clips, recipe and budget from it."),
    ] = None,
    changes: Changes = None,
    memory: Memory = None,
    as_json: AsJson = False,
) -> None:
    """List the models: parameters, activations, and how much of a step fits a budget at once."""
    from reelfit.cli.display import choose_voice, print_table
    from reelfit.cli.models import caption, figures_of, known_models, study_of, table_of

    laid_over = [*(changes or []), *memory_changes(memory)]
    asked = study_of(names or known_models(), study_file, laid_over)
    voice = choose_voice(quiet=as_json, verbose=False, as_json=False)
    rows = figures_of(asked, voice.display(), keep=study_file is not None)
    voice.close()
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row))
    else:
        print_table(table_of(rows), sentences=("",))
        typer.echo(caption(asked, rows))


@app.command()
def look(
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="A video file.")],
    study_file: Annotated[
        Path, typer.Option("--study", metavar="STUDY", help="The study that would use it.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the PNG goes.")] = Path(
        "sheet.png"
    ),
    changes: Changes = None,
) -> None:
    """Draw a video's clip and its augmented copies, as a study's models will see them."""
    from reelfit.cli.look import look_at
    from reelfit.study_yaml import read_study

    known = look_at(video, read_study(study_file, changes=changes or []), out)
    typer.echo(f"{video}: {known}")
    typer.echo(f"drawn to {out}")


@app.command()
def doctor(
    runs: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="The folder where runs would go.")
    ] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Say what this machine has, as Reelfit sees it, and what a child process is told."""
    from reelfit.cli.doctor import examine, print_findings

    found = examine(runs)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        print_findings(found)
    if found["problems"]:
        raise typer.Exit(1)


@app.command()
def study(
    study_file: Annotated[
        Path | None, typer.Argument(metavar="[STUDY]", help="A study to check and spell out.")
    ] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema.")] = False,
    explain: Annotated[
        str | None, typer.Option(metavar="SETTING", help="Tell what a setting means.")
    ] = None,
    changes: Changes = None,
) -> None:
    """Spell out a study with every default, or tell what can stand in one."""
    from reelfit import study_yaml
    from reelfit.study import Study

    if schema:
        typer.echo(json.dumps(Study.model_json_schema(), indent=2))
    elif explain is not None:
        typer.echo(study_yaml.explain(explain))
    elif study_file is not None:
        read = study_yaml.read_study(study_file, changes=changes or [])
        typer.echo(study_yaml.study_text(read), nl=False)
    else:
        raise typer.BadParameter("give a study, --schema or --explain SETTING")


def _run(study_file: Path, changes: list[str], *, fresh: bool, voice: "Voice") -> None:
    from reelfit.session import carry_out
    from reelfit.study_yaml import read_study

    asked = read_study(study_file, changes=changes)
    again = shlex.join(["reelfit", *sys.argv[1:]]).replace(" --fresh", "")
    try:
        with _mendable(study_file, voice):
            session = carry_out(asked, fresh=fresh, display=voice.display(), on_run=voice.begins)
    except RunError as error:
        voice.close()
        raise RunError(f"{error}\nto go on once it is mended: {again}") from None
    except KeyboardInterrupt:
        voice.close()
        voice.interrupted(again)
        raise typer.Exit(130) from None
    voice.close()
    voice.ends(session)


@contextmanager
def _mendable(study_file: Path, voice: "Voice") -> Iterator[None]:
    """What the study asks in vain is shown with its line."""
    from reelfit.study_yaml import line_of

    try:
        yield
    except StudyError as error:
        voice.close()
        where = line_of(study_file, error.place) if error.place else ""
        raise StudyError(f"{study_file}{where}: {error}" if error.place else str(error)) from None
