"""A rehearsal profiles a network by steps that it traces and steps that it does."""

import torch
from torch import nn

from reelfit.models.naive_cnn import NaiveCNN
from reelfit.tasks.classify import Classify
from reelfit.training.rehearsal import Rehearsal


def small_network() -> nn.Module:
    return NaiveCNN(channels=(8, 16)).build(num_outputs=2)


def test_a_profile_has_every_technique_traced_and_probed() -> None:
    rehearsal = Rehearsal(
        build=small_network,
        task=Classify(2),
        frames=2,
        size=(16, 16),
        device=torch.device("cpu"),
        precision="float32",
    )
    profile = rehearsal.profile()
    weights = sum(p.numel() for p in small_network().parameters())
    assert profile.weights_bytes == profile.gradients_bytes == 4 * weights
    assert profile.sample_bytes == 2 * 3 * 16 * 16 + 8
    assert profile.base_bytes == profile.host_bytes > 0
    assert [each.technique for each in profile.techniques] == ["plain", "checkpointing"]
    for each in profile.techniques:
        assert [passed.micro_batch for passed in each.traced] == [1, 16]
        assert [passed.micro_batch for passed in each.probed] == [1, 2]
        assert all(passed.seconds > 0 for passed in each.probed)
    plain, checkpointed = (each.traced[-1].activations_bytes for each in profile.techniques)
    assert checkpointed < plain
