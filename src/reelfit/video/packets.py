"""The index of a video that one pass over its packets gives, without decoding one."""

from array import array
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from reelfit.errors import VideoError
from reelfit.video.container import OpenVideo, Packet

Strategy = Literal["groups", "sequential"]
"""``groups`` decodes only from the keyframe before each wanted frame, ``sequential`` from the start
and tolerates errors; both give the same frames."""

# Their packets carry no presentation times that one may rely on. Raw streams are named for codecs.
_UNTRUSTED = {"asf", "avi", "mpeg", "rm"}
_UNTRUSTED |= {"av1", "cavsvideo", "dirac", "evc", "h261", "h263", "h264", "hevc", "m4v"}
_UNTRUSTED |= {"mpegvideo", "obu", "vc1", "vvc"}


@dataclass(frozen=True)
class PacketIndex:
    """What the packets of a stream say, in decode order. Memory: 10 bytes a packet."""

    times: np.ndarray
    """Presentation times in the stream's time base; meaningless unless ``trusted``."""
    keyframes: np.ndarray
    shown: np.ndarray
    """Whether a frame is part of the video: no edit list leaves it out, no keyframe is missing."""
    time_base: Fraction
    """Seconds in one unit of ``times``."""
    average_fps: float | None
    """Frames a second by the header; None where it does not say."""
    total_bytes: int
    last_duration: int
    """Of the packet that came last, in the stream's time base; 0 where it is not known."""
    ends_damaged: bool
    broken: frozenset[int]
    """Positions, none of a keyframe, before which the container lost something: what follows in
    their group refers to frames that are not there, and no decoder says so."""
    trusted: bool
    """Whether times, keyframes and count are to be relied on without decoding."""

    def presented(self) -> np.ndarray:
        """Positions (decode order) of the frames shown, in presentation order."""
        positions = np.flatnonzero(self.shown)
        return positions[np.argsort(self.times[positions], kind="stable")]

    @property
    def strategy(self) -> Strategy:
        """How frames are decoded, unless decoding shows that the packets said too much."""
        return "groups" if self.trusted else "sequential"

    def seconds(self) -> np.ndarray | None:
        """When each frame is shown, counted from the first, in order; None unless ``trusted``."""
        if not self.trusted:
            return None
        times = np.sort(self.times[self.shown])
        seconds: np.ndarray = (times - times[0]) * float(self.time_base)
        return seconds

    def duration_seconds(self) -> float | None:
        """From the first frame's time to the end of the last; None where times say nothing."""
        count = int(self.shown.sum())
        if not self.trusted or not self.time_base or count < 2:
            return None
        shown = self.times[self.shown]
        span = int(shown.max() - shown.min())
        return float((span + (self.last_duration or round(span / (count - 1)))) * self.time_base)

    def frames_at(self, seconds: Sequence[float | int]) -> list[int]:
        """The frames that are seen ``seconds`` after the first: the last that is shown by then.

        Files round times to their time base, so half a unit of it is forgiven. Where times cannot
        be relied on, the header's mean rate counts.

        Raises:
            VideoError: the video ends before, or has neither times nor a rate.
        """
        times = self.seconds()
        if times is None and self.average_fps is None:
            raise VideoError("no frame rate", "the file says neither times nor a rate")
        if times is None:
            return [int(at * (self.average_fps or 0) + 1e-6) for at in seconds]
        end = self.duration_seconds() or times[-1]
        if max(seconds) > end:
            raise VideoError("no such frame", f"{max(seconds):g} s were asked for; it has {end:g}")
        reached = np.asarray(seconds) + 0.5 * float(self.time_base)
        return [max(int(at) - 1, 0) for at in np.searchsorted(times, reached, side="right")]


def index_packets(video: OpenVideo, packets: Iterable[Packet]) -> PacketIndex:
    """Runs over ``packets``, those of ``video``, and notes their times and flags."""
    times, keyframes, shown = array("q"), bytearray(), bytearray()
    orderly, total_bytes, last_decode, damaged, packet = True, 0, -(2**63), False, None
    broken: set[int] = set()
    losses = video.losses  # they grow as packets come
    for packet in packets:  # a long video has 100,000 of them: each look at one counts
        time, decode, key, damaged = packet.pts, packet.dts, packet.is_keyframe, packet.is_corrupt
        if losses and not key and len(times) in losses:
            broken.add(len(times))
        if time is None or damaged:
            orderly, time = False, time or 0
        if decode is not None:
            if decode < last_decode:
                orderly = False
            last_decode = decode
        times.append(time)
        keyframes.append(key)
        shown.append(not packet.is_discard)
        total_bytes += packet.size
    as_times = np.frombuffer(times, np.int64) if times else np.zeros(0, np.int64)
    orderly &= len(np.unique(as_times)) == len(times)
    key_positions = np.flatnonzero(np.frombuffer(keyframes, np.bool_))
    as_shown = np.frombuffer(shown, np.bool_)
    if len(key_positions):  # what comes before the first keyframe refers to what was cut off
        first = key_positions[0]
        as_shown &= np.arange(len(times)) >= first
        if orderly:
            as_shown &= as_times >= as_times[first]
    return PacketIndex(
        times=as_times,
        keyframes=np.frombuffer(keyframes, np.bool_),
        shown=as_shown,
        time_base=video.stream.time_base or Fraction(0),
        average_fps=float(video.stream.average_rate or 0) or None,
        total_bytes=total_bytes,
        last_duration=(packet.duration or 0) if packet else 0,
        ends_damaged=damaged,
        broken=frozenset(broken),
        trusted=bool(orderly and len(key_positions)) and _container_is_trusted(video),
    )


def runs_of_packets(index: PacketIndex, positions: Collection[int]) -> list[tuple[int, int]]:
    """The packets (first, last) to feed for the wanted ``positions``, in decode order.

    A run starts at the last keyframe that is neither decoded nor shown after its wanted frame:
    frames shown before the keyframe that they follow in the file need the group before, too.
    """
    runs: list[tuple[int, int]] = []
    for position in sorted(positions):
        start = needed_packets(index, position).start
        while runs and start <= runs[-1][1] + 1:  # one that starts before its forerunner, too
            start = min(start, runs.pop()[0])
        runs.append((start, position))
    return runs


def needed_packets(index: PacketIndex, position: int) -> range:
    """The packets that a decoder needs for the frame of one."""
    keys = np.flatnonzero(index.keyframes[: position + 1])
    usable = keys[index.times[keys] <= index.times[position]]
    return range(int(usable[-1]) if len(usable) else 0, position + 1)


def _container_is_trusted(video: OpenVideo) -> bool:
    if video.stream.codec_context.codec.canonical_name == "mjpeg":  # each packet is a frame
        return True
    return not _UNTRUSTED & set(video.container.format.name.split(","))
