"""A frozen encoder is asked once for each clip, and its network says the same."""

from pathlib import Path

import numpy as np
import pytest
import torch

from reelfit.models import make_model
from reelfit.models.embedding_cache import EmbeddingCache
from reelfit.models.transformers_network import EncodedClips
from reelfit.runs import Run
from reelfit.stages.embeddings import keep_embeddings
from reelfit.study_yaml import study_of_models
from small_checkpoints import NETWORKS, kind_of, save_small


def network_of(name: str, weights: Path, cache: Path | None = None) -> tuple[EncodedClips, list]:
    """The network with a frozen encoder, and a list that grows by the samples of each question."""
    torch.manual_seed(0)
    network = make_model(name, {"weights": str(weights), "train": "head"}).build(num_outputs=3)
    assert isinstance(network, EncodedClips)
    asked: list[int] = []
    network.encoder.register_forward_hook(lambda _part, given, _made: asked.append(len(given[0])))
    network.cache = None if cache is None else EmbeddingCache(cache)
    return network.eval(), asked


def clips(count: int) -> torch.Tensor:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 4, 3, 32, 32), dtype=np.uint8)
    return torch.from_numpy(pixels).float() / 127.5 - 1


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_and_gradients_are_those_without_a_cache(name, tmp_path):
    weights = save_small(kind_of(name), tmp_path / "weights")
    plain, _ = network_of(name, weights)
    cached, asked = network_of(name, weights, tmp_path / "kept")
    for network in (plain, cached):
        network(clips(3)).square().sum().backward()
    assert asked == [1, 1, 1]
    torch.testing.assert_close(cached(clips(3)), plain(clips(3)), rtol=1e-5, atol=1e-6)
    for (key, one), (_, other) in zip(
        plain.named_parameters(), cached.named_parameters(), strict=True
    ):
        if one.requires_grad:
            torch.testing.assert_close(other.grad, one.grad, rtol=1e-4, atol=1e-5, msg=key)


def test_each_clip_is_asked_for_once_by_all_that_share_the_folder(tmp_path):
    weights = save_small("vit", tmp_path / "weights")
    first, asked_first = network_of("vit_gru", weights, tmp_path / "kept")
    second, asked_second = network_of("vit_transformer", weights, tmp_path / "kept")
    first(clips(5))
    first(clips(5)[[4, 0, 0]])
    second(clips(6))
    assert (asked_first, asked_second) == ([1] * 5, [1])
    assert len(list((tmp_path / "kept").rglob("*.npy"))) == 6


def test_the_bits_do_not_depend_on_the_batch_or_on_half_precision(tmp_path):
    weights = save_small("vit", tmp_path / "weights")
    found = []
    for number, batches in enumerate([[[0, 1, 2]], [[2], [0, 1]]]):
        network, _ = network_of("vit_gru", weights, tmp_path / str(number))
        with torch.autocast("cpu", torch.bfloat16, enabled=bool(number)):
            for batch in batches:
                network.embed(clips(3)[batch])
        found.append(network.embed(clips(3)))
    assert torch.equal(*found)


def test_a_clip_that_differs_by_one_level_or_in_shape_is_another(tmp_path):
    weights = save_small("vit", tmp_path / "weights")
    network, asked = network_of("vit_gru", weights, tmp_path / "kept")
    changed = clips(1)
    network(changed)
    changed[0, 0, 0, 0, 0] += 1 / 127.5
    network(changed)
    network(changed.reshape(1, 2, 3, 64, 32))
    assert len(asked) == 3


def test_a_damaged_file_is_computed_anew(tmp_path):
    weights = save_small("vit", tmp_path / "weights")
    network, asked = network_of("vit_gru", weights, tmp_path / "kept")
    whole = network.embed(clips(1))
    (path,) = (tmp_path / "kept").rglob("*.npy")
    for damage in (b"", b"nothing", path.read_bytes()[:-4]):
        path.write_bytes(damage)
        assert torch.equal(network.embed(clips(1)), whole)
    assert len(asked) == 4


def test_embeddings_rounded_by_other_sums_are_kept_apart(tmp_path):
    weights = save_small("vit", tmp_path / "weights")
    study = study_of_models(["vit_gru"], changes=["clips.size=32", "clips.frames=4"])
    run, folders = Run(tmp_path / "runs" / "small" / "run"), []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 1):
            torch.set_num_threads(threads)
            network, _ = network_of("vit_gru", weights)
            model = make_model("vit_gru", {"weights": str(weights), "train": "head"})
            keep_embeddings(run, study, model, network, frames=4)
            folders.append(network.cache.folder)
    finally:
        torch.set_num_threads(before)
    assert folders[0] == folders[2] != folders[1]


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ({"train": "last_blocks"}, []),
        ({"train": "head"}, ["train.mixup=0.2"]),
        ({"train": "head"}, ["clips.store=originals"]),
    ],
)
def test_nothing_is_kept_of_clips_that_are_new_each_time_or_where_the_encoder_learns(
    options, changes, tmp_path
):
    weights = save_small("vit", tmp_path / "weights")
    small = ["clips.size=32", "clips.frames=4"]
    study = study_of_models(["vit_gru"], changes=[*small, *changes])
    model = make_model("vit_gru", {"weights": str(weights), **options})
    network = model.build(num_outputs=2)
    keep_embeddings(Run(tmp_path / "runs" / "small" / "run"), study, model, network, frames=4)
    assert network.cache is None


def test_only_what_decides_an_embedding_names_it(tmp_path):
    weights = str(save_small("vit", tmp_path / "weights"))
    options = {"weights": weights, "train": "head"}
    part = make_model("vit_gru", options).frozen_part()
    assert part is not None
    assert make_model("vit_gru", options | {"hidden": 16, "dropout": 0.5}).frozen_part() == part
    assert make_model("vit_gru", options | {"image_size": 64}).frozen_part() != part
    assert make_model("vit_gru", options | {"train": "all"}).frozen_part() is None
    save_small("vit", Path(weights), seed=1)
    assert make_model("vit_gru", options).frozen_part() != part
