"""One contender of ``retrieval.py``: ``python retrievers.py NAME FOLDER``; prints what it cost.

The folder has ``video.npy`` and ``text.npy`` of unit length and ``targets.npy``. Features are in
memory before the clock starts, and each contender has warmed up on a few rows.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

THREADS = len(os.sched_getaffinity(0))
K = 10
Row = dict[str, Any]
Array = np.ndarray


def reelfit(video: Array, text: Array, targets: Array) -> Row:
    """Every measure in both directions, exact ranks."""
    from reelfit import retrieval_metrics

    found = retrieval_metrics(video, text, targets)
    keys = ("recall@1", "recall@10", "median_rank", "mrr", "map")
    return {
        "near_ties": found.near_ties,
        **{way: {key: found[way][key] for key in keys} for way in found.means},
    }


def reelfit_settled(video: Array, text: Array, targets: Array) -> Row:
    """The same, near ties settled in double precision."""
    from reelfit import retrieval_metrics

    found = retrieval_metrics(video, text, targets, exact=True)
    return {"near_ties": found.near_ties, "mrr": found["video_to_text"]["mrr"]}


def original(video: Array, text: Array, targets: Array) -> Row:
    """The original systems' streaming: running top k, and MRR by sorting; one direction alone."""
    videos, texts = torch.from_numpy(video), torch.from_numpy(text)
    right = torch.from_numpy(targets)
    hits, reciprocals = 0, 0.0
    for begin in range(0, len(videos), 2048):
        rows = videos[begin : begin + 2048]
        wanted = right[begin : begin + 2048, None]
        values = torch.full((len(rows), K), -torch.inf)
        places = torch.full((len(rows), K), -1)
        blocks = []
        for start in range(0, len(texts), 4096):
            scores = rows @ texts[start : start + 4096].T
            blocks.append(scores)
            numbers = torch.arange(start, start + scores.shape[1]).expand(len(rows), -1)
            joined = torch.cat([values, scores], 1)
            values, order = joined.topk(K, dim=1)
            places = torch.cat([places, numbers], 1).gather(1, order)
        hits += int((places == wanted).any(1).sum())
        sorted_places = torch.cat(blocks, 1).argsort(dim=1, descending=True)
        ranks = (sorted_places == wanted).nonzero()[:, 1] + 1
        reciprocals += float((1 / ranks).sum())
    return {"recall@10": hits / len(videos), "mrr": reciprocals / len(videos)}


def faiss_flat(video: Array, text: Array, targets: Array) -> Row:
    """Inner products, the best ten of every query, one search each way; no ranks beyond."""
    import faiss

    faiss.omp_set_num_threads(THREADS)
    hits = []
    for queries, others in ((video, text), (text, video)):
        index = faiss.IndexFlatIP(others.shape[1])
        index.add(others)
        hits.append(index.search(queries, K)[1])
    return {"recall@10": float((hits[0] == targets[:, None]).any(1).mean())}


def scikit_learn(video: Array, text: Array, targets: Array) -> Row:
    """Its chunked distances, ranks counted in each; one direction alone."""
    from sklearn.metrics import pairwise_distances_chunked

    def ranks_of(distances: Array, start: int) -> Array:
        right = targets[start : start + len(distances)]
        own = distances[np.arange(len(distances)), right]
        return 1 + (distances < own[:, None]).sum(1)

    chunks = pairwise_distances_chunked(video, text, reduce_func=ranks_of)
    return {"mrr": float((1 / np.concatenate(list(chunks))).mean())}


def torchmetrics_flat(video: Array, text: Array, targets: Array) -> Row:
    """Recall and reciprocal rank of the first 2,000 videos: every score is a row of its input."""
    from torchmetrics.retrieval import RetrievalMRR, RetrievalRecall

    video, targets = video[:2000], targets[:2000]
    scores = torch.from_numpy(video @ text.T).flatten()
    is_right = torch.zeros(len(video), len(text), dtype=torch.bool)
    is_right[torch.arange(len(video)), torch.from_numpy(targets)] = True
    numbers = torch.arange(len(video)).repeat_interleave(len(text))
    found = {}
    for name, metric in (("mrr", RetrievalMRR()), ("recall@10", RetrievalRecall(top_k=K))):
        metric.update(scores, is_right.flatten(), indexes=numbers)
        found[name] = float(metric.compute())
    return {**found, "videos": len(video)}


def product(video: Array, text: Array, targets: Array) -> Row:
    """The product alone, in blocks of 2,048 x 4,096 by torch in all threads."""
    del targets
    videos, texts, out = torch.from_numpy(video), torch.from_numpy(text), torch.empty(2048 * 4096)
    for begin in range(0, len(videos), 2048):
        rows = videos[begin : begin + 2048]
        for start in range(0, len(texts), 4096):
            columns = texts[start : start + 4096]
            block = out[: len(rows) * len(columns)].view(len(rows), len(columns))
            torch.mm(rows, columns.T, out=block)
    return {}


def product_by_threads(video: Array, text: Array, targets: Array) -> Row:
    """The product alone, in blocks of 1,024 x 1,024, a thread for each part of the videos."""
    from concurrent.futures import ThreadPoolExecutor

    del targets
    videos, texts = torch.from_numpy(video), torch.from_numpy(text)
    torch.set_num_threads(1)

    def multiply(part: torch.Tensor) -> None:
        torch.set_num_threads(1)
        out = torch.empty(1024 * 1024)
        for rows in part.split(1024):
            for columns in texts.split(1024):
                block = out[: len(rows) * len(columns)].view(len(rows), len(columns))
                torch.mm(rows, columns.T, out=block)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(multiply, videos.chunk(THREADS)))
    torch.set_num_threads(THREADS)
    return {}


CONTENDERS = {
    each.__name__: each
    for each in (
        reelfit,
        reelfit_settled,
        product,
        product_by_threads,
        faiss_flat,
        scikit_learn,
        original,
        torchmetrics_flat,
    )
}


def resident_bytes() -> int:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Prints how it went as JSON."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    torch.set_num_threads(THREADS)
    video, text, targets = (np.load(folder / f"{one}.npy") for one in ("video", "text", "targets"))
    try:
        CONTENDERS[name](video[:1500], text, targets[:1500])
    except ModuleNotFoundError as error:
        print(json.dumps({"end": f"not installed: {error.name}"}))
        return
    base, peak, done = resident_bytes(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            peak[0] = max(peak[0], resident_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    wall, cpu = time.perf_counter(), time.process_time()
    found = CONTENDERS[name](video, text, targets)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    done.set()
    watcher.join()
    told = {"wall_seconds": wall, "cpu_seconds": cpu, "peak_bytes": max(0, peak[0] - base)}
    print(json.dumps({"end": "done", **told, "found": found}))


if __name__ == "__main__":
    main()
