"""Whether a clip's frames are larger or smaller than the video's own."""

SCALING_NAMES = ("is_upscaled", "is_downscaled")


def scaling_features(
    *, width: int, height: int, size: tuple[int, int], fit: str
) -> tuple[float, ...]:
    """The values of ``SCALING_NAMES``, each 0 or 1: what ``decode`` does at ``size`` by ``fit``.

    ``size`` is height and width. ``letterbox`` scales so that the whole picture fits it, a crop so
    that it fills it: one of the sides decides, and what is black or cut off counts for nothing.
    ``stretch`` scales each side by itself, so that both values may be 1.
    """
    scales = (size[1] / width, size[0] / height)
    if fit == "letterbox":
        scales = (min(scales),) * 2
    elif fit != "stretch":
        scales = (max(scales),) * 2
    return float(max(scales) > 1), float(min(scales) < 1)
