"""docs/training.md names each option of a recipe, and its recipes can be asked for."""

import re
from io import StringIO
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from reelfit.training.settings import TrainSettings

DOCUMENT = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
RECIPES = re.findall(r"^```yaml\n(.*?)^```", DOCUMENT, re.DOTALL | re.MULTILINE)
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in DOCUMENT.splitlines()
    if line.startswith("| `")
]
OF_THE_STEP = {
    "epochs", "effective_batch", "micro_batch", "on_out_of_memory", "precision", "keep_epochs",
    "checkpoint_minutes", "release",
}  # fmt: skip
"""How often and within which memory, and no part of the recipe."""


def test_the_tables_name_exactly_the_options_of_a_recipe() -> None:
    named = [name for row in ROWS for name in re.findall(r"`(\w+)`", row[0])]
    assert len(named) == len(set(named))
    assert set(named) == TrainSettings.model_fields.keys() - OF_THE_STEP


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_default_is_the_one_that_the_code_has(row: list[str]) -> None:
    for name in re.findall(r"`(\w+)`", row[0]):
        default = TrainSettings.model_fields[name].default
        if default is None:  # what stands there then is told by other tests
            continue
        wanted = f"{default:g}" if isinstance(default, float) else f"`{default}`".lower()
        assert row[1] == wanted


@pytest.mark.parametrize("text", RECIPES)
def test_a_recipe_is_one_that_reelfit_takes(text: str) -> None:
    asked = YAML(typ="safe", pure=True).load(StringIO(text))["train"]
    settings = TrainSettings(**asked)
    assert all(getattr(settings, name) is not None for name in asked)
