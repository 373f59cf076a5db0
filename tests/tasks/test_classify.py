"""The loss of a classification is torch's where torch has it, and its formula where not."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from reelfit.tasks.classify import Classify

WEIGHTS = torch.tensor([0.5, 2.0, 1.0])
CASES = [
    {},
    {"smoothing": 0.2},
    {"class_weights": WEIGHTS},
    {"class_weights": WEIGHTS, "smoothing": 0.2},
]


def outputs() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return 3 * torch.randn(9, 3, generator=generator).double()


TARGETS = torch.arange(9) % 3
SOFT = torch.softmax(torch.randn(9, 3, generator=torch.Generator().manual_seed(2)), 1)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("soft", [False, True], ids=["classes", "probabilities"])
def test_a_loss_is_torchs_cross_entropy(case: dict[str, object], soft: bool) -> None:
    targets = SOFT if soft else TARGETS
    weights = case.get("class_weights")
    wanted = functional.cross_entropy(
        outputs(),
        targets.double() if soft else targets,
        weight=None if weights is None else WEIGHTS.double(),
        label_smoothing=case.get("smoothing", 0.0),
        reduction="none",
    )
    found = Classify(3, **case).losses(outputs(), targets)
    assert torch.equal(found, wanted)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_soft_targets_of_classes_have_the_loss_of_the_classes(case: dict[str, object]) -> None:
    task = Classify(3, **case)
    found = task.losses(outputs(), task.soft_targets(TARGETS))
    torch.testing.assert_close(found, task.losses(outputs(), TARGETS))


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("soft", [False, True], ids=["classes", "probabilities"])
def test_focal_is_its_formula_and_cross_entropy_as_gamma_vanishes(
    case: dict[str, object], soft: bool
) -> None:
    targets = SOFT if soft else TARGETS
    smoothing = case.get("smoothing", 0.0)
    whole = SOFT.double() if soft else functional.one_hot(TARGETS, 3).double()
    smooth = (1 - smoothing) * whole + smoothing / 3
    p = outputs().softmax(1)
    weights = WEIGHTS.double() if "class_weights" in case else torch.ones(3).double()
    wanted = (-weights * smooth * (1 - p) ** 2.5 * p.log()).sum(1)
    found = Classify(3, **case, focal=2.5).losses(outputs(), targets)
    torch.testing.assert_close(found, wanted)
    nearly = Classify(3, **case, focal=1e-9).losses(outputs(), targets)
    torch.testing.assert_close(nearly, Classify(3, **case).losses(outputs(), targets))


def test_focal_weighs_a_sample_that_is_right_less() -> None:
    easy_and_hard = torch.tensor([[4.0, 0.0], [0.0, 1.0]])
    classes = torch.zeros(2, dtype=torch.int64)
    plain = Classify(2).losses(easy_and_hard, classes)
    focal = Classify(2, focal=2.0).losses(easy_and_hard, classes)
    shares = focal / plain
    assert shares[0] < 0.001 < 0.5 < shares[1]


@pytest.mark.parametrize("gamma", [0.1, 0.5, 1.0, 5.0])
def test_focal_has_a_gradient_where_a_class_is_certain(gamma: float) -> None:
    certain = torch.tensor([[90.0, 0.0], [-90.0, 90.0]], requires_grad=True)
    losses = Classify(2, focal=gamma).losses(certain, torch.zeros(2, dtype=torch.int64))
    losses.sum().backward()
    assert losses[0] == 0
    assert float(losses[1].detach()) == pytest.approx(180, rel=1e-5)
    assert certain.grad is not None
    assert torch.isfinite(certain.grad).all()


def test_half_precision_is_widened_and_double_stays() -> None:
    kinds = {torch.bfloat16: torch.float32, torch.float32: torch.float32}
    for given, wanted in (kinds | {torch.float64: torch.float64}).items():
        for focal in (0.0, 2.0):
            assert (
                Classify(3, WEIGHTS, 0.1, focal).losses(outputs().to(given), TARGETS).dtype
                == wanted
            )
