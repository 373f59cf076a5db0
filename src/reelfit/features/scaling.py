"""Whether a clip's frames are larger or smaller than the video's own."""

SCALING_NAMES = ("is_upscaled", "is_downscaled")


def scaling_features(*, width: int, height: int, size: int, fit: str) -> tuple[float, ...]:
    """The values of ``SCALING_NAMES``, each 0 or 1: what ``decode`` does at ``size`` by ``fit``.

    ``letterbox`` scales so that the whole picture fits the square, a crop so that it fills the
    square: one of the sides decides, and what is black or cut off counts for nothing.
    ``stretch`` scales each side by itself, so that both values may be 1.
    """
    scales = (size / width, size / height)
    if fit == "letterbox":
        scales = (min(scales),) * 2
    elif fit != "stretch":
        scales = (max(scales),) * 2
    return float(max(scales) > 1), float(min(scales) < 1)
