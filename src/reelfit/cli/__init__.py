"""The command line: the only place that prints or exits."""

import sys

from reelfit.cli.commands import app
from reelfit.errors import ReelfitError, StudyError

FAILED, WRONG_REQUEST, INTERRUPTED = 1, 2, 130


def main() -> None:
    """The command ``reelfit``: 0 done, 1 the work failed, 2 the request was wrong, 130 interrupted.

    What the user can mend is shown as one message; what only we can mend, with its traceback.
    """
    try:
        app()
    except StudyError as error:
        _end(f"error: {error}", WRONG_REQUEST)
    except ReelfitError as error:
        _end(f"error: {error}", FAILED)
    except KeyboardInterrupt:
        _end("interrupted", INTERRUPTED)
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        sys.stderr.close()
        sys.exit(FAILED)


def _end(message: str, status: int) -> None:
    print(message, file=sys.stderr)  # noqa: T201
    sys.exit(status)
