"""Makes .venv from the locks and runs a command in it; needs Python 3.11 and nothing else.

``python3 dev.py install`` sets up; ``python3 dev.py COMMAND [ARGUMENT ...]`` sets up and runs.
"""

import hashlib
import os
import shutil
import subprocess  # nosec
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
VENV = HERE / ".venv"
LOCKS = ["pyproject.toml", "constraints.txt", "requirements.lock", "build.in"]
FREE_BYTES = 3 * 2**30


def stamp() -> str:
    """What the environment depends on: the locks and the version of Python."""
    texts = [sys.version.encode(), *((HERE / name).read_bytes() for name in LOCKS)]
    return hashlib.sha256(b"\0".join(texts)).hexdigest()


def install() -> None:
    """Makes the environment anew where the stamp differs; half an environment has no stamp."""
    done = VENV / "stamp"
    if done.exists() and done.read_text() == stamp():
        return
    if shutil.disk_usage(HERE).free < FREE_BYTES:
        sys.exit(f"the environment needs 3 GiB free on the disk of {HERE}")
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        sys.exit("this Python has no ensurepip; on Debian: apt-get install python3-venv")
    python = str(VENV / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar=off"]
    steps = [
        ("an empty environment", [sys.executable, "-m", "venv", "--clear", str(VENV)]),
        ("torch (the largest part)", [*pip, "-qq", "-c", "constraints.txt", "torch"]),
        ("the locked packages",
         [*pip, "-qq", "--require-hashes", "--no-deps", "-r", "requirements.lock"]),
        ("reelfit itself", [*pip, "-qq", "--no-deps", "--no-build-isolation", "-e", "."]),
        ("a check of it all", [python, "-m", "pip", "check"]),
    ]  # fmt: skip
    for number, (what, command) in enumerate(steps, 1):
        print(f"[{number}/{len(steps)}] {what}", flush=True)
        if subprocess.run(command, cwd=HERE, check=False).returncode:
            sys.exit(f"setting up failed at: {what}")
    done.write_text(stamp())


def install_browser() -> None:
    """Debian's Chromium in CI, so that the report's test in a browser runs there."""
    if not os.environ.get("CI") or shutil.which("chromium") or not shutil.which("apt-get"):
        return
    if os.geteuid() != 0:
        return
    for command in (["apt-get", "-qq", "update"], ["apt-get", "-qqy", "install", "chromium"]):
        try:
            subprocess.run(command, check=True, timeout=300, stdout=subprocess.DEVNULL)
        except (subprocess.SubprocessError, OSError) as error:
            print(f"no Chromium: {error}; its tests are skipped", flush=True)
            return


def main() -> None:
    """Sets up, then becomes the command."""
    if sys.version_info < (3, 11):  # noqa: UP036  older ones still come this far
        sys.exit(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}")
    install()
    install_browser()
    if sys.argv[1:] in ([], ["install"]):
        return
    bin_folder = VENV / "bin"
    os.environ["PATH"] = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
    os.environ["VIRTUAL_ENV"] = str(VENV)
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606  # nosec


if __name__ == "__main__":
    main()
