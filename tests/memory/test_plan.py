"""A plan fits its budget, takes the least time, and says what would help where nothing fits."""

import json
import re
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from reelfit.errors import OutOfMemoryError
from reelfit.memory.budget import gpu_budget
from reelfit.memory.plan import HEADROOM, Plan, make_plan, peak_of, samples_that_fit, side_by_side
from reelfit.memory.profile import (
    ProbedPass,
    Profile,
    TechniqueProfile,
    TracedPass,
    profile_values,
    read_profile,
)

MIB = 2**20
settings.register_profile("shared machine", deadline=None, max_examples=40)
settings.load_profile("shared machine")


def technique(name: str, *, sample_mib: int, kept: float, seconds: float) -> TechniqueProfile:
    def traced(samples: int) -> TracedPass:
        whole = samples * sample_mib * MIB
        return TracedPass(samples, int(whole * kept), whole)

    probed = [ProbedPass(m, (m * (sample_mib + 1) + 1) * MIB, seconds * (m + 1)) for m in (1, 2)]
    return TechniqueProfile(name, (traced(1), traced(16)), tuple(probed))


def profile(
    *, base_mib: int = 300, sample_mib: int = 40, weights_mib: int = 1, seconds: float = 0.1
) -> Profile:
    return Profile(
        device="cpu",
        device_bytes=2**34,
        frames=8,
        size=(112, 112),
        host_bytes=base_mib * MIB,
        base_bytes=base_mib * MIB,
        libraries_bytes=20 * MIB,
        reserved_bytes=10 * MIB,
        weights_bytes=weights_mib * MIB,
        gradients_bytes=weights_mib * MIB,
        optimizer_bytes=2 * weights_mib * MIB,
        buffers_bytes=0,
        sample_bytes=MIB // 4,
        techniques=(
            technique("plain", sample_mib=sample_mib, kept=0.9, seconds=seconds),
            technique(
                "checkpointing", sample_mib=-(-sample_mib // 4), kept=0.2, seconds=1.3 * seconds
            ),
        ),
    )


shapes = st.fixed_dictionaries(
    {
        "base_mib": st.integers(50, 600),
        "sample_mib": st.integers(1, 300),
        "weights_mib": st.integers(0, 500),
        "seconds": st.floats(1e-3, 10),
    }
)
budgets = st.integers(200 * MIB, 8000 * MIB)
batches = st.integers(1, 64)


def plan_or_none(made: Profile, budget_bytes: int, batch: int, **more: int) -> Plan | None:
    try:
        return make_plan(made, budget_bytes=budget_bytes, effective_batch=batch, **more)
    except OutOfMemoryError:
        return None


@given(shapes, budgets, batches)
def test_no_plan_is_above_its_budget(shape: dict[str, Any], budget_bytes: int, batch: int) -> None:
    made = profile(**shape)
    plan = plan_or_none(made, budget_bytes, batch)
    assume(plan is not None)
    assert plan.predicted_peak_bytes <= budget_bytes
    assert plan.headroom_bytes == budget_bytes - plan.predicted_peak_bytes
    least = plan.micro_batch == 1
    assert least or plan.predicted_peak_bytes <= budget_bytes * (1 - HEADROOM)


@given(shapes, budgets, batches)
def test_a_settled_cut_needs_what_it_was_planned_to_need(
    shape: dict[str, Any], budget_bytes: int, batch: int
) -> None:
    made = profile(**shape)
    plan = plan_or_none(made, budget_bytes, batch)
    assume(plan is not None)
    cut = {"micro_batch": plan.micro_batch, "technique": plan.technique}
    assert peak_of(made, effective_batch=batch, **cut) == plan.predicted_peak_bytes
    assert peak_of(made, effective_batch=batch, micro_batch=1, technique="offload") is None


@given(shapes, budgets, batches)
def test_the_components_add_up_to_the_peak(
    shape: dict[str, Any], budget_bytes: int, batch: int
) -> None:
    made = profile(**shape)
    plan = plan_or_none(made, budget_bytes, batch)
    assume(plan is not None)
    assert plan.components.total() == plan.predicted_peak_bytes
    assert plan.predicted_peak_bytes - plan.predicted_resident_bytes == made.reserved_bytes


@example(  # 7 passes of 6 are 42 samples, and a step has 37
    shape={"base_mib": 168, "weights_mib": 0, "sample_mib": 299, "seconds": 2.655304999892033},
    budget_bytes=2_470_536_285,
    more_bytes=9_345_980,
    batch=37,
)
@given(shape=shapes, budget_bytes=budgets, more_bytes=st.integers(0, 4000 * MIB), batch=batches)
def test_a_larger_budget_is_never_slower(
    shape: dict[str, Any], budget_bytes: int, more_bytes: int, batch: int
) -> None:
    made = profile(**shape)
    small = plan_or_none(made, budget_bytes, batch)
    assume(small is not None)
    large = make_plan(made, budget_bytes=budget_bytes + more_bytes, effective_batch=batch)
    assert large.seconds_per_step is not None
    assert small.seconds_per_step is not None
    assert large.seconds_per_step <= small.seconds_per_step * (1 + 1e-9)
    if large.technique == small.technique:
        assert large.micro_batch >= small.micro_batch


@given(shapes, budgets, batches, st.integers(1, 64))
def test_every_sample_of_a_step_has_its_pass_and_no_pass_is_empty(
    shape: dict[str, Any], budget_bytes: int, batch: int, upper: int
) -> None:
    made = profile(**shape)
    plan = plan_or_none(made, budget_bytes, batch, upper_micro_batch=upper)
    assume(plan is not None)
    assert plan.micro_batch <= min(upper, batch)
    assert (plan.accumulation - 1) * plan.micro_batch < batch
    assert plan.accumulation * plan.micro_batch >= batch


@given(shapes, budgets, batches)
def test_what_fits_at_all_is_planned(shape: dict[str, Any], budget_bytes: int, batch: int) -> None:
    made = profile(**shape)
    least = min(
        made.components(each, micro_batch=1, effective_batch=batch).total()
        for each in made.techniques
    )
    assert (plan_or_none(made, budget_bytes, batch) is not None) == (least <= budget_bytes)


def test_a_step_that_fits_whole_is_done_whole() -> None:
    plan = make_plan(profile(), budget_bytes=4096 * MIB, effective_batch=32)
    assert (plan.micro_batch, plan.accumulation, plan.technique) == (32, 1, "plain")
    assert plan.why == "all 32 samples of a step fit at once"


def test_passes_are_of_even_size() -> None:
    plan = make_plan(profile(), budget_bytes=1400 * MIB, effective_batch=32)
    assert (plan.micro_batch, plan.accumulation) == (16, 2)
    assert plan.why.startswith("32 samples at once would need")


def test_the_users_own_bound_is_named() -> None:
    plan = make_plan(profile(), budget_bytes=4096 * MIB, effective_batch=32, upper_micro_batch=8)
    assert (plan.micro_batch, plan.accumulation) == (8, 4)
    assert plan.why == "train.micro_batch allows no more than 8 samples at once"


def test_checkpointing_is_taken_where_it_is_the_only_way() -> None:
    plan = make_plan(profile(sample_mib=400), budget_bytes=800 * MIB, effective_batch=8)
    assert plan.technique == "checkpointing"
    assert plan.why == "not one sample fits without activation checkpointing"


def test_checkpointing_is_taken_where_it_saves_passes_that_cost_more() -> None:
    made = profile(sample_mib=100)
    plan = make_plan(made, budget_bytes=700 * MIB, effective_batch=32)
    assert plan.technique == "checkpointing"
    assert "for a step of" in plan.why


def test_the_slower_technique_is_never_taken_to_be_the_faster() -> None:
    made = profile()
    noisy = made.techniques[1]
    assert made.pass_seconds(noisy, micro_batch=4) >= made.pass_seconds(
        made.techniques[0], micro_batch=4
    )


def test_a_probed_micro_batch_is_predicted_as_it_was_measured() -> None:
    made = profile()
    plain = made.techniques[0]
    for probed in plain.probed:
        found = made.components(plain, micro_batch=probed.micro_batch, effective_batch=1)
        assert found.gradients + found.activations + found.workspace == probed.peak_bytes


def test_the_last_of_a_budget_is_used_before_it_is_refused() -> None:
    made = profile()
    least = made.components(made.techniques[1], micro_batch=1, effective_batch=4).total()
    plan = make_plan(made, budget_bytes=least, effective_batch=4)
    assert (plan.micro_batch, plan.headroom_bytes) == (1, 0)
    assert f"{HEADROOM:.0%} of the budget to spare" in plan.why


def test_what_does_not_fit_says_what_it_needs_and_what_would_help() -> None:
    with pytest.raises(OutOfMemoryError) as refused:
        make_plan(profile(), budget_bytes=256 * MIB, effective_batch=4)
    said = str(refused.value)
    assert "needs about 346.0 MiB by activation checkpointing" in said
    assert "the largest part of it is the process base, 300.0 MiB" in said
    assert "memory.host=407.1MiB (90.0 MiB are short)" in said  # with its headroom
    assert len(re.findall(r"\d less\)|MiB less\)", said)) == 2


def test_fewer_workers_are_the_advice_where_several_share_the_budget() -> None:
    with pytest.raises(OutOfMemoryError, match=r"launch\.workers=1 \(256\.0 MiB more for it\)"):
        make_plan(profile(), budget_bytes=256 * MIB, effective_batch=4, workers=2)


def test_the_advice_follows_the_largest_part() -> None:
    with pytest.raises(OutOfMemoryError, match=r"clips\.size=56 in place of 112 \(about"):
        make_plan(profile(sample_mib=4000), budget_bytes=512 * MIB, effective_batch=4)
    with pytest.raises(OutOfMemoryError, match="half the model's width"):
        make_plan(profile(weights_mib=900), budget_bytes=512 * MIB, effective_batch=4)


def test_as_many_run_side_by_side_as_fit_their_share() -> None:
    made = [profile(), profile(base_mib=350)]

    def count(host_mib: int) -> int:
        return side_by_side(made, host_bytes=host_mib * MIB, cores=4, effective_batch=4)

    assert count(4000) == 4
    assert count(900) == 2
    assert count(500) == 1
    assert count(100) == 1


@given(shapes, st.integers(100 * MIB, 20000 * MIB), st.integers(1, 16), batches)
def test_side_by_side_each_has_a_plan_or_nothing_has(
    shape: dict[str, Any], host_bytes: int, cores: int, batch: int
) -> None:
    made = profile(**shape)
    count = side_by_side([made], host_bytes=host_bytes, cores=cores, effective_batch=batch)
    assert 1 <= count <= cores
    if count > 1:
        assert plan_or_none(made, host_bytes // count, batch) is not None
    elif cores > 1:
        assert plan_or_none(made, host_bytes // 2, batch) is None


@given(shapes)
def test_a_profile_comes_back_from_json_as_it_was(shape: dict[str, Any]) -> None:
    made = profile(**shape)
    assert read_profile(json.loads(json.dumps(profile_values(made)))) == made


def test_the_line_through_two_peaks_says_what_fits():
    assert samples_that_fit({2: 120, 4: 140}, 340) == 4 + int(200 / 17.5)  # half of it grows
    assert samples_that_fit({2: 110, 4: 210}, 1010) == 20
    assert samples_that_fit({2: 110, 4: 210}, 60) == 1
    assert samples_that_fit({2: 110, 4: 210}, -5000) == 1
    assert samples_that_fit({2: 0, 4: 0}, 64) == 68


def test_a_gpu_without_a_budget_gives_what_is_free_there_less_a_margin():
    """At its 80 GiB other programs hold 60."""
    gpus = [{"name": "one", "free_bytes": 20 * 2**30, "total_bytes": 80 * 2**30}]
    assert gpu_budget("auto", gpus) == 18 * 2**30
    assert gpu_budget(8 * 2**30, gpus) == 8 * 2**30
    assert gpu_budget("auto", []) == "auto"
