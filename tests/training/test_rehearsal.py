"""A rehearsal profiles a network by steps that it traces and steps that it does."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from reelfit.memory.profile import Profile
from reelfit.models.naive_cnn import NaiveCNN
from reelfit.tasks.classify import Classify
from reelfit.training.averaging import Averages
from reelfit.training.labelled import Labelled
from reelfit.training.mixing import Mixing
from reelfit.training.optimizer import Descent, make_optimizer
from reelfit.training.rehearsal import Rehearsal


def small_network() -> nn.Module:
    return NaiveCNN(channels=(8, 16)).build(num_outputs=2)


def rehearsed(
    *,
    build: Callable[[], nn.Module] = small_network,
    mixing: Mixing | None = None,
    **recipe: Any,
) -> Profile:
    return Rehearsal(
        build=build,
        objective=Labelled(Classify(2), mixing=mixing),
        frames=2,
        size=(16, 16),
        device=torch.device("cpu"),
        precision="float32",
        **recipe,
    ).profile()


def test_a_profile_has_every_technique_traced_and_probed() -> None:
    profile = rehearsed()
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


@pytest.mark.parametrize(
    "descent", [Descent(), Descent("sgd"), Descent("sgd", 0.9)], ids=["adamw", "sgd", "momentum"]
)
def test_a_profile_counts_what_optimizer_and_averages_really_hold(descent: Descent) -> None:
    profile = rehearsed(descent=descent, averaged=True)
    network = small_network()
    optimizer = make_optimizer(network, learning_rate=1.0, weight_decay=0.0, descent=descent)
    held = [tensor.nbytes for state in optimizer.state.values() for tensor in state.values()]
    averages = Averages.begin(network, decay=0.9).of.values()
    assert profile.optimizer_bytes == sum(held)
    assert profile.averages_bytes == sum(tensor.nbytes for tensor in averages) > 0
    parts = profile.components(profile.techniques[0], micro_batch=1, effective_batch=2)
    assert (parts.optimizer_state, parts.averages) == (sum(held), profile.averages_bytes)
    without = rehearsed(descent=descent)
    assert without.averages_bytes == 0


def test_mixing_is_rehearsed_with_the_clip_that_it_takes_for_a_moment() -> None:
    """The network is so small that the mixing is its peak: one clip in floats more."""

    def pooled() -> nn.Module:
        return nn.Sequential(nn.AvgPool3d((3, 16, 16)), nn.Flatten(), nn.Linear(2, 2))

    peaks = []
    for mixing in (None, Mixing(1, 1.0, None)):
        profile = rehearsed(build=pooled, mixing=mixing)
        assert [passed.micro_batch for passed in profile.techniques[0].probed] == [1, 2]
        peaks.append(profile.techniques[0].traced[-1].peak_bytes)
    clip_bytes = 2 * 3 * 16 * 16 * 4
    assert clip_bytes <= peaks[1] - peaks[0] <= 2 * clip_bytes
