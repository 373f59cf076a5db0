"""Real clips with their bytes flipped, cut and spliced end in frames or in a reason."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from reelfit.errors import VideoError
from reelfit.video.decode import decode
from reelfit.video.probe import probe

DAMAGE = Path(__file__).parents[2] / "benchmarks" / "damage.py"


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is Linux's own")
def test_no_injury_ends_a_process_hangs_it_or_takes_more_memory_than_it_may():
    """500 like the 2,000 cases of the benchmark."""
    told = subprocess.run(
        [sys.executable, str(DAMAGE), "500", "3"], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr[-2000:]
    figures = json.loads(told.stdout)
    assert figures["wrong"] == []
    assert sum(figures["ends"].values()) == 500
    assert figures["ends"]["frames"] > 20
    assert figures["largest_share_of_the_bound"] < 1


def test_a_title_in_another_encoding_is_no_damage(make_video):
    path = make_video("a.mkv", num_frames=3)
    content = path.read_bytes()
    assert b"Lavf" in content
    path.write_bytes(content.replace(b"Lavf", b"L\xe9\xffv"))
    assert decode(path, at=[2]).shape[0] == 1


def test_a_table_that_nobody_could_hold_is_damage_and_no_lack_of_memory(make_video):
    path = make_video("a.mp4", num_frames=30, options={"g": "5"})
    content = bytearray(path.read_bytes())
    for name in (b"stts", b"stsz", b"stsc", b"stco", b"ctts", b"stss", b"elst"):
        at = content.find(name)
        if at < 0:
            continue
        changed = bytearray(content)
        count = at + 8 + (4 if name == b"stsz" else 0)
        changed[count : count + 4] = b"\x3f\xff\xff\xff"
        path.write_bytes(changed)
        try:
            probe(path)
        except VideoError as error:
            assert error.reason in ("damaged", "no frames", "truncated")  # noqa: PT017


@pytest.mark.parametrize(
    ("claim", "reason"), [((100_000, 100_000), "damaged"), ((20_000, 100), "too large")]
)
def test_a_picture_larger_than_any_is_refused_before_memory_for_it_is_asked_for(
    make_video, claim, reason
):
    path = make_video("a.avi", codec="ffv1", num_frames=2)
    content = bytearray(path.read_bytes())
    at = content.index(b"strf") + 8 + 4
    content[at : at + 8] = b"".join(side.to_bytes(4, "little") for side in claim)
    path.write_bytes(content)
    with pytest.raises(VideoError) as refused:
        probe(path)
    assert refused.value.reason == reason


def test_a_header_that_claims_a_million_frames_has_those_that_are_there(make_video):
    path = make_video("a.avi", codec="mjpeg", num_frames=10)
    content = bytearray(path.read_bytes())
    at = content.index(b"avih") + 8 + 16
    content[at : at + 4] = (1_000_000).to_bytes(4, "little")
    length = content.index(b"strh") + 8 + 32
    content[length : length + 4] = (1_000_000).to_bytes(4, "little")
    path.write_bytes(content)
    assert probe(path).frame_count == 10
    with pytest.raises(VideoError, match="no such frame"):
        decode(path, at=[10])


def test_names_of_any_kind_are_names_of_files(make_video, tmp_path):
    for name in ("http:a.mp4", "concat:a|b.mp4", "-i.mp4", "%03d.mp4", "a\nb.mp4", "ü 視.mp4"):
        path = make_video(name, num_frames=3)
        assert probe(path).frame_count == 3
        assert decode(str(path), at=[1], size=16).shape == (1, 3, 16, 16)
    wrong = make_video("a.mp4", num_frames=3).rename(tmp_path / "a.txt")
    assert probe(wrong).codec == "h264"
