"""Recognising that memory ran out, in one place, by type first and by the backends' own words."""

import errno
import sys

_BACKEND_WORDS = (
    "can't allocate memory",  # torch's CPU allocator
    "Cannot allocate memory",  # the system, where torch maps a file
    "not enough memory: you tried to allocate",  # the same on other systems
    "bad_alloc",  # C++ beneath torch
    "could not create a primitive",  # oneDNN, when its scratch memory cannot be had
    "could not create a memory object",
    "could not execute a primitive",  # the same, met while it computes
    "out of memory",  # CUDA libraries beside the caching allocator
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "_ALLOCATION_FAILED",  # of cuDNN 9, on the host and on the device
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` says that memory, of the host or of a device, was exhausted."""
    torch = sys.modules.get("torch")  # no error of torch without torch: decoding needs none
    if isinstance(error, MemoryError) or (torch and isinstance(error, torch.OutOfMemoryError)):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _BACKEND_WORDS)


def said_of(error: BaseException) -> str:
    """The first line of what a backend said; it says nothing where C++ ran out."""
    return str(error).split("\n", maxsplit=1)[0] or type(error).__name__
