"""Checkpoints of the transformers library, small enough to be made and trained by tests."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForImageClassification,
    AutoModelForVideoClassification,
)

from reelfit.models import MODELS
from reelfit.models.frame_encoder import FrameNetwork
from reelfit.models.transformers_network import TransformersNetwork

_WIDTHS = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2}
_PLAIN = _WIDTHS | {"intermediate_size": 48, "image_size": 32}
SMALL: dict[str, dict[str, Any]] = {
    "vit": _PLAIN | {"patch_size": 8},
    "deit": _PLAIN | {"patch_size": 8},
    "dinov2": _WIDTHS | {"mlp_ratio": 2, "image_size": 32, "patch_size": 8},
    "swin": {"embed_dim": 8, "depths": [2, 1], "num_heads": [2, 4], "image_size": 32}
    | {"patch_size": 4, "window_size": 4},
    "convnext": {"hidden_sizes": [8, 16], "depths": [1, 2], "num_stages": 2, "image_size": 32},
    "videomae": _PLAIN | {"patch_size": 8, "num_frames": 4},
    "timesformer": _PLAIN | {"patch_size": 8, "num_frames": 4},
    "vivit": _PLAIN | {"tubelet_size": [2, 8, 8], "num_frames": 4},
    "vjepa2": _WIDTHS
    | {"patch_size": 8, "crop_size": 32, "frames_per_clip": 4, "mlp_ratio": 2.0}
    | {"num_pooler_layers": 1, "pred_hidden_size": 24, "pred_num_attention_heads": 2}
    | {"pred_num_hidden_layers": 1},
}
"""A few blocks of each kind, on frames of 32 pixels, and on 4 of them."""
NETWORKS = [name for name, kind in MODELS.items() if issubclass(kind, TransformersNetwork)]
OF_FRAMES = [name for name, kind in MODELS.items() if issubclass(kind, FrameNetwork)]


def kind_of(network: str) -> str:
    """The library's kind behind a network of the table."""
    return "vit" if network in OF_FRAMES else network


def small_model(kind: str, *, num_labels: int = 5, seed: int = 0, **values: Any) -> Any:
    """A classifier of the library with weights drawn by ``seed``."""
    videos = "num_frames" in SMALL.get(kind, {}) or kind == "vjepa2"
    classifiers = AutoModelForVideoClassification if videos else AutoModelForImageClassification
    values = SMALL.get(kind, {}) | values
    configuration = AutoConfig.for_model(kind, num_labels=num_labels, **values)
    configuration.architectures = []  # of several the first
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return classifiers.from_config(configuration).eval()


def save_small(kind: str, folder: Path, *, seed: int = 0, **values: Any) -> Path:
    """The folder of a checkpoint of such a classifier."""
    small_model(kind, seed=seed, **values).save_pretrained(folder)
    return folder
