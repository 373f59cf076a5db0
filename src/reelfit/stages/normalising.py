"""How the clips of one fold are normalised: as given, or as measured on what it learns from."""

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from reelfit.files import digest, read_json, write_json
from reelfit.study import Study
from reelfit.training.settings import GivenChannels

if TYPE_CHECKING:
    from torch import nn

    from reelfit.data.channel_statistics import Normalisation
    from reelfit.data.shards import ShardReader
    from reelfit.models.model import Network

CHANNELS = "channels.json"
"""In a fold's folder: the mean and the deviation of its training clips, and of which they are."""


def settle_normalisation(
    study: Study, model: "Network", train: pl.DataFrame, folder: Path, reader: "ShardReader"
) -> "Normalisation | None":
    """What is applied to all clips of one fold, training and validation; None leaves -1..1.

    ``train`` has the rows that are learnt from; originals alone count, and what is measured is kept
    in ``folder``. A network that has a scale of its own keeps it. Memory: one clip.

    Raises:
        StudyError: a channel is the same in every pixel.
    """
    from reelfit.data.channel_statistics import measure_channels

    if study.train.normalize != "measured" or model.needs().own_scale:
        return kept_normalisation(study, model, folder)
    rows = train.filter(pl.col("copy") == 0).sort("video_id")
    wanted = ("shard", "offset", "bytes", "crc32")
    of = digest([rows["video_id"].to_list(), rows.select(wanted).rows()])
    kept = folder / CHANNELS
    if not kept.exists() or read_json(kept)["of"] != of:
        found = measure_channels(
            reader.read(shard, offset=offset, num_bytes=num_bytes, crc32=crc32)
            for shard, offset, num_bytes, crc32 in rows.select(wanted).iter_rows()
        )
        write_json(kept, {"mean": found.mean, "std": found.std, "clips": found.clips, "of": of})
    return kept_normalisation(study, model, folder)


def normalise(seeing: "nn.Module", normalisation: "Normalisation | None") -> None:
    """Lets a network that sees clips in -1..1 see them normalised."""
    if normalisation is not None:
        seeing.register_forward_pre_hook(
            lambda _network, seen: (normalisation.apply(seen[0]), *seen[1:])
        )


def kept_normalisation(study: Study, model: "Network", folder: Path) -> "Normalisation | None":
    """The same for whoever predicts by the fold's network later, from what its training kept."""
    from reelfit.data.channel_statistics import Normalisation

    asked = study.train.normalize
    if asked == "halves" or model.needs().own_scale:
        return None
    if isinstance(asked, GivenChannels):
        return Normalisation(asked.mean, asked.std)
    kept = read_json(folder / CHANNELS)
    return Normalisation(tuple(kept["mean"]), tuple(kept["std"]))


def rehearsed_normalisation(study: Study, model: "Network") -> "Normalisation | None":
    """One that takes as much memory as the fold's will."""
    from reelfit.data.channel_statistics import Normalisation

    if study.train.normalize == "halves" or model.needs().own_scale:
        return None
    return Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
