"""``oddpair graph``: from the counts of a corpus to what they say of a test set's pairs."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from oddpair import files, stages
from oddpair.commands.graph_page import write_page, write_rows
from oddpair.errors import Refusal
from oddpair.progress import track
from oddpair.retrieval.counting.counts_file import mark_made, read_counts, read_meta, verify_counts
from oddpair.retrieval.counting.pair_file import load_pairs
from oddpair.retrieval.vocabulary_file import load_vocabulary
from oddpair.splits.pairs.findings import describe_pairs, summarise_pairs
from oddpair.splits.pairs.graph import build_graph

TABLE, ROWS, PAGE, SUMMARY = "graph.parquet", "graph.csv", "graph.html", "summary.json"
# Test sets of more pairs than this may take seconds to follow through the graph.
_MANY_PAIRS = 50_000
_COUNTED = ("counts.parquet", "pairs.parquet", "nested.parquet", "meta.json", "vocabulary.txt")


def need_counts(counts: Path, out: Path) -> None:
    """Refuse counts that are no folder, and an output that would be written into them."""
    if not counts.is_dir():
        found = "is a file" if counts.exists() else "does not exist"
        raise Refusal(f"{counts} {found}: give the folder that oddpair count wrote")
    if out.resolve().is_relative_to(counts.resolve()):
        raise Refusal(
            f"{out} is or lies in the folder of the counts, which stay as they are: choose another --out"
        )


def graph_pairs(counts: Path, pairs: Path, out: Path, *, minimum: int, support: int) -> dict[str, Any]:
    """Describe the pairs of a file by a corpus's counts, into a folder; a finished one is left as it is.

    Args:
        counts: Folder of ``oddpair count``.
        pairs: File of pairs.
        out: Folder for ``graph.parquet``, one row a pair, marked with how it was counted (``mark_made``), the same as
            ``graph.csv`` for a paper's table, ``summary.json`` and ``graph.html``.
        minimum: Captions that must name two concepts together for an edge.
        support: Captions that must name a concept for it to be supported.

    Returns:
        The summary.

    Raises:
        Refusal: If the counts are not finished or not as they were counted, the file holds no pairs of their
            vocabulary, or the folder was made from other inputs.
    """
    inputs = {
        "counts": files.digest(verify_counts(counts, _COUNTED)),
        "pairs": files.sha256(pairs),
        "minimum": minimum,
        "support": support,
    }
    if stages.begin(out, inputs):
        with stages.make(out):
            vocabulary = load_vocabulary(counts / "vocabulary.txt")
            wanted = load_pairs(pairs, vocabulary)
            counted = read_counts(counts, vocabulary)
            graph = build_graph(counted, minimum=minimum)
            many = track("follow pairs", len(wanted), "pairs")
            with many if len(wanted) > _MANY_PAIRS else nullcontext() as progress:
                told = progress.advance if progress else None
                table = describe_pairs(counted, graph, wanted, support=support, told=told)
            made = read_meta(counts)
            summary = {
                **{name: made.get(name) for name in ("counting", "tagger", "tag_threshold")},
                "captions": counted.n_captions,
                "minimum": minimum,
                "pair_concepts": counted.pair_concepts,
                "support": support,
                "vocabulary_sha256": counted.vocabulary_sha256,
                **summarise_pairs(table, graph),
            }
            files.write_table(out / TABLE, table.replace_schema_metadata(mark_made(made)))
            write_rows(out / ROWS, table)
            write_page(out / PAGE, table, summary)
            files.write_json(out / SUMMARY, summary)
    return dict(files.read_json(out / SUMMARY))
