"""docs/augmentations.md says of each operation what the code has."""

import re
from pathlib import Path

import pytest

from reelfit.augment import AUGMENTATIONS, PRESETS

DOCUMENT = (Path(__file__).parents[2] / "docs" / "augmentations.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in DOCUMENT.splitlines()
    if line.startswith("| `")
]


def test_the_table_names_exactly_the_augmentations_in_their_order():
    assert [row[0].strip("`") for row in ROWS] == list(AUGMENTATIONS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_has_the_range_the_share_and_the_usual_strengths(row):
    name, _, strength, clips, usual, sources = row
    augmentation = AUGMENTATIONS[name.strip("`")]
    assert strength.endswith(f", 0..{augmentation.max_strength:g}")
    share = augmentation.probability
    assert clips == ("strength" if share is None else f"{share:g}")
    presets = [PRESETS[each] for each in PRESETS if each != "none"]
    asked = [preset.get(name.strip("`")) for preset in presets]
    assert usual == ", ".join("-" if value is None else f"{value:g}" for value in asked)
    assert set(re.findall(r"\[(\d+)\]", sources)) <= set(re.findall(r"^(\d+)\. ", DOCUMENT, re.M))


def test_the_presets_are_named_in_the_order_of_the_column():
    assert list(PRESETS) == ["none", "light", "standard", "strong", "forgery"]
    assert "`light`, `standard`, `strong` and `forgery`" in " ".join(DOCUMENT.split())
