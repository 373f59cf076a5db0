"""What every text encoder must hold, and those of the transformers library in particular."""

import pytest
import torch
from torch import nn
from transformers import CLIPConfig, CLIPModel

from reelfit.errors import StudyError
from reelfit.memory.trace import trace_step
from reelfit.text_encoders import TEXT_ENCODERS, make_text_encoder
from reelfit.text_encoders.text_encoder import TextEncoder
from small_texts import SMALL_TEXT, TEXTS, save_small_text, trained

OWN = {"width": 16, "layers": 2, "heads": 2, "vocabulary": 300, "length": 16}
BERT = {"pad_token": "<pad>", "cls_token": "<begin>", "sep_token": "<end>"}
ENCODERS: dict[str, tuple[str, dict[str, object]]] = {"own": ("text_transformer", OWN)} | {
    kind: ("hf_text", {"kind": kind, "config": values, "length": 16, "vocabulary": 300})
    for kind, values in SMALL_TEXT.items()
}
ENCODERS["last token"] = (ENCODERS["gpt2"][0], ENCODERS["gpt2"][1] | {"pooling": "last"})
ENCODERS["first token"] = (ENCODERS["bert"][0], ENCODERS["bert"][1] | {"pooling": "first"})


def encoder(name: str) -> TextEncoder:
    return make_text_encoder(*ENCODERS[name])


def built(made: TextEncoder) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return made.build(made.tokenizer(TEXTS)).eval()


def test_every_encoder_of_the_table_is_tested_here() -> None:
    assert {name for name, _ in ENCODERS.values()} == set(TEXT_ENCODERS)


@pytest.mark.parametrize("name", ENCODERS)
def test_padding_is_without_effect(name: str) -> None:
    made = encoder(name)
    tokenizer, network = made.tokenizer(TEXTS), built(made).double()
    tokens = tokenizer.encode(["a red circle moves left", "blue", ""])
    found = network(tokens)
    assert found.shape == (3, network.width)
    for row, wanted in zip(tokens, found, strict=True):
        alone = row[: int((row != tokenizer.pad).sum())]
        torch.testing.assert_close(network(alone[None])[0], wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ENCODERS)
def test_texts_do_not_see_each_other_and_differ_by_what_they_say(name: str) -> None:
    made = encoder(name)
    network, tokens = built(made).double(), made.tokenizer(TEXTS).encode(TEXTS)
    together = network(tokens)
    alone = torch.cat([network(row) for row in tokens.split(1)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)
    if name != "first token":  # of weights that are drawn it has hardly looked at the others
        distances = torch.cdist(together, together) + torch.eye(len(TEXTS))
        assert distances.min() > 1e-4


@pytest.mark.parametrize("name", ENCODERS)
def test_the_gradient_reaches_every_parameter(name: str) -> None:
    made = encoder(name)
    network, tokens = built(made), made.tokenizer(TEXTS).encode(TEXTS)
    wanted = torch.randn(network.width, generator=torch.Generator().manual_seed(1))
    (network(tokens) @ wanted).square().sum().backward()
    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("name", ["own", "bert", "last token"])
def test_a_step_is_traced_without_memory_for_weights_or_activations(name: str) -> None:
    made = encoder(name)
    tokenizer = made.tokenizer(TEXTS)

    def losses(network: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
        return network(tokens).square().sum(1)

    def batch(samples: int) -> torch.Tensor:
        return torch.zeros(samples, 16, dtype=torch.int64)

    one, two = (
        trace_step(lambda: made.build(tokenizer), losses, batch, micro_batch=samples)
        for samples in (2, 4)
    )
    weights = sum(p.nbytes for p in built(made).parameters())
    assert one.weights_bytes == two.weights_bytes == weights
    assert 1.5 < two.activations_bytes / one.activations_bytes < 2.5


def test_word_order_counts_and_dropout_acts_in_training_alone() -> None:
    made = make_text_encoder("text_transformer", OWN | {"dropout": 0.5})
    network, tokenizer = built(made), made.tokenizer(TEXTS)
    one, other = network(tokenizer.encode(["red moves", "moves red"]))
    assert (one - other).abs().max() > 1e-4
    tokens = tokenizer.encode(TEXTS)
    assert torch.equal(network(tokens), network(tokens))
    network.train()
    assert not torch.equal(network(tokens), network(tokens))


@pytest.mark.parametrize("kind", SMALL_TEXT)
def test_a_checkpoint_gives_what_the_library_gives(tmp_path, kind: str) -> None:
    from transformers import AutoModel

    folder = save_small_text(kind, tmp_path / "text", special=BERT)
    made = make_text_encoder("hf_text", {"weights": str(folder), "pooling": "last", "length": 16})
    tokenizer = made.tokenizer([])
    network = made.build(tokenizer).eval()
    library = AutoModel.from_pretrained(folder).eval()
    row = tokenizer.encode(["a red circle moves left"])
    alone = row[:, : int((row != tokenizer.pad).sum())]
    wanted = library(input_ids=alone).last_hidden_state[:, -1]
    torch.testing.assert_close(network(row), wanted, rtol=0, atol=1e-5)


def test_the_text_half_of_clip_is_taken_from_a_whole_checkpoint(tmp_path) -> None:
    folder = save_small_text("bert", tmp_path / "clip", special={"eos_token": "<end>"})
    text = SMALL_TEXT["clip_text_model"] | {"vocab_size": 400, "eos_token_id": 2}
    seen = SMALL_TEXT["clip_text_model"] | {"image_size": 16, "patch_size": 8}
    places = {"max_position_embeddings": 20, "bos_token_id": 1}
    whole = CLIPModel(CLIPConfig(text_config=text | places, vision_config=seen))
    whole.save_pretrained(folder)
    made = make_text_encoder("hf_text", {"weights": str(folder), "length": 16})
    network = made.build(made.tokenizer([]))
    own = whole.text_model.state_dict()
    assert all(torch.equal(v, own[k]) for k, v in network.encoder.state_dict().items())
    assert network(made.tokenizer([]).encode(TEXTS)).shape == (len(TEXTS), 16)


@pytest.mark.parametrize(
    ("train", "learning"), [("all", 2), ("last_blocks", 1), ("nothing", 0)]
)  # fmt: skip
def test_what_is_frozen_neither_learns_nor_drops_anything(tmp_path, train, learning) -> None:
    folder = save_small_text("bert", tmp_path / "text", special=BERT)
    options = {"weights": str(folder), "train": train, "last_blocks": 1, "length": 16}
    made = make_text_encoder("hf_text", options)
    network = made.build(made.tokenizer([])).train()
    layers = network.encoder.encoder.layer
    assert [any(p.requires_grad for p in layer.parameters()) for layer in layers] == [
        learning > 1, learning > 0
    ]  # fmt: skip
    assert [layer.training for layer in layers] == [learning > 1, learning > 0]
    tokens = made.tokenizer([]).encode(TEXTS)
    assert network(tokens).requires_grad == (learning > 0)
    assert set(made.rate_factors(network)) == {name for name, _ in network.named_parameters()}
    assert set(made.rate_factors(network).values()) == {0.1}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "nosuch"}, "kind: nosuch has no sizes here"),
        ({"kind": "nosuch", "config": {"hidden_size": 8}}, "nosuch is not a model"),
        ({"kind": "vit", "config": {"hidden_size": 48}}, "vit is no encoder of texts"),
        ({"kind": "t5", "config": {"d_model": 16}}, "t5 is an encoder with a decoder"),
        ({"config": {"max_position_embeddings": 9}}, "a text of 64 tokens is longer than the 9"),
        ({"config": {"vocab_size": 9}}, "bert has 9 tokens, its tokenizer"),
        ({"config": {"hidden_sise": 16}}, "bert has no hidden_sise"),
        ({"train": "nothing"}, "train: nothing would leave an encoder without weights"),
        ({"weights": "./nowhere"}, "nowhere is not a folder with a checkpoint"),
        ({"lenght": 9}, "did you mean length?"),
    ],
)
def test_what_cannot_be_an_encoder_of_texts_is_refused(options, said) -> None:
    with pytest.raises(StudyError, match=said):
        built(make_text_encoder("hf_text", options))


def test_a_checkpoint_that_is_not_whole_is_refused(tmp_path) -> None:
    from safetensors.torch import load_file, save_file

    folder = save_small_text("bert", tmp_path / "text", special=BERT)
    weights = load_file(folder / "model.safetensors")
    weights.pop("encoder.layer.1.output.dense.weight")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    made = make_text_encoder("hf_text", {"weights": str(folder), "length": 16})
    with pytest.raises(StudyError, match="not a whole checkpoint of bert: missing: encoder"):
        made.build(made.tokenizer([]))
    with pytest.raises(StudyError, match="roberta is asked for, and the weights are of bert"):
        make_text_encoder("hf_text", {"weights": str(folder), "kind": "roberta"}).build(trained())


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(StudyError, match="heads: 3 do not divide a width of 16"):
        make_text_encoder("text_transformer", {"width": 16, "heads": 3})
    with pytest.raises(StudyError, match="known: hf_text, text_transformer"):
        make_text_encoder("word2vec", {})
