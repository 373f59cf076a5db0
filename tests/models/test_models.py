"""What every model of the table must hold, and each against its own reference."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from reelfit.errors import StudyError
from reelfit.models import MODELS, make_model
from reelfit.models.handcrafted_logistic import HandcraftedLogistic
from reelfit.models.model import FeatureModel, Network, OnNetwork
from reelfit.study import ON_NETWORKS

NETWORKS = [name for name, kind in MODELS.items() if issubclass(kind, Network)]
FEATURE_MODELS = [name for name, kind in MODELS.items() if issubclass(kind, FeatureModel)]


def build(name: str, *, num_outputs: int = 3) -> torch.nn.Module:
    """The network in double precision, without dropout."""
    options = {"dropout": 0.0} if "dropout" in MODELS[name].model_fields else {}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make_model(name, options).build(num_outputs=num_outputs).double()


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)).double() * 2 - 1


def test_every_model_is_of_one_kind():
    on_networks = [name for name, kind in MODELS.items() if issubclass(kind, OnNetwork)]
    assert sorted(on_networks) == sorted(ON_NETWORKS)
    assert sorted([*NETWORKS, *FEATURE_MODELS, *on_networks, "ensemble"]) == sorted(MODELS)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_built_and_run_without_memory_for_its_weights(name):
    with torch.device("meta"):
        network = make_model(name, {}).build(num_outputs=5)
        outputs = network(torch.empty(2, 8, 3, 112, 112))
    assert all(tensor.is_meta for tensor in network.state_dict().values())
    assert outputs.shape == (2, 5)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("shape", [(1, 1, 3, 8, 8), (2, 3, 3, 33, 33), (1, 9, 3, 64, 64)])
def test_there_is_one_finite_row_of_outputs_per_clip_of_any_length_and_size(name, shape):
    outputs = build(name, num_outputs=4)(noise(*shape))
    assert outputs.shape == (shape[0], 4)
    assert outputs.isfinite().all()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("training", [True, False])
def test_samples_do_not_see_each_other(name, training):
    network = build(name).train(training)
    clips = noise(5, 4, 3, 32, 32) * torch.tensor([0.01, 0.1, 0.5, 1, 1]).view(5, 1, 1, 1, 1)
    together = network(clips)
    alone = torch.cat([network(clip) for clip in clips.split(1)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)
    assert together.std(0).min() > 1e-4  # else they would agree for seeing nothing


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("frames", [2, 4])
def test_after_one_step_the_gradient_reaches_every_parameter_and_every_frame(name, frames):
    network, clips = build(name), noise(2, frames, 3, 32, 32).requires_grad_()
    optimizer = torch.optim.AdamW(network.parameters())
    network(clips).square().sum().backward()
    optimizer.step()  # what begins at zero keeps the gradient from what is behind it
    optimizer.zero_grad()
    clips.grad = None
    network(clips).square().sum().backward()
    untouched = [key for key, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert untouched == []
    assert clips.grad.abs().sum((2, 3, 4)).min() > 0


@pytest.mark.parametrize("name", NETWORKS)
def test_micro_batches_have_the_gradient_of_the_whole_batch(name):
    network, clips = build(name), noise(3, 4, 3, 32, 32)
    targets = torch.tensor([0, 1, 2])
    found = []
    for size in (3, 2, 1):
        network.zero_grad()
        for part, wanted in zip(clips.split(size), targets.split(size), strict=True):
            loss = torch.nn.functional.cross_entropy(network(part), wanted, reduction="sum") / 3
            loss.backward()
        found.append({key: p.grad.clone() for key, p in network.named_parameters()})
    for cut in found[1:]:
        torch.testing.assert_close(cut, found[0], rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_can_shrink_until_it_cannot(name):
    model, sizes = make_model(name, {}), []
    if model.smaller() is None:  # the default is the smallest of sizes that have names
        model = make_model(name, {"size": "small"})
    while model is not None:
        with torch.device("meta"):
            network = model.build(num_outputs=2)
        sizes.append(sum(p.numel() for p in network.parameters()))
        assert make_model(name, model.model_dump(mode="json")) == model
        model = model.smaller()
    assert len(sizes) > 1
    assert all(after < 0.9 * before for before, after in itertools.pairwise(sizes))


@pytest.mark.parametrize("name", NETWORKS)
def test_depths_are_of_all_parameters_and_the_head_is_the_deepest(name):
    model, network = make_model(name, {}), build(name)
    depths = model.depths(network)
    if type(model).depths is Network.depths:
        assert depths == {}
        return
    assert depths.keys() == dict(network.named_parameters()).keys()
    deepest = {key for key, depth in depths.items() if depth == max(depths.values())}
    assert deepest >= {"head.weight", "head.bias"}
    assert len(deepest) < len(depths) / 2
    assert set(depths.values()) == set(range(max(depths.values()) + 1))
    assert all(
        depths[key] == 0 for key, p in network.named_parameters() if p.ndim > 2 and p.shape[1] == 3
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_seed_builds_the_same_weights(name):
    first, again = build(name).state_dict(), build(name).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)


@pytest.mark.parametrize("name", NETWORKS)
def test_dropout_acts_in_training_alone(name):
    if "dropout" not in MODELS[name].model_fields:
        pytest.skip(f"{name} has no dropout")
    network = make_model(name, {"dropout": 0.5}).build(num_outputs=3)
    clips = noise(1, 2, 3, 16, 16).float()
    assert not torch.equal(network(clips), network(clips))
    network.eval()
    assert torch.equal(network(clips), network(clips))


def rows_with_classes(num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """120 rows of 6 features on very different scales, each telling a little of the class."""
    generator = np.random.default_rng(num_classes)
    targets = generator.choice(num_classes, 120, p=_falling(num_classes)).astype(np.int64)
    told = generator.normal(size=(num_classes, 6))[targets] + generator.normal(size=(120, 6))
    return told * 10.0 ** np.arange(-3, 3) + 5, targets


def _falling(count: int) -> np.ndarray:
    weights = 1 / np.arange(1, count + 1)
    return weights / weights.sum()


@pytest.mark.parametrize("num_classes", [2, 4])
@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("inverse_penalty", [0.1, 3.0])
def test_handcrafted_logistic_predicts_what_scikit_learn_does(
    num_classes, balanced, inverse_penalty
):
    features, targets = rows_with_classes(num_classes)
    train, held = slice(0, 90), slice(90, None)
    model = HandcraftedLogistic(inverse_penalty=inverse_penalty)
    weights = model.fit(
        features[train], targets[train], num_classes=num_classes, balanced=balanced, seed=0
    )
    reference = make_pipeline(
        StandardScaler(),
        LogisticRegression(
            C=inverse_penalty, max_iter=5000, class_weight="balanced" if balanced else None
        ),
    ).fit(features[train], targets[train])
    found = model.probabilities(weights, features[held])
    np.testing.assert_allclose(found, reference.predict_proba(features[held]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", FEATURE_MODELS)
def test_every_feature_counts(name):
    features, targets = rows_with_classes(3)
    model = make_model(name, {})
    weights = model.fit(features, targets, num_classes=3, balanced=False, seed=0)
    before = model.probabilities(weights, features)
    for column in range(features.shape[1]):
        moved = features.copy()
        moved[:, column] += features[:, column].std()
        assert np.abs(model.probabilities(weights, moved) - before).max() > 0.01


@pytest.mark.parametrize("name", FEATURE_MODELS)
def test_a_feature_that_training_never_saw_change_says_nothing(name):
    features, targets = rows_with_classes(3)
    model = make_model(name, {})
    wanted = model.probabilities(
        model.fit(features, targets, num_classes=3, balanced=False, seed=0), features
    )
    untold = np.column_stack([features, np.zeros(120), np.full(120, 29.97)])
    weights = model.fit(untold, targets, num_classes=3, balanced=False, seed=0)
    told = np.column_stack([features, np.full(120, 8e6), np.full(120, 25.0)])
    np.testing.assert_allclose(model.probabilities(weights, told), wanted, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", FEATURE_MODELS)
@pytest.mark.parametrize("shown", [[0, 2, 3], [1, 3], [2]])
def test_a_class_that_no_training_row_shows_has_probability_0(name, shown):
    features, _ = rows_with_classes(4)
    targets = np.resize(np.array(shown, dtype=np.int64), 120)
    model = make_model(name, {})
    weights = model.fit(features, targets, num_classes=4, balanced=True, seed=0)
    found = model.probabilities(weights, features)
    assert np.flatnonzero(found.any(0)).tolist() == shown
    np.testing.assert_allclose(found.sum(1), 1, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", FEATURE_MODELS)
def test_rows_far_from_all_others_have_finite_probabilities(name):
    features, targets = rows_with_classes(3)
    model = make_model(name, {})
    weights = model.fit(features, targets, num_classes=3, balanced=False, seed=0)
    found = model.probabilities(weights, features * 1e9)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(1), 1, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("r2plus1", {}, "r2plus1 is not a model; did you mean r2plus1d"),
        ("oracle", {}, "oracle is not a model; known: .*naive_cnn"),
        ("naive_cnn", {"chanels": [8]}, "no option chanels; did you mean channels"),
        ("r2plus1d", {"zzz": 1}, "no option zzz; known: width, blocks, dropout, size"),
        ("naive_cnn", {"channels": [8, 12]}, r"naive_cnn\.channels\.1: .*multiple of 8"),
        ("r2plus1d", {"blocks": []}, r"r2plus1d\.blocks: .*at least 1 item"),
        ("handcrafted_logistic", {"inverse_penalty": 0}, r"inverse_penalty: .*greater than 0"),
    ],
)
def test_an_unknown_model_or_option_is_named_with_the_nearest(name, options, said):
    with pytest.raises(StudyError, match=said):
        make_model(name, options)
