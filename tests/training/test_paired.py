import numpy as np
import pytest
import torch

from reelfit.errors import Interrupted, Restart
from reelfit.memory.rungs import Rung
from reelfit.training.item_set import numbers_of
from reelfit.training.objective import Epoch
from reelfit.training.optimizer import Descent, make_optimizer
from reelfit.training.portions import Portions
from reelfit.video_text.settings import CaptionSettings, RetrieveSettings, weight_at
from small_pairs import CLIPS_EACH, RIGHT, TEXTS, SmallPairs
from small_training import same_weights


@pytest.fixture
def pairs(tmp_path):
    made = []

    def make(name, **train):
        made.append(SmallPairs(tmp_path / name, **train))
        return made[-1]

    return make


def first_gradient(some, rung):
    fit = some.fit(rung=rung)
    fit.should_stop = lambda: True
    with pytest.raises(Interrupted):
        fit.run()
    return [p.grad for p in fit.network.parameters() if p.grad is not None], fit.progress


@pytest.mark.parametrize("micro_batch", [1, 2, 3])
def test_the_gradient_of_all_losses_is_that_of_the_whole_step_however_it_is_cut(pairs, micro_batch):
    whole, of_whole = first_gradient(pairs("whole", dropout=0.0), Rung(5))
    parts, of_parts = first_gradient(pairs("parts", dropout=0.0), Rung(micro_batch))
    assert of_parts.epoch_loss_sum == pytest.approx(of_whole.epoch_loss_sum, rel=1e-5)
    assert len(whole) == len(parts)
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_a_run_that_stops_anywhere_ends_with_the_same_bits(pairs):
    whole = pairs("whole").fit(rung=Rung(2))
    whole.run()
    some, steps = pairs("parts"), 0

    def stop():
        nonlocal steps
        steps += 1
        return steps % 2 == 1

    while True:
        second = some.fit(rung=Rung(2), should_stop=stop)
        try:
            second.run()
            break
        except Interrupted:
            continue
    assert steps == 4
    assert same_weights(whole, second)
    videos, texts = (
        [getattr(fit.predict(fit.validation), name) for fit in (whole, second)]
        for name in ("videos", "texts")
    )
    assert np.array_equal(*videos)
    assert np.array_equal(*texts)


def test_a_step_that_memory_runs_out_in_is_done_again_by_parts(pairs):
    some, reads = pairs("short", dropout=0.0, epochs=1), 0
    reading = type(some.train).reading

    def failing(self, source):
        read = reading(self, source)

        def read_or_fail(samples):
            nonlocal reads
            reads += 1
            if len(samples) > 2:
                raise MemoryError("planted")
            return read(samples)

        return read_or_fail

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(some.train), "reading", failing)
        with pytest.raises(Restart):
            some.fit().run()
        some.fit().run()
    whole = pairs("cut so", dropout=0.0, epochs=1).fit(rung=Rung(2))
    whole.run()
    second = some.fit()
    second.run()
    assert reads > 4
    assert same_weights(whole, second)


def test_every_trained_parameter_is_in_exactly_one_group_of_the_optimizer(pairs):
    network = pairs("groups").network()
    for descent in (Descent("adamw"), Descent("sgd", momentum=0.9)):
        optimizer = make_optimizer(network, learning_rate=0.1, weight_decay=0.1, descent=descent)
        grouped = [p for group in optimizer.param_groups for p in group["params"]]
        trained = [p for p in network.parameters() if p.requires_grad]
        assert len(grouped) == len(set(map(id, grouped))) == len(trained)
        decayed = {id(p) for g in optimizer.param_groups if g["weight_decay"] for p in g["params"]}
        assert id(network.temperature) not in decayed


def test_every_parameter_gets_a_gradient_from_some_loss(pairs):
    fit = pairs("reached", dropout=0.0).fit()
    fit.should_stop = lambda: True
    with pytest.raises(Interrupted):
        fit.run()
    without = [n for n, p in fit.network.named_parameters() if p.grad is None or not p.grad.any()]
    # the parts of attention that a single token, or the first step's zeros, leave without a slope
    assert without == []


def test_items_that_share_a_text_have_one_number_and_others_have_none_in_common():
    pairs = [(item, text) for item, right in enumerate(RIGHT) for text in right]
    numbers = numbers_of(pairs, len(RIGHT))
    same = {(a, b) for a in range(8) for b in range(8) if numbers[a] == numbers[b]}
    joined = [{0, 4, 5}, {1, 2, 6}, {3, 7}]  # by the texts 0 and 3, by 1 and 4, by 2
    assert same == {(a, b) for group in joined for a in group for b in group}


def test_each_epoch_sees_every_item_once_with_one_of_its_own_texts(pairs):
    some = pairs("epochs", epochs=30)
    reader, seen = some.fit().reader, {item: set() for item in range(8)}
    for number in range(30):
        epoch = Epoch(number=number, size=5, seed=3)
        drawn = [each for each, _ in some.objective().draw(some.train, reader, epoch)]
        rows = np.concatenate([each.rows for each in drawn])
        assert sorted(rows) == list(range(8))
        for each in drawn:
            clips, owners = each.samples.read(each.samples.samples)
            assert len(clips) == sum(CLIPS_EACH[row] for row in each.rows)
            assert sorted(set(owners)) == list(range(len(each.rows)))
            texts = some.tokenizer.decode(each.samples.tokens)
            for row, text in zip(each.rows, texts, strict=True):
                seen[int(row)].add(TEXTS.index(text))
    assert seen == {item: set(right) for item, right in enumerate(RIGHT)}


def test_what_is_embedded_does_not_depend_on_how_much_fits_at_once(pairs):
    some = pairs("sizes")
    fit = some.fit()
    found = [
        some.objective().predict(
            fit.network, some.validation, fit.reader, fit.device, Portions(size)
        )
        for size in (1, 3, 8)
    ]
    for other in found[1:]:
        np.testing.assert_allclose(found[0].videos, other.videos, atol=1e-6)
        np.testing.assert_allclose(found[0].texts, other.texts, atol=1e-6)
        assert found[0].loss == pytest.approx(other.loss, rel=1e-5)
    assert found[0].videos.shape == (8, 16)
    assert found[0].texts.shape == (5, 16)


def test_a_weight_goes_on_a_line_from_the_first_step_to_the_last():
    assert [weight_at((1.0, 0.0), share) for share in (0.0, 0.25, 1.0)] == [1.0, 0.75, 0.0]
    assert weight_at(0.5, 0.9) == 0.5


def test_a_caption_whose_weight_is_zero_moves_nothing_of_the_decoder(pairs):
    some = pairs("weights", dropout=0.0)
    some.how = RetrieveSettings(
        dimensions=16,
        width=24,
        segments=2,
        caption=CaptionSettings(weight=(0.0, 1.0), width=16, layers=1, heads=2, dropout=0.0),
    )
    fit = some.fit()
    fit.should_stop = lambda: True
    with pytest.raises(Interrupted):
        fit.run()
    grads = [p.grad for p in fit.network.caption.parameters()]
    assert all(grad is None or not grad.any() for grad in grads)


def test_weights_are_the_first_at_the_first_step_and_the_last_at_the_last(pairs):
    some = pairs("line", epochs=3)
    some.how = RetrieveSettings(dimensions=16, width=24, weight=(1.0, 0.0))
    reader, found = some.fit().reader, []
    for number in range(3):
        epoch = Epoch(number=number, size=5, seed=3)
        drawn = some.objective().draw(some.train, reader, epoch)
        found += [each.samples.weights.contrast for each, _ in drawn]
    assert found == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2, 0.0])
    going_on = Epoch(number=1, size=5, seed=3, start=5)
    (again,) = [each for each, _ in some.objective().draw(some.train, reader, going_on)]
    assert again.samples.weights.contrast == found[3]


def test_the_loss_that_is_watched_has_captions_too(pairs):
    some, losses = pairs("watched", dropout=0.0), {}
    fit = some.fit()
    for weight in (0.0, 1.0, 3.0):
        how = CaptionSettings(weight=weight, width=16, layers=1, heads=2, dropout=0.0)
        some.how = some.how.model_copy(update={"caption": how})
        found = some.objective().predict(
            fit.network, some.validation, fit.reader, fit.device, Portions(3)
        )
        losses[weight] = found.loss
    assert losses[1.0] > losses[0.0]
    assert losses[3.0] - losses[0.0] == pytest.approx(3 * (losses[1.0] - losses[0.0]))
