"""Networks around encoders of the transformers library: exact, frozen as asked, of known size."""

import sys

import pytest
import torch

from reelfit.errors import StudyError
from reelfit.memory.trace import trace_step
from reelfit.models import make_model
from reelfit.models.input_adapter import InputAdapter
from reelfit.models.transformers_network import TransformersNetwork, block_depths, blocks_of
from reelfit.training.step import ExactStep
from small_checkpoints import NETWORKS, OF_FRAMES, SMALL, kind_of, save_small, small_model

_FEW_PLACES = {"frames": 2, "image_size": 32}
"""Its places have no parameters, and the library takes seconds to fill them."""
IMAGES = ["vit", "deit", "dinov2", "swin", "convnext"]


def small_network(name: str, **options: object) -> TransformersNetwork:
    if "weights" not in options:
        config = SMALL[kind_of(name)] if "encoder" not in options else SMALL[options["encoder"]]
        options = {"config": config} | options
    found = make_model(name, options)
    assert isinstance(found, TransformersNetwork)
    return found


def build(model: TransformersNetwork, *, seed: int = 0) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return model.build(num_outputs=3)


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


def trained(network: torch.nn.Module) -> set[str]:
    return {name for name, p in network.named_parameters() if p.requires_grad}


def gradients(network: torch.nn.Module, *, micro_batch: int, technique: str) -> dict:
    step = ExactStep(
        network,
        torch.optim.SGD(network.parameters(), lr=0.0),
        lambda net, part: net(part).square().sum(1),
        5,
        micro_batch=micro_batch,
        technique=technique,
    )
    step(noise(5, 4, 3, 32, 32).double())
    return {name: p.grad for name, p in network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", NETWORKS)
def test_micro_batches_and_checkpointing_give_the_gradient_of_the_whole_batch(name):
    network = build(small_network(name)).double().train()
    whole = gradients(network, micro_batch=5, technique="plain")
    for technique in ("plain", "checkpointing"):
        cut = gradients(network, micro_batch=2, technique=technique)
        assert whole.keys() == cut.keys() == trained(network)
        for key, wanted in whole.items():
            torch.testing.assert_close(cut[key], wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_is_traced_without_data_and_checkpointing_keeps_less(name, tmp_path):
    model = small_network(name, weights=str(save_small(kind_of(name), tmp_path / "w")))
    found = [
        trace_step(
            lambda: model.build(num_outputs=3),
            lambda net, part: net(part).square().sum(1),
            lambda samples: torch.zeros(samples, 4, 3, 32, 32),
            micro_batch=2,
            technique=technique,
        )
        for technique in ("plain", "checkpointing")
    ]
    weights = sum(p.numel() * p.element_size() for p in build(model).parameters())
    assert found[0].weights_bytes == found[1].weights_bytes == weights
    assert found[1].activations_bytes < found[0].activations_bytes


@pytest.mark.parametrize("name", NETWORKS)
def test_a_pass_in_half_precision_is_finite(name):
    network = build(small_network(name)).train()
    with torch.autocast("cpu", torch.bfloat16):
        outputs = network(noise(2, 4, 3, 32, 32))
    outputs.float().square().sum().backward()
    assert outputs.isfinite().all()
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)


@pytest.mark.parametrize("encoder", IMAGES)
def test_any_image_encoder_sees_each_sample_by_itself(encoder):
    steady = {} if encoder in ("vit", "deit") else {"drop_path_rate": 0.0}
    model = small_network("vit_gru", encoder=encoder, config=SMALL[encoder] | steady)
    network = build(model).double().train()
    clips = noise(3, 4, 3, 32, 32).double()
    alone = torch.cat([network(clip) for clip in clips.split(1)])
    torch.testing.assert_close(network(clips), alone, rtol=0, atol=1e-12)
    network(clips).square().sum().backward()
    with_gradient = {name for name, p in network.named_parameters() if p.grad is not None}
    assert with_gradient == trained(network)


@pytest.mark.parametrize("encoder", IMAGES)
def test_a_frame_is_embedded_as_the_library_embeds_it(encoder, tmp_path):
    weights = save_small(encoder, tmp_path / encoder)
    model = small_network("vit_gru", weights=str(weights))
    network, reference = build(model).eval(), small_model(encoder).base_model
    clips = InputAdapter(model.needs())(noise(2, 3, 3, 32, 32))
    with torch.no_grad():
        found = network.encoder(clips).flatten(0, 1)
        told = reference(pixel_values=clips.flatten(0, 1))
    places = told.last_hidden_state
    wanted = {"swin": places.mean(1), "convnext": told.pooler_output}.get(encoder)
    wanted = places[:, 0] if wanted is None else wanted
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in OF_FRAMES])
def test_a_clip_has_the_outputs_that_the_library_gives_it(name, tmp_path):
    weights = save_small(name, tmp_path / name)
    model = small_network(name, weights=str(weights))
    network, reference = build(model).eval(), small_model(name)
    clips = InputAdapter(model.needs())(noise(2, 4, 3, 32, 32))
    with torch.no_grad():
        wanted = reference(clips).logits
        embeddings = network.above(network.encoder(clips))
        found = reference.classifier(embeddings)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_frozen_gets_no_gradient_and_the_rest_does(name, tmp_path):
    weights = str(save_small(kind_of(name), tmp_path / "w"))
    for train, count in (("head", 0), ("last_blocks", 1), ("all", 3)):
        options = {"last_blocks": count} if train == "last_blocks" else {}
        network = build(small_network(name, weights=weights, train=train, **options)).train()
        network(noise(2, 4, 3, 32, 32)).square().sum().backward()
        got = {name for name, p in network.named_parameters() if p.grad is not None}
        assert got == trained(network)
        blocks = [f"encoder.{block}." for block in blocks_of(network.encoder)]
        learning = [any(name.startswith(block) for name in got) for block in blocks]
        assert learning == [False] * (3 - count) + [True] * count
        outside = {name for name, _ in network.named_parameters() if name[:8] != "encoder."}
        assert outside <= got


@pytest.mark.parametrize("name", ["vit_gru", "videomae", "vjepa2"])
def test_what_is_frozen_has_no_dropout(name, tmp_path):
    drops = {"hidden_dropout_prob": 0.5, "attention_probs_dropout_prob": 0.5}
    drops = {"drop_path_rate": 0.9} if name == "vjepa2" else drops
    weights = str(save_small(kind_of(name), tmp_path / "w", **drops))
    clips = noise(2, 4, 3, 32, 32)
    frozen = build(small_network(name, weights=weights, train="head")).train()
    assert torch.equal(frozen.embed(clips), frozen.embed(clips))
    assert not frozen.embed(clips).requires_grad
    free = build(small_network(name, weights=weights)).train()
    assert not torch.equal(free.embed(clips), free.embed(clips))


@pytest.mark.parametrize("name", ["vit_transformer", "vivit"])
def test_the_encoder_learns_at_its_own_rate(name, tmp_path):
    weights = str(save_small(kind_of(name), tmp_path / "w"))
    for options, rate in (({}, 0.1), ({"encoder_rate": 0.5}, 0.5), ({"encoder_rate": 1}, 1)):
        model = small_network(name, weights=weights, **options)
        network = build(model)
        factors = model.rate_factors(network)
        inside = {key for key, _ in network.named_parameters() if key.startswith("encoder.")}
        assert factors == ({} if rate == 1 else dict.fromkeys(inside, rate))
    assert small_network(name).rate_factors(build(small_network(name))) == {}


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_are_as_deep_as_they_stand(name):
    model = small_network(name)
    network = build(model)
    depths = model.depths(network)
    assert depths.keys() == {key for key, _ in network.named_parameters()}
    blocks = [f"encoder.{block}." for block in blocks_of(network.encoder)]
    for number, block in enumerate(blocks, 1):
        assert {depth for key, depth in depths.items() if key.startswith(block)} == {number}
    assert min(depths.values()) == 0
    assert depths["head.weight"] == max(depths.values()) == len(blocks) + 1


def test_the_blocks_of_all_stages_follow_each_other():
    for encoder, count in (("swin", 3), ("convnext", 3)):
        network = build(small_network("vit_gru", encoder=encoder))
        assert len(blocks_of(network.encoder)) == count
        depths = list(block_depths(network.encoder).values())
        assert depths == sorted(depths)


@pytest.mark.parametrize(
    ("name", "options", "millions"),
    [
        ("vit_gru", {"encoder": "vit", "size": "tiny"}, 5.717 - 0.193),  # less 1000 outputs
        ("vit_gru", {"encoder": "vit", "size": "base"}, 86.568 - 0.769),
        ("vit_gru", {"encoder": "vit", "size": "large"}, 304.327 - 1.025),
        ("vit_gru", {"encoder": "deit", "size": "small"}, 22.051 - 0.385),
        ("vit_gru", {"encoder": "swin", "size": "tiny"}, 28.288 - 0.769),
        ("vit_gru", {"encoder": "swin", "size": "base"}, 87.768 - 1.025),
        ("vit_gru", {"encoder": "convnext", "size": "tiny"}, 28.589 - 0.769),
        ("vit_gru", {"encoder": "convnext", "size": "large"}, 197.767 - 1.538),
        ("videomae", {"size": "small"} | _FEW_PLACES, 22.0),
        ("videomae", {"size": "base"} | _FEW_PLACES, 86.5),
        ("videomae", {"size": "large"} | _FEW_PLACES, 304.0),
        ("timesformer", {"size": "base"}, 121.4),
        ("vivit", {"size": "base"}, 88.9),
        ("vjepa2", {"size": "large"}, 303.9),
    ],
)
def test_sizes_have_as_many_parameters_as_published(name, options, millions):
    with torch.device("meta"):
        network = make_model(name, options).build(num_outputs=2)
    count = sum(p.numel() for p in network.encoder.parameters())
    exact = name == "vit_gru"  # the papers of the others round, and count a head
    assert count / 1e6 == pytest.approx(millions, abs=0.002 if exact else 0.006 * millions)


def test_a_size_gives_way_to_the_next_smaller_one():
    sizes, model = [], make_model("videomae", {"size": "base"})
    while model is not None:
        sizes.append(model.size)
        model = model.smaller()
    assert sizes == ["base", "small", "tiny", "mini"]
    assert small_network("videomae").smaller() is None


@pytest.mark.parametrize("name", ["videomae", "vjepa2"])
def test_clips_are_adapted_to_what_the_weights_were_made_for(name, tmp_path):
    weights = str(save_small(name, tmp_path / "w"))
    assert small_network(name, weights=weights).needs().frames == 4
    changed = small_network(name, weights=weights, frames=8, image_size=48)
    assert (changed.needs().frames, changed.needs().size) == (8, (48, 48))
    assert build(changed)(noise(1, 3, 3, 20, 30)).shape == (1, 3)


@pytest.mark.parametrize("name", NETWORKS)
def test_without_the_library_the_extra_is_named(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(StudyError, match=r'pip install "reelfit\[hf\]"'):
        make_model(name, {}).build(num_outputs=2)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        (
            "vit_gru",
            {"encoder": "resnet", "config": {"depths": [1, 1, 1, 1]}},
            "resnet has batch n",
        ),
        ("vit_gru", {"encoder": "mobilevit", "config": {"image_size": 64}}, "mobilevit has batch"),
        ("vit_gru", {"encoder": "resnet"}, "resnet has no sizes here .vit, deit"),
        (
            "vit_gru",
            {"encoder": "no_such", "config": {"x": 1}},
            "no_such is not a model of the transformers lib",
        ),
        ("vit_gru", {"encoder": "videomae", "config": {"image_size": 32}}, "sees clips, not frame"),
        ("vit_gru", {"encoder": "bert", "config": {"num_hidden_layers": 1}}, "no encoder of pict"),
        ("vit_gru", {"train": "head"}, "vit_gru: train: head would leave .*give weights"),
        ("vit_transformer", {"heads": 3}, "heads: 3 do not divide hidden, which is 128"),
        ("videomae", {"config": {"hiden_size": 8}}, "videomae has no hiden_size"),
        ("videomae", {"config": {"hidden_size": "x"}}, "config: videomae: "),
        ("videomae", {"size": "giant"}, "videomae.size: Input should be 'mini'"),
    ],
)
def test_what_cannot_be_built_is_refused_by_name(name, options, said):
    with pytest.raises(StudyError, match=said), torch.device("meta"):
        make_model(name, options).build(num_outputs=2)
