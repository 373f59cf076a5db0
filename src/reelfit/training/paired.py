"""Learning from items that have clips and texts, which find each other by their embeddings."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn
from typing_extensions import override

from reelfit.data.batches import epoch_order
from reelfit.data.seeds import seed_for
from reelfit.data.shards import ShardReader
from reelfit.training.across import Across, Embeddings
from reelfit.training.item_set import ItemBatch, ItemSet, Weights
from reelfit.training.objective import Drawn, Epoch, Objective
from reelfit.training.portions import Portions
from reelfit.training.predicting import to_input
from reelfit.video_text.caption_decoder import caption_losses
from reelfit.video_text.masked_video import MaskedVideo, draw_tubes
from reelfit.video_text.network import VideoTextNetwork

if TYPE_CHECKING:
    from reelfit.video_text.settings import RetrieveSettings

TEXTS_PER_CLIP = 8
"""A text takes far less memory than a clip: so many of these are encoded at once for each."""


@dataclass(frozen=True, eq=False)
class Embedded:
    """What a network makes of a set: a row per sample, a row per unique text, and its mean loss.

    That is of the contrast and of captions, with the weights of the last step; masked video is not
    tried.
    """

    videos: Float32[np.ndarray, "sample dimension"]
    texts: Float32[np.ndarray, "text dimension"]
    loss: float


@final
@dataclass(frozen=True)
class Paired(Objective):
    """A contrastive loss across the samples of a step; captions and masked video beside it."""

    settings: "RetrieveSettings"
    pad: int
    """The token that fills texts up."""
    length: int
    """Tokens of a text."""
    effective_batch: int
    epochs: int
    most_clips: int = 1
    """Clips of an item at the most."""
    measured: Callable[["Embedded", ItemSet], dict[str, float | None]] = field(
        default=lambda _embedded, _samples: {}
    )
    """The metrics of what was embedded, beside its loss."""

    @property
    @override
    def across(self) -> Across:
        return _Contrast(self)

    @property
    @override
    def kept_bytes(self) -> int:
        """Both embeddings and their gradients, number, weight and tokens, and what is hidden."""
        masked = self.settings.masked
        hidden = masked.grid**2 * self.most_clips if masked else 0
        return 4 * 4 * self.settings.dimensions + 16 + 8 * self.length + hidden

    @override
    def draw(
        self,
        samples: ItemSet,  # type: ignore[override]
        reader: ShardReader,
        epoch: Epoch,
    ) -> Iterator[tuple[Drawn, int]]:
        """Clips are read when a part of a step is at work, so no step is ever whole in memory."""
        seed = seed_for(epoch.seed, "order of clips")
        order = epoch_order(len(samples), seed=seed, epoch=epoch.number)
        texts = samples.texts.drawn(seed=epoch.seed, epoch=epoch.number)
        read = samples.reading(samples.clips.source(reader, epoch=epoch.number))
        for begin in range(epoch.start, len(order), epoch.size):
            rows = np.asarray(order[begin : begin + epoch.size], dtype=np.int64)
            batch = ItemBatch(
                read,
                rows,
                samples.texts.tokens[texts[rows]],
                torch.from_numpy(samples.texts.numbers[rows]),
                self._weights(self._progress(epoch, begin, len(order))),
                self._hidden(len(rows), seed_for(epoch.seed, "hidden", epoch.number, begin)),
            )
            yield Drawn(batch, rows), begin + len(rows)

    def _progress(self, epoch: Epoch, begin: int, samples: int) -> float:
        """From 0 at the first step of training to 1 at its last one."""
        steps = -(-samples // epoch.size)
        last = max(steps * self.epochs - 1, 1)
        return (epoch.number * steps + begin // epoch.size) / last

    def _weights(self, progress: float) -> Weights:
        from reelfit.video_text.settings import weight_at

        how = self.settings
        return Weights(
            weight_at(how.weight, progress),
            weight_at(how.caption.weight, progress) if how.caption else 0.0,
            weight_at(how.masked.weight, progress) if how.masked else 0.0,
        )

    def _hidden(self, samples: int, seed: int) -> Tensor | None:
        """Drawn for a whole step, so that it does not depend on how that is cut."""
        masked = self.settings.masked
        if masked is None:
            return None
        generator = torch.Generator().manual_seed(seed)
        drawn = draw_tubes(
            samples * self.most_clips,
            grid=masked.grid,
            hidden=round(masked.share * masked.grid**2),
            generator=generator,
        )
        return drawn.reshape(samples, self.most_clips, masked.grid, masked.grid)

    @override
    def losses(self, network: nn.Module, part: ItemBatch) -> Float[Tensor, " batch"]:
        """What holds as much memory as a part of a step, to trace it: each pair by itself.

        Tensors without data cannot say which pairs of a step are positive.
        """
        embeddings, own = self.across.embed(network, part)
        each: Tensor = own - (embeddings["video"] * embeddings["text"]).sum(1)
        return each

    @override
    def predict(
        self,
        network: nn.Module,
        samples: ItemSet,  # type: ignore[override]
        reader: ShardReader,
        device: torch.device,
        portions: Portions,
    ) -> Embedded:
        assert isinstance(network, VideoTextNetwork)
        network.eval()
        read = samples.reading(samples.clips.source(reader))
        tokens, first = samples.texts.tokens, samples.texts.rows[samples.texts.first[:-1]]

        def embed_videos(begin: int, end: int) -> tuple[np.ndarray, float]:
            clips, owners = read(np.arange(begin, end))
            inputs = to_input(clips, device)
            found, seen, there = network.encode_videos(inputs, owners, end - begin)
            losses = self.caption_losses(network, tokens[first[begin:end]].to(device), seen, there)
            return _on_host(found), float(losses.sum())

        def embed_texts(begin: int, end: int) -> np.ndarray:
            return _on_host(network.encode_texts(tokens[begin:end].to(device)))

        embedded, captions = zip(*portions(len(samples), embed_videos), strict=True)
        videos = np.concatenate(embedded)
        of_texts = Portions(TEXTS_PER_CLIP * portions.size, portions.on_shortage)
        texts = np.concatenate(of_texts(len(tokens), embed_texts))
        last = self._weights(1.0)
        contrast = self._loss(network, samples, videos, texts, device)
        loss = last.contrast * contrast + last.caption * sum(captions) / len(samples)
        return Embedded(videos, texts, loss)

    def caption_losses(
        self, network: VideoTextNetwork, tokens: Tensor, seen: Tensor, there: Tensor
    ) -> Float[Tensor, " sample"]:
        """Of each sample's own text, by what was seen; zeros where no captions are trained."""
        how = self.settings.caption
        if how is None or network.caption is None:
            return seen.new_zeros(len(tokens))
        logits = network.caption(tokens, seen, there)
        return caption_losses(logits, tokens, pad=self.pad, smoothing=how.smoothing)

    def _loss(
        self,
        network: VideoTextNetwork,
        samples: ItemSet,
        videos: np.ndarray,
        texts: np.ndarray,
        device: torch.device,
    ) -> float:
        """The mean contrastive loss of steps as in training, each sample with its first text."""
        first, numbers = samples.texts.rows[samples.texts.first[:-1]], samples.texts.numbers
        order, total = epoch_order(len(samples), seed=0, epoch=0), 0.0
        with torch.inference_mode():
            for begin in range(0, len(order), self.effective_batch):
                rows = order[begin : begin + self.effective_batch]
                loss = network.loss_across(
                    torch.from_numpy(videos[rows]).to(device),
                    torch.from_numpy(texts[first[rows]]).to(device),
                    torch.from_numpy(numbers[rows]).to(device),
                )
                total += float(loss) * len(rows)
        return total / len(order)

    @override
    def measure(
        self,
        predicted: Embedded,
        samples: ItemSet,  # type: ignore[override]
    ) -> dict[str, float | None]:
        return {"loss": predicted.loss, **self.measured(predicted, samples)}

    @override
    def made_up(self, samples: int, *, frames: int, size: tuple[int, int]) -> ItemBatch:
        each = self.most_clips

        def read(rows: np.ndarray) -> tuple[Tensor, list[int]]:
            shape = (each * len(rows), frames, 3, *size)
            clips = torch.randint(0, 256, shape, dtype=torch.uint8)
            return clips, np.repeat(np.arange(len(rows)), each).tolist()

        return ItemBatch(
            read,
            np.arange(samples),
            torch.full((samples, self.length), self.pad + 1 if self.pad == 0 else 0),
            torch.arange(samples),
            self._weights(0.5),
            self._hidden(samples, 0),
        )

    @override
    def count(self, samples: ItemBatch) -> int:
        return len(samples)

    @override
    def split(self, samples: ItemBatch, begin: int, end: int) -> ItemBatch:
        return samples.part(begin, end)


@final
@dataclass(frozen=True)
class _Contrast(Across):
    """What a step's loss across its samples is computed of."""

    of: Paired

    @override
    def embed(self, model: nn.Module, part: Any) -> tuple[Embeddings, Float[Tensor, " batch"]]:
        assert isinstance(model, VideoTextNetwork)
        device = next(model.parameters()).device
        clips, owners = part.read(part.samples)
        inputs, tokens = to_input(clips, device), part.tokens.to(device)
        videos, seen, present = model.encode_videos(inputs, owners, len(part))
        embeddings = {
            "video": videos,
            "text": model.encode_texts(tokens),
            "number": part.numbers.to(device),
            "weight": torch.full((len(part),), part.weights.contrast, device=device),
        }
        own = torch.zeros(len(part), device=device)
        if torch.is_grad_enabled():
            captions = self.of.caption_losses(model, tokens, seen, present)
            own = own + part.weights.caption * captions
            own = own + self._masked(model, part, inputs, owners)
        return embeddings, own

    def _masked(
        self, model: VideoTextNetwork, part: ItemBatch, inputs: Tensor, owners: list[int]
    ) -> Tensor | float:
        if model.masked is None or part.hidden is None:
            return 0.0
        counts, places = [0] * len(part), []
        for sample in owners:
            places.append(counts[sample])
            counts[sample] += 1
        masked = model.masked
        assert isinstance(masked, MaskedVideo)
        mask = part.hidden[owners, places].to(inputs.device)
        features = model.video(masked.hide(inputs, mask))
        losses = masked.losses(features, inputs, mask)
        shares = torch.tensor([1 / counts[sample] for sample in owners], device=inputs.device)
        owner = torch.tensor(owners, device=inputs.device)
        means = losses.new_zeros(len(part)).index_add(0, owner, losses * shares)
        return part.weights.masked * means

    @override
    def loss(self, model: nn.Module, embeddings: Embeddings) -> Float[Tensor, ""]:
        assert isinstance(model, VideoTextNetwork)
        across = model.loss_across(embeddings["video"], embeddings["text"], embeddings["number"])
        return across * embeddings["weight"].mean()


def _on_host(embeddings: Tensor) -> Float32[np.ndarray, "row dimension"]:
    assert not embeddings.requires_grad
    return embeddings.float().cpu().numpy()
