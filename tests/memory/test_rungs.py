"""The techniques keep less and leave every bit of the gradient as it was."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from reelfit.memory.rungs import TECHNIQUES, Rung, applied, rung_below, smaller_rung, techniques_of
from reelfit.models import MODELS, make_model
from reelfit.models.model import Network

NETWORKS = [name for name, kind in MODELS.items() if issubclass(kind, Network)]
CPU = torch.device("cpu")
RUNGS = st.builds(Rung, st.integers(1, 64), st.sampled_from(TECHNIQUES))


def kept_bytes(model: nn.Module, clips: torch.Tensor, technique: str) -> int:
    """Bytes that the forward pass keeps for the backward pass, by torch's own hooks."""
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        applied(model, technique),
    ):
        model(clips)
    return sum(kept.values())


def gradients(model: nn.Module, clips: torch.Tensor, technique: str) -> list[torch.Tensor]:
    model = copy.deepcopy(model)
    torch.manual_seed(5)  # dropout
    with applied(model, technique):
        model(clips).square().sum().backward()
    return [p.grad for p in model.parameters()] + list(model.buffers())


@pytest.mark.parametrize("name", NETWORKS)
def test_checkpointing_keeps_less_and_gives_the_same_bits(name):
    model = make_model(name, {}).build(num_outputs=2)
    clips = torch.randn(2, 4, 3, 32, 32)
    assert techniques_of(model, CPU) == ("plain", "checkpointing")
    for plain, again in zip(
        gradients(model, clips, "plain"), gradients(model, clips, "checkpointing"), strict=True
    ):
        assert torch.equal(plain, again)
    assert kept_bytes(model, clips, "checkpointing") < 0.6 * kept_bytes(model, clips, "plain")


def test_batch_norm_is_updated_once_though_a_block_is_computed_twice():
    torch.manual_seed(0)
    blocks = [nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)) for _ in range(3)]
    model = nn.Sequential(*blocks)
    inputs = torch.randn(8, 4)
    for plain, again in zip(
        gradients(model, inputs, "plain"), gradients(model, inputs, "checkpointing"), strict=True
    ):
        assert torch.equal(plain, again)


def test_a_list_of_blocks_is_checkpointed_block_by_block():
    class Stack(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layers = (nn.TransformerEncoderLayer(8, 2, 64, batch_first=True) for _ in range(4))
            self.layers = nn.ModuleList(layers)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            for layer in self.layers:
                tokens = layer(tokens)
            return tokens

    model, tokens = Stack(), torch.randn(2, 16, 8)
    for plain, again in zip(
        gradients(model, tokens, "plain"), gradients(model, tokens, "checkpointing"), strict=True
    ):
        assert torch.equal(plain, again)
    # Inputs of blocks are held by the checkpoints themselves: the hooks see nothing of the rest.
    assert kept_bytes(model, tokens, "checkpointing") < 0.2 * kept_bytes(model, tokens, "plain")


def test_a_model_is_as_it_was_after_a_technique_even_after_an_error():
    model = make_model("r2plus1d", {"width": 8}).build(num_outputs=2)
    before = [dict(vars(module)) for module in model.modules()]
    with pytest.raises(KeyError), applied(model, "checkpointing"):
        raise KeyError
    assert [list(vars(module)) for module in model.modules()] == [list(b) for b in before]


def test_a_model_of_one_block_has_nothing_to_checkpoint():
    assert techniques_of(nn.Linear(2, 2), CPU) == ("plain",)
    assert techniques_of(nn.Linear(2, 2), torch.device("cuda")) == ("plain", "offload")


@given(rung=RUNGS)
def test_the_ladder_ends_and_each_rung_needs_less_than_the_one_above(rung):
    steps = 0
    while (below := rung_below(rung, TECHNIQUES)) is not None:
        assert smaller_rung(rung, below) == below == smaller_rung(below, rung)
        rung, steps = below, steps + 1
    assert rung == Rung(1, TECHNIQUES[-1])
    assert steps <= 9
