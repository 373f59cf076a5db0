"""Which names are those of arrays of frames. No array is opened here: the parent asks, too."""

import re
from pathlib import Path

_DATASET = re.compile(r"^(?P<file>.*\.(?:h5|hdf5))(?:::(?P<name>.*))?$", re.IGNORECASE | re.DOTALL)


def is_array(path: Path) -> bool:
    """Whether the name is that of an array: ``a.npy``, or ``a.h5::dataset`` in an HDF5 file."""
    return path.suffix.lower() == ".npy" or dataset_of(path) is not None


def file_of(path: Path) -> Path:
    """The file that holds a video: ``a.h5`` of ``a.h5::dataset``, else the path itself."""
    found = _DATASET.match(str(path))
    return Path(found["file"]) if found else path


def dataset_of(path: Path) -> str | None:
    """The dataset that is named in an HDF5 file, empty where none is; None for other files."""
    found = _DATASET.match(str(path))
    return (found["name"] or "") if found else None
