"""The sheet shows the very clips that a run stores."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from numbered_video import Recipe, write_video
from reelfit.cli.look import look_at
from reelfit.errors import VideoError
from reelfit.files import file_digest
from reelfit.report.contact_sheet import details_of
from reelfit.stages.decoding import clips_of, decode_clip
from reelfit.study import Study
from reelfit.study_yaml import read_study

STUDY = """\
videos: {folder: clips}
clips: {frames: 4, size: [32, 64], copies: 2, augment: standard, store: originals}
models: [naive_cnn]
"""


@pytest.fixture
def study(tmp_path: Path) -> Study:
    (tmp_path / "study.yaml").write_text(STUDY)
    return read_study(tmp_path / "study.yaml", changes=[], environment={})


def test_the_sheet_has_every_frame_of_the_original_and_of_each_copy(tmp_path, study):
    video = write_video(tmp_path / "a.mp4", Recipe(num_frames=20))
    said = look_at(video, study, tmp_path / "sheet.png")
    assert "128 x 64, 20 frames" in said
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    identity = file_digest(video)[:32]
    stored = study.model_copy(update={"clips": study.clips.model_copy(update={"store": "copies"})})
    clips = list(clips_of(decode_clip(video, identity, study), identity, stored))
    assert [clip.copy for clip in clips] == [0, 1, 2]
    windows = np.lib.stride_tricks.sliding_window_view(sheet, (32, 64, 3))[:, :, 0]
    for clip in clips:
        for frame in clip.pixels:
            picture = frame.transpose(1, 2, 0)
            corners = (windows[:, :, 0, 0] == picture[0, 0]).all(-1)
            found = [
                (windows[at] == picture).all() for at in zip(*np.nonzero(corners), strict=True)
            ]
            assert any(found)


def test_what_was_drawn_is_told_in_lines_that_fit():
    assert details_of({}) == ["as decoded"]
    told = details_of({"horizontal_flip": {}, "rotation": {"degrees": 3.14159}})
    assert told == ["horizontal_flip", "rotation: degrees 3.14"]
    assert max(map(len, details_of({"a": {f"key_{k}": 0.5 for k in range(20)}}))) <= 44


def test_a_video_that_cannot_be_used_is_named_with_its_reason(tmp_path, study):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(VideoError, match=r"text\.mp4: not a video"):
        look_at(tmp_path / "text.mp4", study, tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()


def test_the_command_says_where_the_sheet_is(tmp_path, study):
    video = write_video(tmp_path / "a.mp4", Recipe(num_frames=20))
    out = tmp_path / "sheet.png"
    arguments = ["look", video, "--study", tmp_path / "study.yaml", "--out", out]
    done = subprocess.run(
        [sys.executable, "-m", "reelfit", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"drawn to {out}" in done.stdout
