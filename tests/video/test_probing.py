import csv
import io
import subprocess
import sys
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from numbered_video import numbers_of
from reelfit.errors import VideoError
from reelfit.video.decode import decode
from reelfit.video.probe import VideoFacts, probe

H264 = {"bf": "3", "g": "20"}


def reason_of(path):
    """The reason that ``probe`` gives; ``decode`` must refuse the file as well."""
    with pytest.raises(VideoError):
        decode(path, at=[0, 59])
    with pytest.raises(VideoError) as refused:
        probe(path)
    assert len(refused.value.detail) > 5
    return refused.value.reason


def test_the_facts_are_those_that_the_file_was_made_with(make_video):
    path = make_video("a.mp4", fps=30, num_frames=45, options=H264)
    with av.open(str(path)) as container:
        total_bytes = sum(packet.size for packet in container.demux(video=0))
    assert probe(path) == VideoFacts(
        width=128,
        height=64,
        fps=30.0,
        frame_count=45,
        duration_seconds=1.5,
        codec="h264",
        pixel_format="yuv420p",
        bit_rate=round(total_bytes * 8 / 1.5),
        rotation=0,
        pixel_aspect=1.0,
        colour_matrix="bt601",
        colour_tagged=False,
        hdr=False,
        strategy="groups",
        file_bytes=path.stat().st_size,
    )


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.avi", "a.h264", "fragments.mp4"])
def test_frames_are_counted_where_the_header_does_not_say_how_many(make_video, name):
    movflags = {"movflags": "frag_keyframe+empty_moov"} if name == "fragments.mp4" else {}
    path = make_video(name, options=H264, container_options=movflags)
    assert probe(path).frame_count == 60


def test_a_variable_rate_has_its_own_duration(make_video):
    times = [0, 40, 80, 500, 540, 2000]
    facts = probe(make_video("a.mp4", num_frames=6, times_ms=times))
    assert facts.frame_count == 6
    assert facts.duration_seconds == pytest.approx(2.04, abs=0.4)
    assert facts.fps == pytest.approx(6 / facts.duration_seconds, rel=0.01)


def test_the_facts_of_real_videos_are_those_of_their_manifest(shared_videos):
    with (shared_videos / "manifest.csv").open() as table:
        rows = [row for row in csv.DictReader(table) if row["codec"]]
    assert len(rows) == 45
    for row in rows:
        facts = probe(shared_videos / row["file"])
        # One of its 50 frames cannot be decoded: it keeps its number, and is refused.
        lost = 1 if row["file"] == "decord__corrupted.mp4" else 0
        assert facts.frame_count == int(row["frames"]) + lost, row["file"]
        assert (facts.width, facts.height) == (int(row["w"]), int(row["h"])), row["file"]
        assert facts.fps == pytest.approx(float(Fraction(row["avg_fps"])), rel=1e-3), row["file"]
        assert facts.duration_seconds == pytest.approx(float(row["duration"]), abs=0.08), row
        assert facts.codec == row["codec"].replace("libdav1d", "av1"), row["file"]
        assert facts.pixel_format == row["pix_fmt"], row["file"]
        assert facts.rotation == -int(row["rotation"] or 0) % 360, row[
            "file"
        ]  # theirs: to the left
        assert facts.file_bytes == int(row["bytes"]), row["file"]


def test_sound_alone_is_no_video(shared_videos, tmp_path):
    assert reason_of(shared_videos / "media__sample_audio_only.mp4") == "no video stream"
    with wave.open(str(tmp_path / "a.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", "NONE"))
        sound.writeframes(bytes(16000))
    assert reason_of(tmp_path / "a.wav") == "no video stream"


def test_what_is_no_video_says_so(tmp_path):
    picture = io.BytesIO()
    Image.new("RGB", (64, 64)).save(picture, "PNG")
    contents = {
        "garbage": np.random.default_rng(0).bytes(20_000),
        "text": b"No video, dear reader, but a text of many lines.\n" * 100,
        "page": b"<html><body><h1>404 Not Found</h1></body></html>",
        "picture": picture.getvalue(),
        "playlist": b"#EXTM3U\n#EXTINF:9,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
    }
    for name, content in contents.items():
        (tmp_path / f"{name}.mp4").write_bytes(content)
        assert reason_of(tmp_path / f"{name}.mp4") == "not a video", name


def test_a_list_of_other_files_is_not_followed(make_video, tmp_path):
    make_video("whole.mp4")
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile whole.mp4\n")
    assert reason_of(tmp_path / "list.mp4") == "not a video"


def test_a_missing_and_an_empty_file_and_a_folder_say_so(tmp_path):
    (tmp_path / "empty.mp4").touch()
    assert reason_of(tmp_path / "empty.mp4") == "empty file"
    assert reason_of(tmp_path / "missing.mp4") == "no such file"
    assert reason_of(tmp_path) == "not a file"


def test_an_address_is_never_opened():
    with pytest.raises(VideoError, match="no such file"):
        probe(Path("http://127.0.0.1:1/a.mp4"))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a.mp4", "damaged"),  # its table of frames stood at the end
        ("faststart.mp4", "truncated"),
        ("fragments.mp4", "truncated"),
        ("a.mkv", "truncated"),
        ("a.avi", "truncated"),
    ],
)
def test_a_truncated_video_says_so(make_video, name, reason):
    movflags = {"faststart.mp4": "faststart", "fragments.mp4": "frag_keyframe+empty_moov"}
    settings = {"movflags": movflags[name]} if name in movflags else {}
    path = make_video(name, options=H264, container_options=settings)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 6 // 10])
    assert reason_of(path) == reason


def test_a_video_says_the_same_when_asked_again_and_nothing_of_the_one_before(make_video, tmp_path):
    """FFmpeg's messages of one file must not count against the next."""
    cut, good = make_video("cut.mkv", options=H264), make_video("good.mkv", options=H264)
    cut.write_bytes(cut.read_bytes()[:20_000])
    for _ in range(3):
        with pytest.raises(VideoError, match=r"truncated.*ended prematurely"):
            probe(cut)
        assert probe(good).frame_count == 60


def test_an_encrypted_video_says_so(make_video):
    keys = {
        "encryption_scheme": "cenc-aes-ctr",
        "encryption_key": "76a6c65c5ea762046bd749a2e632ccbb",
        "encryption_kid": "a7e61c373e219033c21091fa607bf3b8",
    }
    assert reason_of(make_video("a.mp4", container_options=keys)) == "encrypted"


def test_an_unknown_codec_says_so(make_video):
    path = make_video("a.mp4", options=H264)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    assert reason_of(path) == "unknown codec"


def test_a_header_without_frames_says_so(make_video):
    path = make_video("a.mp4", options=H264, container_options={"movflags": "faststart"})
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"mdat") + 4])
    assert reason_of(path) in ("no frames", "damaged")


@pytest.mark.parametrize("how", ["zeros", "garbage", "flipped"])
@pytest.mark.parametrize("hurt", [0, 25, 40, 59])
def test_damage_gives_the_right_frames_or_an_error_and_never_others(make_video, how, hurt):
    path = make_video("a.mp4", options=H264)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        begin, size = packets[hurt].pos, packets[hurt].size
    data = bytearray(path.read_bytes())
    garbage = {"zeros": bytes(size), "garbage": np.random.default_rng(hurt).bytes(size)}
    data[begin : begin + size] = garbage.get(how, bytes(byte ^ 255 for byte in data[begin:][:size]))
    path.write_bytes(data)
    first = 60 - probe(path).frame_count  # without its first keyframe the video starts later
    refused = 0
    for at in range(60 - first):
        try:
            assert numbers_of(decode(path, at=[at], size=(32, 64))) == [first + at]
        except VideoError:
            refused += 1
    assert first + refused <= 20  # frames in one group; the other groups are whole
    assert first + refused > 0


def test_a_recording_that_starts_amid_a_group_counts_from_its_first_keyframe(make_video):
    path = make_video("a.ts", options=H264)
    whole, packet = path.read_bytes(), 188
    cut = len(whole) // packet * 3 // 10 * packet
    path.write_bytes(whole[: 3 * packet] + whole[cut:])
    assert probe(path).frame_count == 40
    assert numbers_of(decode(path, at=list(range(40)))) == list(range(20, 60))


def test_probing_imports_no_torch():
    program = "import sys, reelfit.video.probe, reelfit.video.sample; print('torch' in sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "False"
