"""How a step is cut to fit a budget: chosen by what was traced and measured, and told why."""

from collections.abc import Sequence
from dataclasses import dataclass

from reelfit.errors import OutOfMemoryError
from reelfit.memory.budget import format_size
from reelfit.memory.profile import Components, Profile, TechniqueProfile

HEADROOM = 0.15
"""The share of a budget that is left free: for what was not foreseen, and because at 90 % in use
the next step is cut finer."""
_IN_WORDS = {
    "plain": "keeping all activations",
    "checkpointing": "activation checkpointing",
    "offload": "activations in host memory",
}


@dataclass(frozen=True)
class Plan:
    """How each step is cut, what it will hold at most, and why."""

    micro_batch: int
    accumulation: int
    """Passes per step."""
    technique: str
    predicted_peak_bytes: int
    """The sum of ``components``: all that a limit on the data segment counts."""
    predicted_resident_bytes: int
    """The part of it that is ever touched, which is what the system shows."""
    budget_bytes: int
    headroom_bytes: int
    seconds_per_step: float | None
    """About; None where nothing could be measured."""
    components: Components
    why: str
    given_up: tuple[str, ...] = ()
    """What the study allowed the network to give up, and it had to."""


@dataclass(frozen=True)
class _Cut:
    technique: TechniqueProfile
    micro_batch: int
    passes: int
    components: Components
    seconds: float | None


def make_plan(
    profile: Profile,
    *,
    budget_bytes: int,
    effective_batch: int,
    upper_micro_batch: int | None = None,
    headroom: float = HEADROOM,
    workers: int = 1,
) -> Plan:
    """The rung that fits ``budget_bytes`` with headroom and takes the least time.

    Of equal times the first technique wins, and the smallest micro-batch of as many passes. Where
    nothing fits with headroom, the smallest rung may use it up. ``workers``, the processes that
    share the host's budget, only serve the advice of the error.

    Raises:
        OutOfMemoryError: not even one sample fits by the smallest technique; says what it needs.
    """
    upper = min(upper_micro_batch or effective_batch, effective_batch)
    planned_bytes = int(budget_bytes * (1 - headroom))
    cuts = [
        _cut(profile, each, effective_batch, upper, planned_bytes) for each in profile.techniques
    ]
    fitting = [cut for cut in cuts if cut is not None]
    if not fitting:
        smallest = _smallest(profile, effective_batch)
        if smallest.components.total() > budget_bytes:
            raise OutOfMemoryError(_too_small(profile, smallest, budget_bytes, headroom, workers))
        why = (
            f"not one sample fits with {headroom:.0%} of the budget to spare; one fits by "
            f"{_IN_WORDS[smallest.technique.technique]} without"
        )
        return _plan(profile, smallest, budget_bytes, why)
    timed = [cut.seconds for cut in fitting]
    best = fitting[0]
    if None not in timed:
        best = min(fitting, key=lambda cut: cut.seconds or 0.0)
    why = _reason(profile, best, cuts, upper, effective_batch, planned_bytes)
    return _plan(profile, best, budget_bytes, why)


def peak_of(
    profile: Profile, *, micro_batch: int, technique: str, effective_batch: int
) -> int | None:
    """The bytes that a step cut so will need; None for a technique that was not profiled."""
    for each in profile.techniques:
        if each.technique == technique:
            return _made(profile, each, micro_batch, effective_batch).components.total()
    return None


def samples_that_fit(peaks: dict[int, int], room_bytes: int) -> int:
    """The most samples at once by a line through two measured peaks; at least 1.

    At least half of the larger peak is taken to grow with its samples.
    """
    (few, low), (more, high) = sorted(peaks.items())
    each = max((high - low) / (more - few), high / more / 2, 1.0)
    return max(int(more + (room_bytes - high) / each), 1)


def largest_micro_batch(
    profile: Profile, *, technique: str, budget_bytes: int, headroom: float = HEADROOM
) -> int:
    """The most samples at once by one technique with headroom, in steps of one pass; 0: not one."""
    planned_bytes = int(budget_bytes * (1 - headroom))
    of_name = {each.technique: each for each in profile.techniques}

    def fits(samples: int) -> bool:
        parts = profile.components(of_name[technique], micro_batch=samples, effective_batch=samples)
        return parts.total() <= planned_bytes

    if not fits(1):
        return 0
    enough, too_many = 1, 2
    while fits(too_many):
        enough, too_many = too_many, 2 * too_many
    while too_many - enough > 1:
        middle = (enough + too_many) // 2
        enough, too_many = (middle, too_many) if fits(middle) else (enough, middle)
    return enough


def least_bytes(profile: Profile, *, effective_batch: int) -> int:
    """What one sample at once needs, by the technique that then needs least."""
    return _smallest(profile, effective_batch).components.total()


def side_by_side(
    profiles: Sequence[Profile],
    *,
    host_bytes: int,
    cores: int,
    effective_batch: int,
    reserved_bytes: int = 0,
) -> int:
    """How many training processes share the host's budget: as many as leave each enough to fit.

    Where one does not fit its share, fewer run side by side, each with a larger share; where one
    does not fit the whole budget, one, which then says so. ``reserved_bytes`` of each share are not
    for its steps. Those on a GPU run one by one.
    """
    if any(profile.device != "cpu" for profile in profiles):
        return 1
    for count in range(cores, 1, -1):
        share = host_bytes // count - reserved_bytes
        if all(least_bytes(p, effective_batch=effective_batch) <= share for p in profiles):
            return count
    return 1


def _cut(
    profile: Profile, technique: TechniqueProfile, effective_batch: int, upper: int, most_bytes: int
) -> _Cut | None:
    """The fewest passes of even size that fit by one technique."""
    last = 0
    for passes in range(-(-effective_batch // upper), effective_batch + 1):
        micro_batch = -(-effective_batch // passes)
        if micro_batch == last:  # as many samples in more passes
            continue
        last = micro_batch
        found = _made(profile, technique, micro_batch, effective_batch)
        if found.components.total() <= most_bytes:
            return found
    return None


def _made(
    profile: Profile, technique: TechniqueProfile, micro_batch: int, effective_batch: int
) -> _Cut:
    passes = -(-effective_batch // micro_batch)
    rest = effective_batch - (passes - 1) * micro_batch  # the last pass may be smaller
    whole = profile.pass_seconds(technique, micro_batch=micro_batch)
    last = profile.pass_seconds(technique, micro_batch=rest)
    seconds = None if whole is None or last is None else (passes - 1) * whole + last
    return _Cut(
        technique,
        micro_batch,
        passes,
        profile.components(technique, micro_batch=micro_batch, effective_batch=effective_batch),
        seconds,
    )


def _smallest(profile: Profile, effective_batch: int) -> _Cut:
    """One sample at once, by the technique that then needs least."""
    ones = [_made(profile, each, 1, effective_batch) for each in profile.techniques]
    return min(ones, key=lambda cut: cut.components.total())


def _plan(profile: Profile, cut: _Cut, budget_bytes: int, why: str) -> Plan:
    peak_bytes = cut.components.total()
    return Plan(
        micro_batch=cut.micro_batch,
        accumulation=cut.passes,
        technique=cut.technique.technique,
        predicted_peak_bytes=peak_bytes,
        predicted_resident_bytes=peak_bytes - profile.reserved_bytes,
        budget_bytes=budget_bytes,
        headroom_bytes=budget_bytes - peak_bytes,
        seconds_per_step=cut.seconds,
        components=cut.components,
        why=why,
    )


def _reason(
    profile: Profile,
    best: _Cut,
    cuts: Sequence[_Cut | None],
    upper: int,
    effective_batch: int,
    planned_bytes: int,
) -> str:
    first, *_ = profile.techniques
    plain = cuts[0]
    if best.technique is not first and plain is None:
        return f"not one sample fits without {_IN_WORDS[best.technique.technique]}"
    if best.technique is not first and plain is not None:
        assert best.seconds is not None
        assert plain.seconds is not None
        return (
            f"{_IN_WORDS[best.technique.technique]} takes about {best.seconds:.3g} s for a step of "
            f"{best.passes} passes, {_IN_WORDS[first.technique]} {plain.seconds:.3g} s for "
            f"{plain.passes}"
        )
    if best.passes == 1:
        return f"all {effective_batch} samples of a step fit at once"
    if -(-effective_batch // upper) == best.passes:
        return f"train.micro_batch allows no more than {upper} samples at once"
    more = _made(profile, best.technique, -(-effective_batch // (best.passes - 1)), effective_batch)
    return (
        f"{more.micro_batch} samples at once would need {format_size(more.components.total())} of "
        f"the {format_size(planned_bytes)} that may be planned"
    )


def _too_small(
    profile: Profile, smallest: _Cut, budget_bytes: int, headroom: float, workers: int
) -> str:
    way = _IN_WORDS[smallest.technique.technique]
    parts, need_bytes = smallest.components, smallest.components.total()
    name, largest_bytes = parts.largest()
    kind = "host" if profile.device == "cpu" else "gpu"
    helps = sorted(_savings(profile, parts), reverse=True)[:2]
    told = [f"{setting} (about {format_size(saved)} less)" for saved, setting in helps]
    short_bytes = need_bytes - budget_bytes
    if kind == "host" and workers > 1:
        told.append(f"launch.workers=1 ({format_size(budget_bytes * (workers - 1))} more for it)")
    else:
        enough = format_size(need_bytes / (1 - headroom))
        told.append(
            f"memory.{kind}={enough.replace(' ', '')} ({format_size(short_bytes)} are short)"
        )
    return (
        f"one sample needs about {format_size(need_bytes)} by {way}, and the budget is "
        f"{format_size(budget_bytes)}; "
        f"the largest part of it is the {name}, {format_size(largest_bytes)}. What would help: "
        + ", ".join(told)
    )


def _size_in_words(size: tuple[int, int]) -> str:
    return str(size[0]) if size[0] == size[1] else f"[{size[0]},{size[1]}]"


def _savings(profile: Profile, parts: Components) -> list[tuple[float, str]]:
    """Settings at half their value, with about the bytes that each would save."""
    per_sample = parts.activations + parts.workspace
    states = parts.weights + parts.gradients + parts.optimizer_state + parts.averages
    found = [
        (0.75 * states + 0.5 * per_sample, "half the model's width"),
        (0.5 * parts.input_batch, "half of train.effective_batch"),
    ]
    if min(profile.size) >= 16:
        saved = 0.75 * (per_sample + parts.input_batch)
        half = _size_in_words((profile.size[0] // 2, profile.size[1] // 2))
        found.append((saved, f"clips.size={half} in place of {_size_in_words(profile.size)}"))
    if profile.frames >= 2:
        saved = 0.5 * (per_sample + parts.input_batch)
        found.append((saved, f"clips.frames={profile.frames // 2} in place of {profile.frames}"))
    return found
