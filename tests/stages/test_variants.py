"""What a network may shrink to: in the order of the study, one step after the other."""

import pytest

from reelfit.models import make_model
from reelfit.models.model import Network
from reelfit.stages.variants import Variant, variants_of
from reelfit.study import Study


def shrinking(model: dict[str, object], *allow: str, frames: int = 8) -> list[Variant]:
    study = Study.model_validate(
        {
            "videos": {"table": "videos.csv"},
            "clips": {"frames": frames},
            "models": [model],
            "allow": allow,
        }
    )
    (choice,) = study.models
    network = make_model(choice.name, choice.options)
    assert isinstance(network, Network)
    return variants_of(choice, network, study)


def test_nothing_is_given_up_without_leave() -> None:
    assert shrinking({"name": "r2plus1d", "width": 32}) == [Variant(8, {"width": 32})]


def test_frames_are_halved_to_two_and_then_the_width_to_its_least() -> None:
    found = shrinking({"name": "r2plus1d", "width": 32}, "fewer_frames", "smaller_preset")
    assert [(one.frames, one.options["width"]) for one in found] == [
        (8, 32), (4, 32), (2, 32), (2, 16), (2, 8),
    ]  # fmt: skip
    assert found[-1].given_up == ("2 of 8 frames", "width 8 in place of 32")


def test_the_order_of_the_study_is_kept() -> None:
    found = shrinking({"name": "r2plus1d"}, "smaller_preset", "fewer_frames", frames=5)
    assert [(one.frames, one.options.get("width")) for one in found] == [
        (5, None), (5, 8), (2, 8),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["naive_cnn", "r2plus1d"])
def test_each_smaller_network_is_one_and_has_fewer_weights(name: str) -> None:
    found = shrinking({"name": name}, "smaller_preset")
    assert len(found) > 1
    sizes = []
    for one in found:
        model = make_model(name, one.options)
        assert isinstance(model, Network)
        sizes.append(sum(p.numel() for p in model.build(num_outputs=2).parameters()))
    assert sizes == sorted(set(sizes), reverse=True)
