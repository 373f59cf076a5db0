"""Whether what a frozen encoder makes of stored clips is kept for all folds, epochs and models."""

import math
from importlib.metadata import version
from typing import TYPE_CHECKING

from reelfit.files import digest
from reelfit.runs import Run
from reelfit.stages.profile import processors_in_words
from reelfit.study import Study

if TYPE_CHECKING:
    from torch import nn

    from reelfit.models.model import Network


def keep_embeddings(
    run: Run, study: Study, model: "Network", network: "nn.Module", *, frames: int
) -> None:
    """Lets ``network`` keep embeddings in the run's store, where clips are seen again as they are.

    Not where an encoder learns; where each epoch has clips of its own (augmented as they are read,
    mixed); nor where an embedding is larger than its clip, so that reading it would be no gain.
    """
    part = model.frozen_part()
    online = study.clips.store == "originals" and bool(study.clips.copies)
    if part is None or online or study.train.mixup or study.train.cutmix:
        return
    import torch

    from reelfit.models.embedding_cache import EmbeddingCache
    from reelfit.models.transformers_network import EncodedClips

    assert isinstance(network, EncodedClips)
    device = next(network.parameters()).device
    clip = torch.zeros(1, frames, 3, *study.clips.height_width, device=device)
    network.eval()
    with torch.no_grad():
        embedding = network.embed(clip)
    network.train()
    if embedding.numel() * embedding.element_size() > math.prod(clip.shape):
        return
    # All that sums are rounded by: a run has the same bits whoever filled the store before it.
    rounded_by = [version("torch"), version("transformers"), processors_in_words()]
    key = digest([part, rounded_by, device.type, torch.get_num_threads()])
    network.cache = EmbeddingCache(run.store / "embeddings" / key[:32])
