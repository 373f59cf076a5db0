"""Captions of items, written by a trained network."""

from typing import TYPE_CHECKING

import numpy as np
import torch

from reelfit.data.seeds import seed_for
from reelfit.data.shards import ShardReader
from reelfit.training.item_set import ItemSet
from reelfit.training.portions import Portions
from reelfit.training.predicting import to_input
from reelfit.video_text.caption_decoder import CaptionDecoder
from reelfit.video_text.generation import generate
from reelfit.video_text.network import VideoTextNetwork

if TYPE_CHECKING:
    from reelfit.text_encoders.tokens import Tokenizer
    from reelfit.video_text.ways import Beam, Greedy, Nucleus


def write_captions(
    network: VideoTextNetwork,
    samples: ItemSet,
    reader: ShardReader,
    portions: Portions,
    *,
    tokenizer: "Tokenizer",
    way: "Greedy | Beam | Nucleus",
    seed: int,
) -> list[str]:
    """A caption of each sample. What chance draws of one depends on ``seed`` and its number alone.

    Raises:
        OutOfMemoryError: one sample does not fit.
    """
    from reelfit.video_text.ways import Nucleus

    decoder = network.caption
    assert isinstance(decoder, CaptionDecoder)
    network.eval()
    device = next(network.parameters()).device
    read = samples.reading(samples.clips.source(reader))

    def write(begin: int, end: int) -> list[str]:
        clips, owners = read(np.arange(begin, end))
        _, seen, present = network.encode_videos(to_input(clips, device), owners, end - begin)
        generators = [
            torch.Generator().manual_seed(seed_for(seed, "caption", number))
            for number in range(begin, end if isinstance(way, Nucleus) else begin)
        ]
        tokens = generate(
            decoder,
            seen,
            present,
            begin=tokenizer.begin,
            end=tokenizer.end,
            pad=tokenizer.pad,
            way=way,
            generators=generators,
        )
        return tokenizer.decode(tokens.cpu())

    return [caption for part in portions(len(samples), write) for caption in part]
