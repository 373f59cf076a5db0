"""One chain of augmentations, by one contender: ``python augmenters.py NAME CLIP.npy``.

Each runs in a process of its own, with its own interpreter where it is installed in another
environment, so nothing of Reelfit is imported here but for Reelfit itself. A clip is 8 frames of
uint8, and so is what comes out; parameters are drawn anew for each clip, and all is always done.
"""

import io
import json
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

WARM, CLIPS = 3, 15
Augment = Callable[[Any], Any]
Chain = tuple[Any, dict[str, Augment]]  # the clip as the library wants it, and operations by name


def reelfit(clip: np.ndarray) -> Chain:
    """Ours, with a generator per clip."""
    from reelfit.augment import AUGMENTATIONS, PRESETS, apply_augmentation
    from reelfit.data.seeds import clip_generator

    number = iter(range(10**9))

    def augmented(names: list[str]) -> Augment:
        def augment(frames: torch.Tensor) -> torch.Tensor:
            generator = clip_generator(0, "clip", next(number))
            drawn = {
                name: AUGMENTATIONS[name].draw(
                    generator, strength=PRESETS["standard"][name], num_frames=8
                )
                for name in names
            }
            return apply_augmentation(frames, drawn)

        return augment

    operations = {
        "flip": ["horizontal_flip"],
        "crop and rotation": ["rotation", "translation_scale"],
        "colour": ["brightness", "contrast", "saturation", "hue"],
        "blur": ["blur"],
        "noise": ["noise"],
        "JPEG": ["recompression"],
    }
    whole = {"chain": [name for names in operations.values() for name in names]}
    return torch.from_numpy(clip), {
        name: augmented(names) for name, names in (whole | operations).items()
    }


def kornia(clip: np.ndarray) -> Chain:
    """Its container for videos, with the same parameters for all frames."""
    import kornia.augmentation as k

    operations = {
        "flip": k.RandomHorizontalFlip(p=1.0),
        "crop and rotation": k.RandomAffine(
            10.0, (0.1, 0.1), (1 / 1.1, 1.1), padding_mode="reflection", p=1.0
        ),
        "colour": k.ColorJiggle(0.2, 0.2, 0.2, 0.05, p=1.0),
        "blur": k.RandomGaussianBlur((7, 7), (0.1, 1.0), p=1.0),
        "noise": k.RandomGaussianNoise(0.0, 4 / 255, p=1.0),
        "JPEG": k.RandomJPEG((50.0, 100.0), p=1.0),
    }

    def augmented(*steps: Any) -> Augment:
        container = k.VideoSequential(*steps, data_format="BTCHW", same_on_frame=True)

        def augment(frames: torch.Tensor) -> torch.Tensor:
            levels = container(frames[None].float().div(255))[0]
            return levels.mul(255).round_().clamp_(0, 255).to(torch.uint8)

        return augment

    chain = {"chain": augmented(*operations.values())}
    return torch.from_numpy(clip), chain | {n: augmented(each) for n, each in operations.items()}


def albumentations(clip: np.ndarray) -> Chain:
    """Its composition over the images of a video."""
    import albumentations as a
    import cv2

    cv2.setNumThreads(1)
    factors = (0.8, 1.2)
    operations = {
        "flip": a.HorizontalFlip(p=1.0),
        "crop and rotation": a.Affine(
            translate_percent=(-0.1, 0.1),
            scale=(1 / 1.1, 1.1),
            rotate=(-10, 10),
            border_mode=cv2.BORDER_REFLECT,
            p=1.0,
        ),
        "colour": a.ColorJitter(factors, factors, factors, (-0.05, 0.05), p=1.0),
        "blur": a.GaussianBlur(blur_limit=0, sigma_limit=(0.1, 1.0), p=1.0),
        "noise": a.GaussNoise(std_range=(0.0, 8 / 255), per_channel=True, p=1.0),
        "JPEG": a.ImageCompression(quality_range=(50, 100), p=1.0),
    }

    def augmented(*steps: Any) -> Augment:
        composed = a.Compose(steps)
        return lambda frames: composed(images=frames)["images"]

    frames = np.ascontiguousarray(clip.transpose(0, 2, 3, 1))
    chain = {"chain": augmented(*operations.values())}
    return frames, chain | {name: augmented(each) for name, each in operations.items()}


def torchvision(clip: np.ndarray) -> Chain:
    """Its second transforms. Beside CPU torch its compiled part is missing: JPEG is Pillow's."""
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):  # without them it does not import
        library.define(f"{name}(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    from PIL import Image
    from torchvision.transforms import InterpolationMode, v2

    def jpeg(frames: torch.Tensor) -> torch.Tensor:
        quality = int(torch.randint(50, 101, ()))
        found = []
        for frame in frames.permute(0, 2, 3, 1).contiguous().numpy():
            written = io.BytesIO()
            Image.fromarray(frame).save(written, "JPEG", quality=quality)
            found.append(torch.from_numpy(np.array(Image.open(written))))
        return torch.stack(found).permute(0, 3, 1, 2)

    operations = {
        "flip": v2.RandomHorizontalFlip(1.0),
        "crop and rotation": v2.RandomAffine(
            10, (0.1, 0.1), (1 / 1.1, 1.1), interpolation=InterpolationMode.BILINEAR
        ),
        "colour": v2.ColorJitter(0.2, 0.2, 0.2, 0.05),
        "blur": v2.GaussianBlur(7, (0.1, 1.0)),
        "noise": v2.GaussianNoise(0.0, 4 / 255),
        "JPEG": jpeg,
    }
    kept = [library]  # the names last as long as it does
    chain = {"chain": lambda frames: kept and v2.Compose(list(operations.values()))(frames)}
    return torch.from_numpy(clip), chain | operations


CONTENDERS = {each.__name__: each for each in (reelfit, kornia, albumentations, torchvision)}


def milliseconds(augment: Augment, clip: Any) -> float:
    """The median of processor time for one clip."""
    found = []
    for number in range(WARM + CLIPS):
        began = time.process_time()
        augment(clip)
        if number >= WARM:
            found.append(1000 * (time.process_time() - began))
    return round(statistics.median(found), 2)


def same_noise(augment: Augment, clip: Any) -> bool:
    """Whether the first two frames of a grey clip always get the same noise."""
    noisy = [augment(clip * 0 + 128) for _ in range(8)]
    return all(bool((one[0] == one[1]).all()) for one in noisy)


def main() -> None:
    """Prints milliseconds by operation as JSON, or why there are none."""
    name, path = sys.argv[1:]
    torch.set_num_threads(1)
    try:
        clip, operations = CONTENDERS[name](np.load(path))
        with torch.no_grad():
            found: dict[str, Any] = {
                what: milliseconds(augment, clip) for what, augment in operations.items()
            }
            found["same_noise_on_each_frame"] = same_noise(operations["noise"], clip)
        found["version"] = version(name)
    except Exception as error:
        found = {"missing": f"{type(error).__name__}: {error}"[:200]}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
