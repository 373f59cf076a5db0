"""Memory is a matter of a whole process: what is measured runs in one of its own."""

import json
import os
import subprocess
import sys
from typing import Any

from reelfit.launch.local import child_environment


def printed_by(program: str, *arguments: object) -> Any:
    """The JSON value that ``program``, Python source, prints at its end."""
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=child_environment(os.environ, threads=1),
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
