"""Recompression as video: what H.264 keeps of the clip."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, final

import av
import numpy as np
import torch
from av.video.codeccontext import VideoCodecContext
from numpy.typing import NDArray
from typing_extensions import override

from reelfit.augment.augmentation import ClipAugmentation, Frames
from reelfit.augment.padding import padded

_MACROBLOCK = 16


@final
class VideoRecompression(ClipAugmentation):
    """The clip as H.264 leaves it; strength is the largest constant rate factor of x264 (0..51).

    The frames are coded as if they followed each other, by a real encoder in memory, on the CPU:
    from one machine to another its bits may differ. The codec predicts each frame from others, so
    its loss is not the same on each, as in any video. 40 draws factors of 20 to 40; FaceForensics++
    (A. Rössler et al., ICCV 2019) has its videos at 23 and 40.
    """

    max_strength = 51.0
    probability = 0.25

    @override
    def draw(
        self, generator: np.random.Generator, *, strength: float, num_frames: int
    ) -> dict[str, Any]:
        """``crf``, a whole number, even over half the strength to all of it."""
        return {"crf": round(generator.uniform(strength / 2, strength))}

    @override
    def apply(self, frames: Frames, drawn: Mapping[str, Any]) -> Frames:
        """The clip with H.264's loss, chroma at half size included."""
        height, width = frames.shape[-2:]
        pictures = padded(frames, multiple=_MACROBLOCK).permute(0, 2, 3, 1).cpu().contiguous()
        decoded = torch.from_numpy(_through_codec(pictures.numpy(), crf=drawn["crf"]))
        cut = decoded.permute(0, 3, 1, 2)[..., :height, :width]
        return cut.contiguous().to(frames.device)


def _through_codec(pictures: NDArray[np.uint8], *, crf: int) -> NDArray[np.uint8]:
    """x264 at its preset medium, on one thread, so that the same machine gives the same bits."""
    encoder = VideoCodecContext.create("libx264", "w")
    encoder.height, encoder.width = pictures.shape[1:3]
    encoder.pix_fmt, encoder.time_base, encoder.thread_count = "yuv420p", Fraction(1, 25), 1
    encoder.options = {"crf": str(crf), "preset": "medium"}
    decoder = VideoCodecContext.create("h264", "r")
    decoder.thread_count = 1
    kept = []
    for place in range(len(pictures) + 1):
        frame = None  # the last one tells the encoder to give all that it still holds
        if place < len(pictures):
            picture = av.VideoFrame.from_ndarray(pictures[place], format="rgb24")
            frame = picture.reformat(format="yuv420p")
            frame.pts = place
        for packet in encoder.encode(frame):
            kept += [each.to_ndarray(format="rgb24") for each in decoder.decode(packet)]
    kept += [each.to_ndarray(format="rgb24") for each in decoder.decode(None)]
    return np.stack(kept)
