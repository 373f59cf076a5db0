"""Each way in which memory is found to be at its end is provoked for real, and recognised."""

import subprocess
import sys

import pytest

from reelfit.memory.oom import is_out_of_memory

PROVOKED = """
import mmap, resource, sys, tempfile
import numpy as np
import torch
from reelfit.memory.limits import limit_host_memory
from reelfit.memory.oom import is_out_of_memory
from reelfit.memory.record import host_memory

GIB = 2**30
file = tempfile.NamedTemporaryFile()
file.truncate(2 * GIB)
ways = {
    "torch": lambda: torch.empty(2 * GIB, dtype=torch.uint8),
    "a file mapped by torch": lambda: torch.UntypedStorage.from_file(file.name, False, 2 * GIB),
    "numpy": lambda: np.ones(2 * GIB, dtype=np.uint8),
    "Python": lambda: bytearray(2 * GIB),
    "the system": lambda: mmap.mmap(-1, 2 * GIB, flags=mmap.MAP_PRIVATE),
}
limit_host_memory(host_memory().rss_bytes + GIB)
for way, provoke in ways.items():
    try:
        provoke()
    except Exception as error:
        print(way, type(error).__name__, is_out_of_memory(error), sep=": ")
    else:
        print(way, "nothing", False, sep=": ")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is Linux's own")
def test_every_real_shortage_is_recognised():
    told = subprocess.run(
        [sys.executable, "-c", PROVOKED], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert [line.rpartition(": ")[0] for line in told] == [
        "torch: RuntimeError",
        "a file mapped by torch: RuntimeError",
        "numpy: MemoryError",
        "Python: MemoryError",
        "the system: OSError",
    ]
    assert all(line.endswith(": True") for line in told), told


@pytest.mark.parametrize(
    "words",
    [
        "could not create a primitive",
        "could not execute a primitive",
        "CUDA error: out of memory",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        "CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    ],
)
def test_words_count_in_an_error_of_a_backend_alone(words):
    """The first two are provoked by the fuzz, the others need a GPU."""
    assert is_out_of_memory(RuntimeError(words))
    assert not is_out_of_memory(ValueError(words))
    assert not is_out_of_memory(OSError(2, words))


def test_other_errors_of_a_backend_are_not_shortages():
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(FileNotFoundError(2, "No such file or directory"))
