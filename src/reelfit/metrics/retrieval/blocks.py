"""How large blocks may be, so that all beside the features stays within the memory given."""

from dataclasses import dataclass

from reelfit.errors import FeatureError
from reelfit.memory.budget import format_size

CHUNK = 2**15
"""Scores that are held against those of right ones at once."""
VALUE_BYTES = 130
"""Of each of them, with what is found out about it."""
DENSE = 1 / 12
"""Of a block's scores: where more stand out, counting them one by one takes longer."""
STAGING_BYTES = 6 * 2**20
"""Rows in double precision, on their way in or while near scores are settled."""
LIBRARY_BYTES = 6 * 2**20
"""What a thread's matrix product keeps for packed operands (measured: 5 MiB)."""
SIZES = ((1024, 1024), (512, 1024), (256, 512), (128, 256), (64, 128), (32, 64), (16, 32))
DEVICE_SIZES = ((8192, 8192), (4096, 4096), (2048, 2048), *SIZES)


@dataclass(frozen=True)
class Sizes:
    """What the memory depends on."""

    num_videos: int
    num_texts: int
    width: int
    num_pairs: int
    top: int = 0
    settles: bool = False

    @property
    def counts_bytes(self) -> int:
        """Thresholds of both directions, without the counts of threads, and what comes back."""
        queries = self.num_videos + self.num_texts
        return 160 * self.num_pairs + 100 * queries + 48 * self.top * queries

    def thread_bytes(self, rows: int, columns: int) -> int:
        """What each thread holds."""
        block = rows * columns * (4 + 2 + 8 + 4) + 4 * rows * self.width
        if self.settles:
            block += 8 * columns * self.width
        counts = 64 * self.num_pairs + 12 * self.top * self.num_texts
        top = 6 * rows * columns if self.top else 0
        values = VALUE_BYTES * int(CHUNK + DENSE * rows * columns)
        return block + counts + top + values + STAGING_BYTES + LIBRARY_BYTES


@dataclass(frozen=True)
class Blocks:
    """Videos and texts of a block of scores, texts held at once, and threads."""

    rows: int
    columns: int
    panel: int
    threads: int


def choose_blocks(
    sizes: Sizes, *, memory_bytes: int, threads: int, on_device: bool = False
) -> Blocks:
    """The largest blocks that leave memory for as many texts at once as a block has, or all.

    Raises:
        FeatureError: the memory is not enough for the smallest blocks in one thread.
    """
    for used in range(threads, 0, -1):
        for rows, columns in DEVICE_SIZES if on_device else SIZES:
            rows, columns = min(rows, sizes.num_videos), min(columns, sizes.num_texts)  # noqa: PLW2901
            fixed = sizes.counts_bytes + used * sizes.thread_bytes(rows, columns)
            panel = min((memory_bytes - fixed) // (4 * sizes.width), sizes.num_texts)
            if panel >= columns:
                return Blocks(rows, columns, panel, used)
    rows, columns = min(SIZES[-1][0], sizes.num_videos), min(SIZES[-1][1], sizes.num_texts)
    least = sizes.counts_bytes + sizes.thread_bytes(rows, columns) + 4 * columns * sizes.width
    raise FeatureError(
        f"retrieval metrics of {sizes.num_videos} videos and {sizes.num_texts} texts need "
        f"{format_size(least)} beside the features; they were given {format_size(memory_bytes)}"
    )
