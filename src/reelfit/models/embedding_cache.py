"""What a frozen encoder makes of clips, kept by the content of each."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from reelfit.files import write_whole

Encode = Callable[[Tensor], Tensor]


@final
class EmbeddingCache:
    """A folder of embeddings, which processes may share: whoever needs one first computes it.

    Each is computed of one clip by itself in single precision, so that its bits do not depend on
    which clips were in a batch, nor on who was first. It is found by the bytes of its clip: what
    augmentation, a cut or an interpolation changed is another clip.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self, clips: Float[Tensor, "batch time 3 height width"], encode: Encode
    ) -> Float[Tensor, "batch ..."]:
        """What ``encode`` makes of each of ``clips``, asked for those alone that are not kept.

        Raises:
            RunError: the disk is full.
        """
        found = [self._one(clip, encode) for clip in torch.split(clips, 1)]
        return torch.cat(found).to(clips.device)

    def _one(self, clip: Float[Tensor, "1 ..."], encode: Encode) -> Tensor:
        path = self._place(clip)
        try:
            return torch.from_numpy(np.load(path, allow_pickle=False))
        except (FileNotFoundError, EOFError, ValueError):  # never computed, or damaged since
            pass
        with torch.no_grad(), torch.autocast(clip.device.type, enabled=False):
            made = encode(clip.float()).float().cpu()
        write_whole(path, lambda beside: _save(beside, made))
        return made

    def _place(self, clip: Tensor) -> Path:
        """The name says the shape and the bytes of the clip."""
        plain = clip.detach().float().cpu().contiguous()
        said = hashlib.blake2b(repr(tuple(plain.shape)).encode(), digest_size=16)
        said.update(plain.numpy().data)
        name = said.hexdigest()
        return self.folder / name[:2] / f"{name}.npy"


def _save(path: Path, embedding: Tensor) -> None:
    with path.open("wb") as opened:
        np.save(opened, embedding.numpy(), allow_pickle=False)
