"""What one training step will hold, found out without holding it: by tensors that have no data."""

import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from typing_extensions import override

from reelfit.memory.rungs import applied


@dataclass(frozen=True)
class Traced:
    """Bytes of one training step, by what they are for.

    ``activations_bytes`` is what a forward pass leaves for the backward pass. ``peak_bytes`` is the
    most that the two passes hold beyond weights, gradients, buffers and the batch. What libraries
    take below torch, such as a convolution's workspace, is in none of them.
    """

    micro_batch: int
    weights_bytes: int
    gradients_bytes: int
    optimizer_bytes: int
    buffers_bytes: int
    batch_bytes: int
    activations_bytes: int
    peak_bytes: int


def adam_bytes(trained: list[nn.Parameter]) -> int:
    """What Adam holds: two moments of each trained parameter, and a count of its steps."""
    return sum(2 * p.numel() * p.element_size() + 4 for p in trained)


def trace_step(
    build: Callable[[], nn.Module],
    losses: Callable[[nn.Module, Any], Float[Tensor, " batch"]],
    make_batch: Callable[[int], Any],
    *,
    micro_batch: int,
    technique: str = "plain",
    autocast_dtype: torch.dtype | None = None,
    state_bytes: Callable[[list[nn.Parameter]], int] = adam_bytes,
) -> Traced:
    """Runs one forward and backward pass of ``micro_batch`` samples on tensors without data.

    The gradients of an earlier micro-batch stand already, as in all of a step's passes but the
    first. What the optimizer holds for the trained parameters is counted by ``state_bytes``. All
    of it is traced as on a CPU: without a GPU, the backward pass of a tensor that claims to be
    on one would end the process. Memory: a few MiB, whatever the size of the model.

    Source: torch.distributed._tools.mem_tracker, for counting storages in a dispatch mode.
    """
    with FakeTensorMode(allow_non_fake_inputs=True), _LiveStorages() as live:
        model = build().train()
        trained = [p for p in model.parameters() if p.requires_grad]
        for parameter in trained:
            parameter.grad = torch.zeros_like(parameter)
        batch = make_batch(micro_batch)
        live.peak_bytes = before = live.now_bytes
        with applied(model, technique):
            with torch.autocast("cpu", autocast_dtype, enabled=autocast_dtype is not None):
                loss = losses(model, batch).sum()
            activations_bytes = live.now_bytes - before
            loss.backward()  # type: ignore[no-untyped-call]
        peak_bytes = live.peak_bytes - before
        return Traced(
            micro_batch=micro_batch,
            weights_bytes=_held(model.parameters()),
            gradients_bytes=_held(p.grad for p in trained if p.grad is not None),
            optimizer_bytes=state_bytes(trained),
            buffers_bytes=_held(model.buffers()),
            batch_bytes=_held(leaf for leaf in tree_leaves(batch) if isinstance(leaf, Tensor)),
            activations_bytes=activations_bytes,
            peak_bytes=peak_bytes,
        )


def _held(tensors: Iterable[Tensor]) -> int:
    """The bytes of all storages below ``tensors``, each counted once."""
    storages = [tensor.untyped_storage() for tensor in tensors]
    return sum({storage._cdata: storage.nbytes() for storage in storages}.values())


@final
@dataclass(eq=False)
class _LiveStorages(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of every storage that an operation gives, until nothing holds it."""

    now_bytes: int = 0
    peak_bytes: int = 0
    _known: dict[int, "weakref.ref[torch.UntypedStorage]"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    @override
    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        outputs = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(outputs):
            if isinstance(leaf, Tensor):
                self._count(leaf.untyped_storage())
        return outputs

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, num_bytes = storage._cdata, storage.nbytes()
        if key in self._known:  # a view, or changed in place
            return

        def forget(_: object) -> None:
            self.now_bytes -= num_bytes
            del self._known[key]

        self._known[key] = weakref.ref(storage, forget)
        self.now_bytes += num_bytes
        self.peak_bytes = max(self.peak_bytes, self.now_bytes)
