"""The running average is torch's, costs one copy, and changes places without another."""

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from reelfit.training.averaging import Averages


def network() -> nn.Module:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    model[0].bias.requires_grad_(False)
    return model


def test_an_average_is_that_of_torch_and_leaves_what_is_not_trained() -> None:
    model = network()
    averages = Averages.begin(model, decay=0.7)
    stays = [min(0.7, (1 + step) / (10 + step)) for step in range(40)]
    of_torch = AveragedModel(
        model,
        avg_fn=lambda old, new, seen: stays[int(seen) - 1] * old + (1 - stays[int(seen) - 1]) * new,
    )
    of_torch.update_parameters(model)  # its first update copies
    for step in range(40):
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn_like(parameter))
        averages.update(model, step=step)
        of_torch.update_parameters(model)
    wanted = dict(of_torch.module.named_parameters())
    assert averages.of.keys() == wanted.keys() - {"0.bias"}
    for name, average in averages.of.items():
        torch.testing.assert_close(average, wanted[name].detach())
    assert stays[0] < 0.2
    assert stays[-1] == 0.7


def test_averages_change_places_with_the_weights_and_back_even_after_an_error() -> None:
    model = network()
    averages = Averages.begin(model, decay=0.9)
    with torch.no_grad():
        model[0].weight.add_(1)
    parameters = list(model.parameters())
    places = {p.data_ptr() for p in parameters} | {a.data_ptr() for a in averages.of.values()}
    weight, average = model[0].weight.detach().clone(), averages.of["0.weight"].clone()

    def fail_inside() -> None:
        with averages.in_place(model):
            assert torch.equal(model[0].weight, average)
            assert torch.equal(averages.of["0.weight"], weight)
            assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))
            assert {p.data_ptr() for p in parameters} < places
            raise KeyError

    with pytest.raises(KeyError):
        fail_inside()
    assert torch.equal(model[0].weight, weight)
    assert torch.equal(averages.of["0.weight"], average)


def test_what_a_checkpoint_keeps_comes_back() -> None:
    model = network()
    averages, again = Averages.begin(model, decay=0.9), Averages.begin(model, decay=0.9)
    nn.init.ones_(model[2].weight)
    averages.update(model, step=5)
    again.load({name: tensor.clone() for name, tensor in averages.tensors().items()})
    for name, tensor in averages.of.items():
        assert torch.equal(again.of[name], tensor)
    assert not torch.equal(averages.of["2.weight"], model[2].weight)
