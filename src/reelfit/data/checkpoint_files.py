"""The files of a checkpoint that a study names: where they stand, and what they hold."""

from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from reelfit.errors import StudyError
from reelfit.files import digest, file_digest

CONFIGURATION = "config.json"
PREPROCESSORS = ("video_preprocessor_config.json", "preprocessor_config.json")
TOKENIZERS = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.txt", "vocab.json", "merges.txt"),
)
WEIGHTS = ("*.safetensors", "*.safetensors.index.json")
"""Files that run no code when they are read; others are not taken."""


def is_folder_name(weights: str) -> bool:
    """Whether ``weights`` is a folder and cannot be a name of the hub, ``owner/name@revision``."""
    return weights.startswith((".", "/", "~")) or weights.count("/") > 1


def find_checkpoint(weights: str) -> Path:
    """The folder of a checkpoint: as it stands, or as the hub gives it, fetched where it is new.

    What was fetched once is used as it is, without asking the hub again.

    Raises:
        StudyError: there is no such folder, or the hub does not give it; it lacks a file.
    """
    folder = Path(weights).expanduser()
    if not folder.is_dir():
        if is_folder_name(weights):
            raise StudyError(f"weights: {folder} is not a folder with a checkpoint")
        folder = _fetch(weights)
    lacking = _lacking(folder)
    if lacking:
        raise StudyError(
            f"weights: {folder} has no {lacking[0]}; a checkpoint is a folder with {CONFIGURATION} "
            "and model.safetensors, as save_pretrained writes it"
        )
    return folder


def checkpoint_digest(weights: str) -> str:
    """64 hex digits of what a checkpoint holds, wherever it stands; of one that is not there, none.

    Each file is read once while it stays as it is.
    """
    try:
        folder = find_checkpoint(weights)
    except StudyError:
        return ""
    names = (CONFIGURATION, *PREPROCESSORS, *TOKENIZERS, *WEIGHTS)
    files = sorted(path for name in names for path in folder.glob(name))
    return digest([[path.name, _known_digest(path, *_state_of(path))] for path in files])


def by_content(options: dict[str, Any]) -> dict[str, Any]:
    """A model's options with what its checkpoint holds in place of where it stands."""
    if not options.get("weights"):
        return options
    return options | {"weights": checkpoint_digest(str(options["weights"]))}


def _state_of(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


@lru_cache(maxsize=256)
def _known_digest(path: Path, _size: int, _changed: int) -> str:
    return file_digest(path)


def _lacking(folder: Path) -> list[str]:
    return [name for name in (CONFIGURATION, WEIGHTS[0]) if not any(folder.glob(name))]


def _fetch(name: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
    except ImportError:
        raise StudyError(missing_library("weights")) from None
    owner, _, revision = name.partition("@")
    fetch = partial(
        snapshot_download,
        owner,
        revision=revision or None,
        allow_patterns=[CONFIGURATION, *PREPROCESSORS, *TOKENIZERS, *WEIGHTS],
    )
    try:
        known = Path(fetch(local_files_only=True))
        if not _lacking(known):
            return known
    except HFValidationError:
        raise StudyError(f"weights: {name} is no folder, and cannot be a name of the hub") from None
    except LocalEntryNotFoundError:
        pass
    try:
        return Path(fetch())
    except (OSError, RuntimeError) as error:
        said = str(error).strip().partition("\n")[0]
        raise StudyError(
            f"weights: {name} is no folder here, and the hub did not give it: {said}"
        ) from None


def missing_library(what: str) -> str:
    """What is said where the transformers library is not installed."""
    return f'{what} needs the transformers library: pip install "reelfit[hf]"'
