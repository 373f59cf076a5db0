"""docs/retrieval.md names each setting and table of the task, and its study can be asked for."""

import re
from pathlib import Path

from reelfit.stages.evaluate_retrieval import TABLES
from reelfit.study_yaml import read_study
from reelfit.text_encoders import TEXT_ENCODERS, make_text_encoder
from reelfit.video_text.settings import CaptionSettings, MaskedSettings, RetrieveSettings

DOCUMENT = (Path(__file__).parents[1] / "docs" / "retrieval.md").read_text()


def test_each_setting_table_and_text_encoder_is_named():
    for settings in (RetrieveSettings, CaptionSettings, MaskedSettings):
        for name in settings.model_fields:
            assert re.search(rf"\b{name}\b", DOCUMENT), name
    for name in (*(f"{table}.parquet" for table in TABLES), *TEXT_ENCODERS):
        assert f"`{name}`" in DOCUMENT, name


def test_the_study_can_be_asked_for(tmp_path: Path):
    (text,) = re.findall(r"^```yaml\n(.*?)^```", DOCUMENT, re.DOTALL | re.MULTILINE)
    (tmp_path / "study.yaml").write_text(text)
    study = read_study(tmp_path / "study.yaml", environment={})
    assert study.task == "retrieve"
    assert study.retrieve.caption is not None
    assert study.retrieve.caption.weight == (1.0, 0.5)
    make_text_encoder(study.retrieve.text.name, study.retrieve.text.options)


def test_other_ways_to_write_can_be_asked_for():
    ways = re.findall(r"`\{how: (\w+)", DOCUMENT)
    assert sorted(ways) == ["beam", "greedy", "nucleus"]
    for how in ways:
        assert CaptionSettings.model_validate({"write": {"how": how}}).write.how == how
