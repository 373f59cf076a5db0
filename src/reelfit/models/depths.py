"""How deep the layers of a network lie, for layer-wise decay."""

from torch import nn


def depths_along(network: nn.Module, *beside: str, then: tuple[str, ...]) -> dict[str, int]:
    """The depth of each parameter: by its place in the sequences ``beside`` each other, ``then``.

    Those of ``beside`` all begin at the input, and a layer without a matrix or a kernel is as deep
    as the one before it. What stands under ``then`` follows them, one after the other.
    """
    found: dict[str, int] = {}
    for sequence in beside:
        depth = -1
        for place, layer in network.get_submodule(sequence).named_children():
            depth += depth < 0 or any(p.ndim > 1 for p in layer.parameters())
            for name, _ in layer.named_parameters():
                found[f"{sequence}.{place}.{name}"] = depth
    deepest = max(found.values())
    for depth, part in enumerate(then, deepest + 1):
        for name, _ in network.get_submodule(part).named_parameters():
            found[f"{part}.{name}"] = depth
    return found
