import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from reelfit.data.seeds import clip_generator, generator_for, seed_for


def test_the_same_question_gives_the_same_numbers_on_every_machine():
    assert seed_for(0, "clip", "ab", 1) == 4967775790098561814
    assert clip_generator(7, "ab", 1).integers(1000, size=3).tolist() == [339, 575, 650]


@given(st.integers(0, 2**32), st.text(), st.integers(0, 9))
def test_a_generator_is_a_function_of_its_identity(seed, video_id, copy):
    first = clip_generator(seed, video_id, copy).random(4)
    assert np.array_equal(first, clip_generator(seed, video_id, copy).random(4))
    assert not np.array_equal(first, clip_generator(seed, video_id, copy + 1).random(4))
    assert not np.array_equal(first, generator_for(seed, "order", video_id, copy).random(4))
