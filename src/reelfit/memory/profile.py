"""What a network needs, traced and measured once, and what a step of any cut will need by it."""

from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any

from pydantic import TypeAdapter


@dataclass(frozen=True)
class TracedPass:
    """A forward and backward pass on tensors without data: bytes as ``memory.trace`` has them."""

    micro_batch: int
    activations_bytes: int
    peak_bytes: int


@dataclass(frozen=True)
class ProbedPass:
    """A pass that was really done; its peak is counted from before the gradients were made."""

    micro_batch: int
    peak_bytes: int
    seconds: float


@dataclass(frozen=True)
class TechniqueProfile:
    """One way to keep activations: passes traced, from micro-batch 1 up, and passes done."""

    technique: str
    traced: tuple[TracedPass, ...]
    probed: tuple[ProbedPass, ...]


@dataclass(frozen=True)
class Components:
    """The peak of a step by what it is for, in bytes."""

    process_base: int
    """Interpreter and libraries, before there is a network; on a GPU nothing of it counts."""
    libraries: int
    """What libraries load and compile in their first steps, and what they reserve for it."""
    weights: int
    gradients: int
    optimizer_state: int
    averages: int
    """Of the weights, where the study asks for them."""
    buffers: int
    input_batch: int
    """The clips of a whole step as bytes, which wait in main memory; on a GPU they do not count."""
    activations: int
    workspace: int
    """Gradients on their way, and what libraries take below torch."""

    def total(self) -> int:
        """The peak."""
        return sum(getattr(self, field.name) for field in fields(self))

    def largest(self) -> tuple[str, int]:
        """The component with the most bytes, by name."""
        name = max(fields(self), key=lambda field: getattr(self, field.name)).name
        return name.replace("_", " "), getattr(self, name)


@dataclass(frozen=True)
class Profile:
    """One network at one clip shape on one machine; no budget and no batch is part of it."""

    device: str
    """``cpu`` or ``cuda``: whose memory the bytes below are of."""
    device_bytes: int
    """All the memory that the device has."""
    frames: int
    size: tuple[int, int]
    """Height and width of a frame."""
    host_bytes: int
    """Main memory of the process beside its step: on a CPU the same as ``base_bytes``."""
    base_bytes: int
    libraries_bytes: int
    reserved_bytes: int
    """Reserved by libraries and never touched: a limit on the data segment counts it, the system
    does not."""
    weights_bytes: int
    gradients_bytes: int
    optimizer_bytes: int
    buffers_bytes: int
    sample_bytes: int
    """One clip as it waits for its pass, with its target."""
    techniques: tuple[TechniqueProfile, ...]
    """Those that apply, fastest first."""
    averages_bytes: int = 0
    """A running average of what is trained, where one is kept."""

    def components(
        self, technique: TechniqueProfile, *, micro_batch: int, effective_batch: int
    ) -> Components:
        """What a step of ``effective_batch`` samples needs when it is cut so."""
        activations, traced_peak = _traced(technique.traced, micro_batch)
        beyond = self._beyond_trace(technique, micro_batch)
        on_cpu = self.device == "cpu"
        return Components(
            process_base=self.base_bytes,
            libraries=self.libraries_bytes + self.reserved_bytes,
            weights=self.weights_bytes,
            gradients=self.gradients_bytes,
            optimizer_state=self.optimizer_bytes,
            averages=self.averages_bytes,
            buffers=self.buffers_bytes,
            input_batch=effective_batch * self.sample_bytes if on_cpu else 0,
            activations=activations,
            workspace=traced_peak - activations + beyond,
        )

    def pass_seconds(self, technique: TechniqueProfile, *, micro_batch: int) -> float | None:
        """About how long one forward and backward pass takes; None where none was done.

        A technique does all that a faster one does and more, so it is never taken to be quicker
        than one that was measured on a busier moment.
        """
        upto = self.techniques[: self.techniques.index(technique) + 1]
        found = [_seconds_alone(each, micro_batch) for each in upto]
        known = [seconds for seconds in found if seconds is not None]
        return max(known) if found[-1] is not None else None

    def _beyond_trace(self, technique: TechniqueProfile, micro_batch: int) -> int:
        """What a real pass takes beyond the traced one.

        It is as measured where this micro-batch was, else in proportion to the largest that was:
        libraries choose their algorithm for a single sample otherwise than for several, so that a
        line through both would miss what lies beyond.
        """
        if not technique.probed:
            return 0
        done = {probed.micro_batch: probed.peak_bytes for probed in technique.probed}
        at = micro_batch if micro_batch in done else max(done)
        beyond = done[at] - self.gradients_bytes - _traced(technique.traced, at)[1]
        return max(0, -(-beyond * micro_batch // at))


def _traced(passes: tuple[TracedPass, ...], micro_batch: int) -> tuple[int, int]:
    """Activations and peak at any micro-batch, on straight lines between the traced passes.

    A peak is the largest of several sums that each grow linearly, so a line between two of its
    points is never below it.
    """
    if len(passes) == 1:
        passes = (TracedPass(0, 0, 0), *passes)
    low, high = next(
        (pair for pair in pairwise(passes) if micro_batch <= pair[1].micro_batch), passes[-2:]
    )
    run = high.micro_batch - low.micro_batch
    share = micro_batch - low.micro_batch

    def between(begin: int, end: int) -> int:
        return begin - (begin - end) * share // run  # rounded up

    return (
        between(low.activations_bytes, high.activations_bytes),
        between(low.peak_bytes, high.peak_bytes),
    )


def _seconds_alone(technique: TechniqueProfile, micro_batch: int) -> float | None:
    """About how long a pass takes by its own probes; None where none was done.

    At least half of a measured pass is taken to grow with its samples: two passes on a busy machine
    could say anything about the rest.
    """
    if not technique.probed:
        return None
    last = technique.probed[-1]
    each = last.seconds / last.micro_batch
    if len(technique.probed) > 1:
        first = technique.probed[-2]
        slope = (last.seconds - first.seconds) / (last.micro_batch - first.micro_batch)
        each = min(max(slope, each / 2), each)
    return last.seconds + each * (micro_batch - last.micro_batch)


def profile_values(profile: Profile) -> dict[str, Any]:
    """The profile as JSON values."""
    return asdict(profile)


def read_profile(values: Any) -> Profile:
    """The profile that ``profile_values`` gave."""
    return TypeAdapter(Profile).validate_python(values)
