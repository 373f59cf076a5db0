"""``python -m reelfit`` is the command ``reelfit``."""

from reelfit.cli import main

main()
