"""How well each model finds texts by videos and videos by texts, of items it never saw.

Reads ``<model>/fold_<k>/``: embeddings, texts, captions -> writes ``retrieval_folds.parquet``,
``retrieval_summary.parquet``, ``retrieval_queries.parquet``, ``retrieval_top.parquet``,
``captions.parquet``, ``caption_summary.parquet``.
Runs again when the training did, or how it is judged changes. Peak memory: ``MEMORY`` beside a row
for each query.
"""

import math
from typing import Any, ClassVar, final

import polars as pl

from reelfit.data.listing import Listing
from reelfit.memory.budget import parse_size
from reelfit.runs import Run
from reelfit.stages.evaluated import Evaluated, evaluated
from reelfit.stages.stage import Context, Stage, Unit
from reelfit.study import Study, what_matters

MEMORY = "256MiB"
"""What scores may take beside the embeddings; a larger matrix is made and used in blocks."""
BLOCKS = "scores_in_blocks"
"""The event that says so."""
TABLES = (
    "retrieval_folds",
    "retrieval_summary",
    "retrieval_queries",
    "retrieval_top",
    "captions",
    "caption_summary",
)
"""The tables of ``data/retrieval_tables.py``, by the names of their files."""


@final
class EvaluateRetrieval(Stage):
    """One unit per model: its resamples take time."""

    name: ClassVar[str] = "evaluate_retrieval"
    version: ClassVar[int] = 2
    items: ClassVar[str] = "folds"
    reads: ClassVar[tuple[str, ...]] = ("train",)
    writes: ClassVar[tuple[str, ...]] = tuple(f"{name}.parquet" for name in TABLES)
    all_threads: ClassVar[bool] = True

    def is_asked(self, study: Study) -> bool:
        """For the task retrieve."""
        return study.task == "retrieve"

    def settings(self, study: Study) -> Any:
        """How it is judged, and how many of the highest-ranked answers are kept."""
        return [what_matters(study.evaluate), study.seed]

    def units(self, run: Run, study: Study, listing: Listing, *, key: str) -> list[Unit]:
        """The models that are not judged under this key."""
        folds = len(run.folds())
        return [
            Unit(self.name, choice.id, folds, {"model": choice.id})
            for choice in study.models
            if not evaluated(run, key, choice.id).whole
        ]

    def work(self, run: Run, study: Study, unit: Unit, context: Context) -> None:
        """Judges one model on each of its folds, and over all of them."""
        import torch

        from reelfit.stages.judging_retrieval import judge_captions, judge_retrieval
        from reelfit.stages.learners.kept import read_kept

        torch.set_num_threads(context.threads)
        model = unit.facts["model"]
        kept = {fold: read_kept(run.fold(model, fold)) for fold in run.folds()}
        for fold, each in kept.items():
            sizes = {"videos": each.items.height, "texts": each.texts.height}
            if (matrix_bytes := 4 * math.prod(sizes.values())) > parse_size(MEMORY):
                context.event(BLOCKS, model=model, fold=fold, matrix_bytes=matrix_bytes, **sizes)
        how = {"resamples": study.evaluate.bootstrap, "seed": study.seed}
        tables = judge_retrieval(
            model,
            kept,
            top=study.evaluate.top,
            memory=MEMORY,
            on_progress=lambda done: context.report_progress(done, unit.items),
            **how,
        )
        tables |= judge_captions(model, kept, **how)
        evaluated(run, context.key, model).write(tables)

    def gather(self, run: Run, study: Study, listing: Listing, context: Context) -> None:
        """The tables, models in the order of the study."""
        from reelfit.data import retrieval_tables as schemas
        from reelfit.data.tables import write_table

        found = [evaluated(run, context.key, choice.id) for choice in study.models]
        for name in TABLES:
            schema = getattr(schemas, name.upper())
            write_table(_all(found, name), run.file(f"{name}.parquet"), schema)


def _all(found: list[Evaluated], name: str) -> pl.DataFrame:
    return pl.concat([each.read(name) for each in found])
