"""The arithmetic of the forward pass."""

import torch


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """The type of the forward pass's arithmetic; None is float32 throughout."""
    if precision == "auto":
        gpu = device.type == "cuda" and torch.cuda.is_bf16_supported()
        return torch.bfloat16 if gpu else None
    return {"float32": None, "bfloat16": torch.bfloat16}[precision]
