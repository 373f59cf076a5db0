"""What can go wrong that a person can mend: each is shown as one message without a traceback."""


class ReelfitError(Exception):
    """Something that the user can mend; its message says what, where and what to do."""


class StudyError(ReelfitError):
    """The study asks for something that is not there or does not fit together.

    ``place`` is where in the study it is asked, as keys and positions, if the message lacks it.
    """

    def __init__(self, message: str, *, place: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.place = place


class TableError(ReelfitError):
    """A table breaks its schema: the message names the column, the row and the rule."""


class FeatureError(ReelfitError):
    """Features of videos or texts, or their targets, that cannot be measured: it says which row."""


class VideoError(ReelfitError):
    """A video that cannot be used.

    ``reason`` is one short phrase for the table of rejected videos, the same for all videos that
    fail alike; ``detail`` is what the decoder said of this one.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class RunError(ReelfitError):
    """A run cannot go on: another process holds it, the disk is full, a unit failed."""


class DivergenceError(ReelfitError):
    """The loss or its gradient is no finite number any more; the weights are as they were."""


class CheckpointError(ReelfitError):
    """A checkpoint that is damaged, or that was not written by Reelfit."""


class OutOfMemoryError(ReelfitError):
    """One sample does not fit the budget; the message names the bytes that it needs."""


class UpdateError(ReelfitError):
    """Memory ran out while the optimizer changed the weights: some have changed and some have not.

    Nothing in the process is to be trusted any more; the last checkpoint is.
    """


class Interrupted(Exception):  # noqa: N818  no error: it was asked for
    """A unit was asked to stop; what it had done is saved."""


class Restart(Exception):  # noqa: N818  no error: its unit mends it
    """A unit must begin again from its last checkpoint, in a fresh process and with less memory.

    Memory ran out, and what this process holds is not to be trusted with what comes after.
    ``on_last_rung``: it began on the last rung, so that no fresh process can take less.
    """

    def __init__(self, message: str, *, on_last_rung: bool = False) -> None:
        super().__init__(message)
        self.on_last_rung = on_last_rung
