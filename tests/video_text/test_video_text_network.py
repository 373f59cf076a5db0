"""Items of one or several clips and their texts, as embeddings of one space."""

from typing import Any

import pytest
import torch
from torch import nn

from reelfit.models import MODELS, make_model
from reelfit.models.model import Network
from reelfit.text_encoders import TEXT_ENCODERS, make_text_encoder
from reelfit.text_encoders.tokens import Tokenizer
from reelfit.training.optimizer import Descent, make_optimizer
from reelfit.video_text.network import VideoTextNetwork

NETWORKS = [name for name, kind in MODELS.items() if issubclass(kind, Network)]
TEXTS = ["a red circle", "a blue square", "a green circle moves left"]
SMALL: dict[str, dict[str, Any]] = {
    "text_transformer": {"width": 16, "layers": 2, "heads": 2, "vocabulary": 280, "length": 12},
    "hf_text": {
        "config": {
            "hidden_size": 16,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "hidden_dropout_prob": 0.0,
        },
        "vocabulary": 280,
        "length": 12,
    },
}


def tokenizer() -> Tokenizer:
    return Tokenizer.train(TEXTS, vocabulary=280, length=12)


def network(
    *, model: str = "naive_cnn", text: str = "text_transformer", **more: Any
) -> VideoTextNetwork:
    options = {"channels": [8, 16], "dropout": 0.0} if model == "naive_cnn" else {}
    with torch.random.fork_rng():
        torch.manual_seed(1)
        video = make_model(model, options).build(num_outputs=10)
        encoder = make_text_encoder(text, SMALL[text]).build(tokenizer())
        made = VideoTextNetwork(video, encoder, **({"dimensions": 7} | more))
        return made.double()


def uneven(**settings: Any) -> VideoTextNetwork:
    """A network whose pooling weighs tokens by far more and less than their mean would."""
    made = network(**settings)
    torch.manual_seed(3)
    for parameter in made.pooling.parameters():
        nn.init.normal_(parameter)
    return made


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(2)).double() * 2 - 1


def test_embeddings_have_unit_length_and_tokens_are_those_that_are_there():
    made = uneven(segments=2)
    item_of_clip = torch.tensor([1, 0, 1, 1, 2])
    embeddings, tokens, present = made.encode_videos(noise(5, 4, 3, 16, 16), item_of_clip, 3)
    assert embeddings.shape == (3, 7)
    assert tokens.shape == (3, 6, 10)
    assert present.sum(1).tolist() == [2, 6, 2]
    assert not tokens[~present].any()
    assert tokens[present].any(1).all()
    texts = made.encode_texts(tokenizer().encode(TEXTS))
    for found in (embeddings, texts):
        torch.testing.assert_close(found.norm(dim=1), torch.ones(3).double())


def test_an_item_is_what_it_is_beside_items_of_any_number_of_clips():
    made, clips = uneven(segments=2), noise(6, 5, 3, 16, 16)
    item_of_clip = [2, 0, 2, 1, 2, 0]
    together, _, _ = made.encode_videos(clips, item_of_clip, 3)
    for item in range(3):
        own = [clip for clip, of in enumerate(item_of_clip) if of == item]
        alone, _, _ = made.encode_videos(clips[own[::-1]], [0] * len(own), 1)
        torch.testing.assert_close(alone[0], together[item], rtol=0, atol=1e-12)
    assert torch.cdist(together, together).fill_diagonal_(1).min() > 1e-3


def test_absent_clips_are_never_run():
    made, seen = network(), []
    made.video.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    made.encode_videos(noise(4, 2, 3, 16, 16), [0, 1, 1, 1], 2)
    assert sum(len(clips) for clips in seen) == 4
    assert all(clip.any() for clips in seen for clip in clips)


@pytest.mark.parametrize(("frames", "lengths"), [(6, [2, 2, 2]), (7, [3, 2, 2]), (8, [3, 3, 2])])
def test_segments_are_runs_of_frames_that_differ_by_one_at_most(frames, lengths):
    made, clips = network(segments=3), noise(2, frames, 3, 16, 16)
    nn.init.normal_(made.places)
    _, tokens, _ = made.encode_videos(clips, [0, 1], 2)
    wanted = [made.video(run) for run in clips.split(lengths, dim=1)]
    for number, run in enumerate(wanted):
        torch.testing.assert_close(tokens[:, number], run + made.places[number])


def test_pooling_weighs_its_tokens_and_one_by_itself_is_the_result():
    pooling = uneven().pooling
    tokens, present = noise(2, 3, 10), torch.tensor([[True, True, True], [False, True, False]])
    found = pooling(tokens, present)
    torch.testing.assert_close(found[1], tokens[1, 1])
    assert (found[0] - tokens[0].mean(0)).abs().max() > 0.01
    assert tokens[0].amin(0).le(found[0]).all()
    assert tokens[0].amax(0).ge(found[0]).all()


@pytest.mark.parametrize(
    ("item_of_clip", "frames", "said"),
    [
        ([0, 2], 4, "item 1 has no clip"),
        ([0, 3], 4, "clip 1 is of item 3, and there are 3"),
        ([0, -1], 4, "clip 1 is of item -1"),
    ],
)
def test_items_without_clips_and_clips_without_items_are_refused(item_of_clip, frames, said):
    with pytest.raises(ValueError, match=said):
        network().encode_videos(noise(2, frames, 3, 16, 16), item_of_clip, 3)
    with pytest.raises(ValueError, match="1 frames cannot be cut into 2 segments"):
        network(segments=2).encode_videos(noise(1, 1, 3, 16, 16), [0], 1)


@pytest.mark.parametrize(("contrast", "first"), [("info_nce", 1 / 0.07), ("sigmoid", 10.0)])
def test_the_scale_starts_as_published_and_stays_below_100_with_a_gradient(contrast, first):
    made = network(contrast=contrast)
    assert float(made.scale.detach()) == pytest.approx(first, rel=1e-6)
    assert (made.bias is None) == (contrast == "info_nce")
    for value in (-2.0, 4.0, 9.0, 1000.0):
        made.temperature.data.fill_(value)
        assert 0 < float(made.scale.detach()) <= 100
    made.temperature.data.fill_(9.0)
    made.scale.backward()
    assert made.temperature.grad > 0


@pytest.mark.parametrize("contrast", ["info_nce", "sigmoid"])
@pytest.mark.parametrize("text", TEXT_ENCODERS)
def test_training_brings_pairs_together_and_reaches_every_parameter(contrast, text):
    made = network(contrast=contrast, text=text, segments=2).float()
    optimizer = make_optimizer(made, learning_rate=2e-3, weight_decay=0.01)
    clips, tokens = 0.3 * noise(6, 4, 3, 16, 16).float(), tokenizer().encode(TEXTS)
    for clip in range(6):  # each item has a colour
        clips[clip, :, clip // 2] += 0.7
    losses = []
    for step in range(60):
        optimizer.zero_grad()
        videos, _, _ = made.encode_videos(clips, [0, 0, 1, 1, 2, 2], 3)
        texts = made.encode_texts(tokens)
        loss = made.loss_across(videos, texts, torch.arange(3))
        loss.backward()
        if step == 1:  # what begins at zero keeps the gradient from what is behind it
            grads = {name: p.grad for name, p in made.named_parameters()}
            assert [name for name, grad in grads.items() if grad is None or not grad.any()] == []
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
    if (text, contrast) == ("hf_text", "sigmoid"):
        return  # it has learnt that most pairs are none, and begins to tell them apart
    scores = videos @ texts.T
    assert scores.argmax(1).tolist() == scores.argmax(0).tolist() == [0, 1, 2]


def grouped_once(made: nn.Module, descent: Descent) -> list[dict[str, Any]]:
    optimizer = make_optimizer(made, learning_rate=1e-3, weight_decay=0.1, descent=descent)
    grouped = [p for group in optimizer.param_groups for p in group["params"]]
    assert len({id(p) for p in grouped}) == len(grouped)
    assert {id(p) for p in grouped} == {id(p) for p in made.parameters() if p.requires_grad}
    return optimizer.param_groups


@pytest.mark.parametrize("decay_vectors", [False, True])
@pytest.mark.parametrize("text", TEXT_ENCODERS)
@pytest.mark.parametrize("model", NETWORKS)
def test_what_learns_is_in_one_group_and_scalars_never_decay(model, text, decay_vectors):
    with torch.device("meta"):
        video = make_model(model, {}).build(num_outputs=8)
        encoder = make_text_encoder(text, SMALL[text]).build(tokenizer())
        made = VideoTextNetwork(
            video, encoder, dimensions=8, segments=2, contrast="sigmoid",
            caption=nn.LSTM(8, 8), masked=nn.Linear(8, 8),
        )  # fmt: skip
    groups = grouped_once(made, Descent(decay_vectors=decay_vectors))
    decayed = {id(p) for g in groups if g["weight_decay"] for p in g["params"]}
    assert id(made.temperature) not in decayed
    assert id(made.bias) not in decayed
    assert id(made.video_projection.weight) in decayed
    assert (id(made.pooling.norm.bias) in decayed) == decay_vectors
