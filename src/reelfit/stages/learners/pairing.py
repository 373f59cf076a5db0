"""Videos and texts that belong together, item by item."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

import polars as pl

from reelfit.errors import StudyError
from reelfit.files import write_text
from reelfit.metrics import RETRIEVAL
from reelfit.runs import Run
from reelfit.stages.learners.learner import Learner
from reelfit.stages.listed import listing_of
from reelfit.stages.online import in_epochs, with_copies
from reelfit.study import Study

if TYPE_CHECKING:
    from torch import nn

    from reelfit.models.model import Network
    from reelfit.text_encoders.text_encoder import TextEncoder
    from reelfit.text_encoders.tokens import Tokenizer
    from reelfit.training.fit import Fit
    from reelfit.training.item_set import ItemSet
    from reelfit.training.objective import Objective

TOKENIZER = "tokenizer.json"
"""What encodes texts, in the folder of each fold: its words are of the texts trained on."""

TEXT = ("retrieve", "text")
"""Where a study names its text encoder."""


@final
class Pairing(Learner):
    """A sample is the clips of one item, all of one number of copy, with one of its texts."""

    metrics: ClassVar[tuple[str, ...]] = tuple(RETRIEVAL)
    stratified: ClassVar[bool] = False

    def __init__(self, run: Run, study: Study, train: pl.DataFrame) -> None:
        from reelfit.text_encoders import make_text_encoder

        super().__init__(run, study, train)
        choice = study.retrieve.text
        self._texts = _texts_of(run, study)
        seen = self._texts.join(train.select("target").unique(), on="target", how="semi")
        learnt_from = seen["text"].unique().sort().to_list()
        try:
            self.encoder: TextEncoder = make_text_encoder(choice.name, choice.options)
            self.tokenizer: Tokenizer = self.encoder.tokenizer(learnt_from)
        except StudyError as error:
            raise StudyError(str(error), place=TEXT) from None

    @classmethod
    def to_rehearse(cls, run: Run, study: Study) -> "Pairing":
        """With all texts, of which a fold has no more than some: its vocabulary is no larger."""
        return cls(run, study, _texts_of(run, study).select("target").unique())

    def check(self) -> None:
        """Builds the text encoder, without memory for its weights."""
        import torch

        try:
            with torch.device("meta"):
                self.encoder.build(self.tokenizer)
        except StudyError as error:
            raise StudyError(str(error), place=TEXT) from None

    def refusal_of(self, *, frames: int, size: tuple[int, int]) -> str | None:
        """Segments and steps have a frame each, cells of masked patches a pixel."""
        how = self.study.retrieve
        if frames < how.segments:
            return f"retrieve.segments: {frames} frames cannot be cut into {how.segments} segments"
        if how.masked is None:
            return None
        if frames < how.masked.steps:
            return f"retrieve.masked.steps: {how.masked.steps} steps of clips of {frames} frames"
        side = how.masked.grid * how.masked.cells
        if min(size) < side:
            return (
                f"retrieve.masked: {how.masked.grid} patches of {how.masked.cells} cells are more "
                f"than the {min(size)} pixels of a side"
            )
        return None

    def build(self, model: "Network") -> "nn.Module":
        """The model's network and a text encoder, and what else the study trains beside them."""
        from reelfit.video_text.caption_decoder import CaptionDecoder
        from reelfit.video_text.masked_video import MaskedVideo
        from reelfit.video_text.network import VideoTextNetwork

        how = self.study.retrieve
        caption = masked = None
        if how.caption is not None:
            caption = CaptionDecoder(
                vocabulary=self.tokenizer.size,
                length=self.tokenizer.length,
                memory_width=how.width,
                **how.caption.model_dump(include={"width", "layers", "heads", "dropout"}),
            )
        if how.masked is not None:
            sizes = how.masked.model_dump(include={"grid", "share", "steps", "cells", "hidden"})
            masked = MaskedVideo(width=how.width, **sizes)
        return VideoTextNetwork(
            model.build(num_outputs=how.width),
            self.encoder.build(self.tokenizer),
            dimensions=how.dimensions,
            segments=how.segments,
            contrast=how.loss,
            caption=caption,
            masked=masked,
        )

    def seeing(self, network: "nn.Module") -> "nn.Module":
        """The model's own network."""
        return network.get_submodule("video")

    def rate_factors(self, model: "Network", network: "nn.Module") -> dict[str, float]:
        """Those of the model for its part, those of the text encoder for its own."""
        from reelfit.training.rates import factors_of

        video, text = network.get_submodule("video"), network.get_submodule("text")
        factors = factors_of(model, video, layer_decay=self.study.train.layer_decay)
        of_text = self.encoder.rate_factors(text)
        return {f"video.{name}": factor for name, factor in factors.items()} | {
            f"text.{name}": factor for name, factor in of_text.items()
        }

    def objective(self, *, seed: int) -> "Objective":
        """The contrastive loss, captions and masked video, as the study weights them."""
        from reelfit.stages.learners.measuring import measured
        from reelfit.training.paired import Paired

        del seed
        return Paired(
            settings=self.study.retrieve,
            pad=self.tokenizer.pad,
            length=self.tokenizer.length,
            effective_batch=self.study.train.effective_batch,
            epochs=self.study.train.epochs,
            most_clips=self.run.facts()["most_videos"],
            measured=measured,
        )

    def training_set(self, rows: pl.DataFrame, frames: int | None) -> "ItemSet":
        """Samples of originals and of each number of copy."""
        rows = with_copies(rows, self.study).sort("target", "copy", "video_id")
        return self._items(rows, frames, in_epoch=in_epochs(rows, self.study))

    def judged_set(self, rows: pl.DataFrame, frames: int | None) -> "ItemSet":
        """One sample for each item."""
        return self._items(rows.sort("target", "copy", "video_id"), frames)

    def _items(self, rows: pl.DataFrame, frames: int | None, *, in_epoch: Any = None) -> "ItemSet":
        """``rows`` stand in the order of their samples."""
        from reelfit.training.item_set import ItemSet
        from reelfit.training.predicting import ClipSet

        samples = rows.group_by("target", "copy", maintain_order=True).len()
        first = samples["len"].cum_sum().to_numpy()
        clips = ClipSet(
            rows.select("shard", "offset", "bytes", "crc32"),
            rows["target"].cast(pl.Int64).to_numpy(),
            frames,
            in_epoch=in_epoch,
        )
        return ItemSet(clips, _bounds(first), self._texts_for(samples))

    def _texts_for(self, samples: pl.DataFrame) -> Any:
        """The right texts of each of ``samples``, and each unique one as tokens."""
        from reelfit.training.item_set import ItemTexts, numbers_of

        pairs = (
            samples.select("target")
            .with_row_index("sample")
            .join(self._texts, on="target", maintain_order="left_right")
        )
        unique = pairs.select("text_id", "text").unique("text_id", maintain_order=True)
        unique = unique.with_row_index("row")
        pairs = pairs.join(unique.select("text_id", "row"), on="text_id", maintain_order="left")
        counts = pairs.group_by("sample", maintain_order=True).len()["len"]
        rows = pairs["row"].cast(pl.Int64).to_numpy()
        texts = unique["text"].to_list()
        return ItemTexts(
            first=_bounds(counts.cum_sum().to_numpy()),
            rows=rows,
            numbers=numbers_of(
                list(zip(pairs["sample"].to_list(), rows.tolist(), strict=True)), samples.height
            ),
            tokens=self.tokenizer.encode(texts),
            texts=texts,
        )

    def keep(
        self,
        folder: Path,
        rows: pl.DataFrame,
        model: str,
        fold: int,
        fit: "Fit",
        predicted: Any,
    ) -> None:
        """``items.parquet``, ``texts.parquet``, embeddings of both as ``.npy``, the tokenizer.

        Also ``generated.parquet`` where the study trains captions.
        """
        from reelfit.stages.learners.kept import keep_embedded, keep_generated
        from reelfit.training.captioning import write_captions
        from reelfit.training.item_set import ItemSet
        from reelfit.video_text.network import VideoTextNetwork

        del model, fold
        rows = rows.sort("target", "copy", "video_id")
        samples, network = fit.validation, fit.network
        assert isinstance(samples, ItemSet)
        assert isinstance(network, VideoTextNetwork)
        keep_embedded(folder, rows, samples.texts, predicted)
        write_text(folder / TOKENIZER, self.tokenizer.to_json())
        caption = self.study.retrieve.caption
        if caption is not None:
            written = fit.ask(
                lambda reader, portions: write_captions(
                    network,
                    samples,
                    reader,
                    portions,
                    tokenizer=self.tokenizer,
                    way=caption.write,
                    seed=self.study.seed,
                )
            )
            keep_generated(folder, written)


def _bounds(ends: Any) -> Any:
    import numpy as np

    return np.concatenate([[0], ends]).astype(np.int64)


def _texts_of(run: Run, study: Study) -> pl.DataFrame:
    """Target, text_id and text of each pair; before the split, of the table as it is listed."""
    from reelfit.data.tables import TEXTS, read_table
    from reelfit.stages.split import TEXTS_FILE

    path = run.file(TEXTS_FILE)
    if path.exists():
        return read_table(path, TEXTS).select("target", "text_id", "text")
    texts = listing_of(study).texts
    return texts.select(
        (pl.col("item").rank("dense") - 1).cast(pl.Int32).alias("target"),
        (pl.col("text").rank("dense") - 1).cast(pl.Int32).alias("text_id"),
        "text",
    )
