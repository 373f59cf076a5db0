"""What a pass over all scores needs of a device: products of blocks, and what stands out."""

from abc import ABC, abstractmethod

from jaxtyping import Float32, Int64
from torch import Tensor


class Scores(ABC):
    """One block of scores at a time, of the videos and the texts held."""

    @abstractmethod
    def hold_texts(self, begin: int, end: int) -> None:
        """Takes the features of these texts, for all threads: one calls it while none works."""

    @abstractmethod
    def hold_videos(self, begin: int, end: int) -> None:
        """Takes the features of these videos."""

    @abstractmethod
    def multiply(self, begin: int, end: int) -> None:
        """Computes the scores of the videos held with these of the texts held."""

    @abstractmethod
    def whole(self) -> Float32[Tensor, "video text"]:
        """All scores of the block, for reading."""

    @abstractmethod
    def remove(self, video: Int64[Tensor, " pair"], text: Int64[Tensor, " pair"]) -> None:
        """Takes scores out of what stands out, by their places in the block."""

    @abstractmethod
    def standing_out(
        self, of_videos: Float32[Tensor, " video"], of_texts: Float32[Tensor, " text"]
    ) -> Int64[Tensor, " value"]:
        """The places, row by row, of scores that reach the bound of their video or text."""

    @abstractmethod
    def reached(
        self,
        bounds: tuple[Float32[Tensor, " query"], Float32[Tensor, " query"]],
        queries: Int64[Tensor, " query"],
        *,
        of_texts: bool,
    ) -> tuple[Int64[Tensor, " query"], Int64[Tensor, " query"]]:
        """How many scores of each of these videos, or texts, reach each of its two bounds."""

    @abstractmethod
    def of_queries(
        self, queries: Int64[Tensor, " query"], *, of_texts: bool
    ) -> Float32[Tensor, "query other"]:
        """The scores of some videos, or texts."""

    @abstractmethod
    def values(self, places: Int64[Tensor, " value"]) -> Float32[Tensor, " value"]:
        """The scores in these places."""

    @abstractmethod
    def of_pairs(
        self, video: Int64[Tensor, " pair"], text: Int64[Tensor, " pair"]
    ) -> Float32[Tensor, " pair"]:
        """Scores of some pairs by the same product, of a small block of their own."""
