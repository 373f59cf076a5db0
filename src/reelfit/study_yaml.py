"""A study in a YAML file: read, laid over by environment and command line, explained in words."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from io import StringIO
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from reelfit.data.checkpoint_files import is_folder_name
from reelfit.errors import StudyError
from reelfit.study import ModelChoice, Study
from reelfit.video_text.settings import TextEncoderChoice

_Places = TypeVar("_Places", bound=BaseModel)
_Choices = TypeVar("_Choices", ModelChoice, TextEncoderChoice)
ENVIRONMENT_PREFIX = "REELFIT_"
_FROM_ENVIRONMENT = ("runs", "memory", "launch", "videos.root")
_NOT_A_KEY = re.compile(
    r"(function-\w+|literal|lax-or-strict|constrained-\w+|dict|list)\[.*|int|str"
)
"""What pydantic puts into the place of a mistake beside keys and positions."""


def read_study(
    path: Path,
    *,
    changes: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Study:
    """The study in a YAML file, with changes such as ``train.epochs=3`` laid over it.

    ``REELFIT_MEMORY_HOST=4GiB`` and its like in the environment stand between the two.

    Raises:
        StudyError: names the file, the line, the setting and what to write instead.
    """
    tree, lines = _read_yaml(path)
    for place, value in _from_environment(os.environ if environment is None else environment):
        _lay_over(tree, place, value)
    study = _checked(tree, changes, path, lines)
    return _with_absolute_paths(study, path.absolute().parent)


def study_of_models(names: Sequence[str], *, changes: Sequence[str] = ()) -> Study:
    """What the defaults say of these models, with changes: for all that is done without videos.

    Raises:
        StudyError: a change that no study takes.
    """
    tree = {"videos": {"folder": "."}, "models": list(names)}
    return _checked(tree, changes, Path("--set"), None)


def _checked(tree: dict[str, Any], changes: Sequence[str], path: Path, lines: Any) -> Study:
    for change in changes:
        place, equals, value = change.partition("=")
        if not equals:
            raise StudyError(f"--set {change}: write it as --set train.epochs=3")
        _lay_over(tree, place.strip(), YAML(typ="safe", pure=True).load(value))
    try:
        return Study.model_validate(tree)
    except ValidationError as error:
        raise StudyError(_first_mistake(error, path, lines)) from None


def study_text(study: Study) -> str:
    """The study as YAML that ``read_study`` takes, every default spelled out."""
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = StringIO()
    yaml.dump(study.model_dump(mode="json"), stream)
    return stream.getvalue()


def explain(place: str) -> str:
    """A setting's meaning, type and default, or the settings of a section.

    Raises:
        StudyError: there is no such setting; names the nearest.
    """
    owner: type[BaseModel] = Study
    parts = place.split(".")
    for depth, part in enumerate(parts):
        if part not in owner.model_fields:
            raise StudyError(_not_a_setting(tuple(parts[: depth + 1]), owner))
        field = owner.model_fields[part]
        inner = _section(field.annotation)
        if depth + 1 < len(parts) and inner is None:
            raise StudyError(f"{'.'.join(parts[: depth + 1])} has no settings below it")
        owner = inner or owner
    text = f"{place}: {field.description}\n"
    if inner is not None:
        names = [f"  {place}.{name}: {f.description}" for name, f in inner.model_fields.items()]
        return text + "\n".join(names)
    default = "must be given" if field.is_required() else _shown(field.default)
    return text + f"  type: {_kind(field.annotation)}\n  default: {default}"


def _kind(annotation: Any) -> str:
    """A type as a person writes its values."""
    parts = get_args(annotation)
    origin = get_origin(annotation)
    if origin is None:
        names = {type(None): "null", Path: "path", bool: "true, false", float: "number"}
        return names.get(annotation, getattr(annotation, "__name__", str(annotation)))
    if origin is Literal:
        return ", ".join(map(str, parts))
    if origin in (Union, UnionType):
        return " or ".join(map(_kind, parts))
    if origin is tuple and parts[-1] is not Ellipsis:
        return f"[{', '.join(map(_kind, parts))}]"
    inner = _kind(parts[1] if origin is dict else parts[0])
    return {Annotated: inner, dict: f"{{name: {inner}}}"}.get(origin, f"list of {inner}")


def _shown(value: Any) -> str:
    return json.dumps(value, default=str).strip('"')


def _read_yaml(path: Path) -> tuple[dict[str, Any], Any]:
    if not path.is_file():
        raise StudyError(f"{path}: there is no such study")
    try:
        lines = YAML(typ="rt", pure=True).load(path)
        plain = YAML(typ="safe", pure=True).load(path)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f":{mark.line + 1}" if mark else ""
        problem = str(error.problem).split("\n", maxsplit=1)[0]
        raise StudyError(f"{path}{where}: this is not YAML: {problem}") from None
    except (UnicodeDecodeError, ValueError) as error:
        raise StudyError(f"{path}: this is not a text in UTF-8: {error}") from None
    if not isinstance(plain, dict):
        raise StudyError(f"{path}: a study is a list of settings, such as 'task: classify'")
    return plain, lines


def _from_environment(environment: Mapping[str, str]) -> list[tuple[str, Any]]:
    found = []
    for name in sorted(environment):
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        place = name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("_", ".", 1)
        if not any(place == root or place.startswith(root + ".") for root in _FROM_ENVIRONMENT):
            names = ", ".join(f"{ENVIRONMENT_PREFIX}{n}" for n in ("RUNS", "MEMORY_HOST", "..."))
            raise StudyError(
                f"the environment variable {name} sets nothing; those that do are like {names}"
            )
        found.append((place, YAML(typ="safe", pure=True).load(environment[name])))
    return found


def _lay_over(tree: dict[str, Any], place: str, value: Any) -> None:
    *sections, last = place.split(".")
    for section in sections:
        inner = tree.setdefault(section, {})
        if not isinstance(inner, dict):
            raise StudyError(f"{place} cannot be set: {section} has no settings below it")
        tree = inner
    tree[last] = value


def _section(annotation: Any) -> type[BaseModel] | None:
    candidates = [annotation, *getattr(annotation, "__args__", ())]
    for candidate in candidates:
        inner = getattr(candidate, "__origin__", candidate)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            return inner
    return None


def _not_a_setting(place: tuple[str | int, ...], owner: type[BaseModel]) -> str:
    *above, name = [str(part) for part in place]
    near = get_close_matches(name, list(owner.model_fields), n=1, cutoff=0.5)
    prefix = ".".join([*above, ""])
    hint = f"did you mean {prefix}{near[0]}?" if near else f"known: {', '.join(owner.model_fields)}"
    return f"{prefix}{name} is not a setting; {hint}"


def _first_mistake(error: ValidationError, path: Path, lines: Any) -> str:
    first = error.errors()[0]
    place = tuple(part for part in first["loc"] if not _NOT_A_KEY.fullmatch(str(part)))
    owner: type[BaseModel] = Study
    for part in place[:-1]:
        if isinstance(part, str) and part in owner.model_fields:
            owner = _section(owner.model_fields[part].annotation) or owner
    where = f"{path}{_line_of(place, lines)}"
    name = ".".join(str(part) for part in place) or "the study"
    if first["type"] == "extra_forbidden":
        return f"{where}: {_not_a_setting(place, owner)}"
    if first["type"] == "missing":
        return f"{where}: {name} is missing; reelfit study --explain {name} tells what it is"
    said = str(first["msg"]).removeprefix("Value error, ")
    given = "" if isinstance(first["input"], dict) else f" (found {first['input']!r})"
    return f"{where}: {name}: {said}{given}"


def line_of(path: Path, place: tuple[str | int, ...]) -> str:
    """``:7``, the line of ``path`` on which the setting ``place`` stands; empty if it has none."""
    return _line_of(place, _read_yaml(path)[1])


def _line_of(place: tuple[Any, ...], lines: Any) -> str:
    found = ""
    for part in place:
        try:
            line = lines.lc.key(part)[0] if isinstance(part, str) else lines.lc.item(part)[0]
            lines = lines[part]
        except (AttributeError, KeyError, IndexError, TypeError):
            return found
        found = f":{line + 1}"
    return found


def _with_absolute_paths(study: Study, folder: Path) -> Study:
    others = tuple(_placed(other, folder) for other in study.evaluate_on)
    placed = {"videos": _placed(study.videos, folder), "evaluate_on": others}
    models = [_with_absolute_weights(choice, folder) for choice in study.models]
    placed["retrieve"] = study.retrieve.model_copy(
        update={"text": _with_absolute_weights(study.retrieve.text, folder)}
    )
    return study.model_copy(update={**placed, "models": models, "runs": folder / study.runs})


def _placed(videos: _Places, folder: Path) -> _Places:
    """Settings of videos whose paths start from ``folder`` where they are not absolute."""
    places = {
        name: folder / value
        for name in ("table", "folder", "root")
        if (value := getattr(videos, name)) is not None
    }
    return videos.model_copy(update=places)


def _with_absolute_weights(choice: _Choices, folder: Path) -> _Choices:
    """A checkpoint's folder starts from the study's; a name of the hub stays one."""
    weights = choice.options.get("weights")
    if not isinstance(weights, str):
        return choice
    place = folder / Path(weights).expanduser()
    if not (place.is_dir() or is_folder_name(weights)):
        return choice
    return choice.model_copy(update={"weights": str(place)})
