"""The clips of one video: its frames, chosen and decoded, and its augmented copies."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reelfit.data.seeds import clip_generator, generator_for
from reelfit.errors import VideoError
from reelfit.study import Study

if TYPE_CHECKING:
    from torch import Tensor

    from reelfit.data.shards import Clip
    from reelfit.video.decode import Look
    from reelfit.video.frames import IndexedVideo
    from reelfit.video.packets import PacketIndex


@dataclass(frozen=True)
class Decoded:
    """The original clip of a video."""

    frames: "Tensor"
    """uint8, ``time 3 height width``."""
    at: list[int]
    """Which frames of the video they are, in presentation order from 0."""
    strategy: str
    fingerprint: list[int | None]
    """What some of the frames look like, in order; None for one too flat to tell from others."""
    left_out: int = 0
    """How many frames are damaged or cannot be decoded, where whole ones were kept."""


def decode_clip(path: Path, video_id: str, study: Study) -> Decoded:
    """The frames that the study asks for of one video. Memory: the clip and one full-size frame.

    Raises:
        VideoError: the video cannot be used as the study wants it.
    """
    from reelfit.video.decode import Look
    from reelfit.video.frames import indexed_video, whole_frames

    clips = study.clips
    place = (0.5, 0.5)
    if clips.fit == "random_crop":
        down, across = generator_for(study.seed, "crop", video_id).random(2).tolist()
        place = (down, across)
    look = Look(clips.height_width, clips.fit, clips.hdr, place)
    with indexed_video(path) as video:
        try:
            return _decoded(video, _frames_wanted(video.index, video_id, study), look)
        except VideoError as error:
            keeps = study.videos.on_damage == "keep_whole_frames"
            if not keeps or error.reason not in ("damaged frame", "no such frame"):
                raise
        whole = whole_frames(video)
        if not whole:
            raise VideoError("damaged", "not one frame is whole")
        at = [whole[place] for place in _places(len(whole), video_id, study)]
        left_out = max(int(video.index.shown.sum()) - len(whole), 1)
        return _decoded(video, at, look, left_out)


def _decoded(video: "IndexedVideo", at: list[int], look: "Look", left_out: int = 0) -> Decoded:
    """The frames ``at``, and the fingerprints of some: the pictures are there, and whole."""
    from reelfit.video.decode import take_frames
    from reelfit.video.fingerprint import fingerprint, spread_places

    told = [at[place] for place in spread_places(len(at))]
    seen: dict[int, int | None] = {}

    def see(number: int, picture: "Tensor") -> None:
        if number in told:
            seen[number] = fingerprint(picture)

    frames, strategy = take_frames(video, at, look, see=see)
    return Decoded(frames, at, strategy, [seen[number] for number in told], left_out)


def clips_of(decoded: Decoded, video_id: str, study: Study) -> Iterator["Clip"]:
    """The original, and the copies that the store holds. Memory: about 8 clips for a moment."""
    from reelfit.augment import apply_augmentation, check_strengths, draw_augmentation
    from reelfit.data.shards import Clip

    yield Clip(video_id, 0, decoded.frames.numpy(), decoded.at, {})
    if study.clips.store == "originals":
        return
    strengths = check_strengths(study.clips.augment)
    for copy in range(1, study.clips.copies + 1):
        generator = clip_generator(study.seed, video_id, copy)
        drawn: dict[str, Any] = draw_augmentation(
            strengths, generator=generator, num_frames=study.clips.frames
        )
        pixels = apply_augmentation(decoded.frames, drawn).contiguous().numpy()
        yield Clip(video_id, copy, pixels, decoded.at, drawn)


def _frames_wanted(index: "PacketIndex", video_id: str, study: Study) -> list[int]:
    """By time where the study spreads over it, the times are known and there are enough frames."""
    from reelfit.video.sample import sample_seconds

    clips, count = study.clips, int(index.shown.sum())
    duration = index.duration_seconds()
    by_time = clips.spread == "time" and clips.sampling in ("uniform", "random")
    if not count:
        raise VideoError("no frames", "the file has a header alone")
    if not by_time or duration is None or count < clips.frames:
        return _places(count, video_id, study)
    generator = generator_for(study.seed, "frames", video_id)
    seconds = sample_seconds(
        duration, count=clips.frames, sampling=clips.sampling, generator=generator
    )
    return index.frames_at(seconds)


def _places(count: int, video_id: str, study: Study) -> list[int]:
    from reelfit.video.sample import sample_frames

    clips = study.clips
    return sample_frames(
        count,
        count=clips.frames,
        sampling=clips.sampling,
        every=clips.every,
        generator=generator_for(study.seed, "frames", video_id),
    )
