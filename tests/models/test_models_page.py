"""The page of models names those that there are, with options that they have."""

import re
from pathlib import Path

from reelfit.models import MODELS

TEXT = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
ROWS = [
    line.strip("| ").split(" | ")
    for line in TEXT.partition("\n\n## ")[0].splitlines()
    if line.startswith("| `")
]


def test_each_model_stands_in_one_row():
    named = [name for row in ROWS for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(named) == sorted(MODELS)


def test_options_of_note_are_options():
    for models, _, options in ROWS:
        for option in re.findall(r"`(\w+)(?:: [^`]*)?`", options):
            for name in re.findall(r"`(\w+)`", models):
                assert option in MODELS[name].model_fields, (name, option)
