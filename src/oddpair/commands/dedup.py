"""``oddpair dedup``: what is dropped and what stays, as a table, a split and a page."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from oddpair import files, stages
from oddpair.commands.dedup_page import Lookup, write_page
from oddpair.commands.sides import Side
from oddpair.errors import Refusal
from oddpair.progress import track
from oddpair.retrieval.corpus import fingerprint
from oddpair.retrieval.dedup import DedupPlan, Duplicates, cross_duplicates, find_duplicates, sort_by_uid
from oddpair.retrieval.places import locate
from oddpair.retrieval.same_encoder import require_one_encoder
from oddpair.splits.manifest import CardRow, Manifest, write_manifest

PAGE = "page.html"
SUMMARY = "summary.json"
DUPLICATES = "duplicates.parquet"
TESTS = "tests.parquet"
KEPT = "kept"
# A stage does not count what is hidden among the files it made.
_PARTS = ".parts"


def need_place(out: Path, corpora: Sequence[str], embeddings: Sequence[Path]) -> None:
    """Refuse an output folder where not even a lock may be left, before there is one.

    Args:
        out: Folder of the run.
        corpora: What is compared, as ``open_side`` takes it.
        embeddings: Folders of embeddings that were named.

    Raises:
        Refusal: If ``out`` is a file, or lies in the others or holds them, or one of the corpora does not exist.
    """
    if out.exists() and not out.is_dir():
        raise Refusal(f"{out} is a file: choose a folder")
    places = [(place.root, place.explicit) for place in map(locate, corpora)]
    for root, is_list in [*places, *((folder, False) for folder in embeddings)]:
        if not isinstance(root, Path):
            continue
        mine, theirs = out.resolve(), root.resolve()
        # Beside files that were listed one by one there is room.
        if theirs.is_relative_to(mine) or (mine.is_relative_to(theirs) and not is_list):
            raise Refusal(f"{out} and {root}, which is only read, lie one in the other: choose another --out")


def dedup_within(side: Side, out: Path, plan: DedupPlan, *, threads: int) -> dict[str, Any]:
    """Find the near-duplicates within a corpus; a killed run goes on, a finished one is left as it is.

    Args:
        side: The corpus and its embeddings.
        out: Folder for ``duplicates.parquet``, the split ``kept``, ``summary.json`` and ``page.html``.
        plan: Threshold and limits.
        threads: Threads.

    Returns:
        The summary.

    Raises:
        Refusal: If the folder is of another run, or as ``find_duplicates``.
    """
    origin = _origin(side)
    if stages.begin(out, {"plan": asdict(plan), **origin}):
        with stages.make(out):
            found = find_duplicates(side.stored, plan, out / _PARTS, threads=threads)
            summary = {**_about(side, plan.threshold), **_count_within(found)}
            split = _make_split("deduplicated", found.kept, origin, summary)
            files.write_table(out / DUPLICATES, found.to_table())
            write_manifest(out / KEPT, split)
            looked = Lookup(side=side, uids=found.uids, rows=found.rows)
            matches = found.to_table().rename_columns({"uid": "dropped", "witness": "stays"})
            lead = (
                f"{side.name}: of {summary['rows']:,} rows {summary['dropped']:,} are near-duplicates of a row that "
                f"stays, with a cosine similarity above {plan.threshold:g}."
            )
            write_page(out / PAGE, matches, looked, looked, _card(summary), lead=lead)
            files.write_json(out / SUMMARY, summary)
    # Now that the result is safe; of millions of rows this is as large as their embeddings.
    shutil.rmtree(out / _PARTS, ignore_errors=True)
    return dict(files.read_json(out / SUMMARY))


def dedup_across(side: Side, tests: Side, out: Path, threshold: float, *, threads: int) -> dict[str, Any]:
    """Find the pictures of a test set in a corpus; a finished run is left as it is.

    Args:
        side: The corpus and its embeddings.
        tests: The test set and its embeddings.
        out: Folder for ``duplicates.parquet`` (corpus rows, each with its nearest test picture), ``tests.parquet``
            (test pictures that were found, each with its nearest corpus row), the split ``kept``,
            ``summary.json`` and ``page.html``.
        threshold: Cosine similarity above which, strictly, a row is a near-duplicate of a test picture.
        threads: Threads.

    Returns:
        The summary.

    Raises:
        Refusal: If the folder is of another run, different models made the embeddings, or no row is left.
    """
    require_one_encoder(side.stored, tests.stored, (side.name, tests.name))
    origin = {**_origin(side), "against": _origin(tests)}
    if stages.begin(out, {"threshold": threshold, **origin}):
        with stages.make(out):
            uids, rows, repeated = sort_by_uid(side.stored)
            test_uids, test_rows, _ = sort_by_uid(tests.stored)
            total = side.stored.shape[0] * tests.stored.shape[0]
            with track("compare", total, unit="pairs") as progress:
                found = cross_duplicates(
                    side.stored, tests.stored, threshold, threads=threads, told=progress.advance
                )
            hit = pc.is_in(uids, value_set=found.rows["uid"].cast(uids.type))
            summary = {
                **_about(side, threshold),
                "against": {"name": tests.name, "rows": len(test_uids)},
                "repeated": repeated,
                "kept": len(uids) - pc.sum(hit).as_py(),
                "dropped": pc.sum(hit).as_py(),
                "tests_found": len(found.tests),
            }
            # Before the first file: a split that keeps no row is refused.
            split = _make_split("without-test-pictures", uids.filter(pc.invert(hit)), origin, summary)
            files.write_table(out / DUPLICATES, found.rows)
            files.write_table(out / TESTS, found.tests)
            write_manifest(out / KEPT, split)
            lead = (
                f"{summary['tests_found']:,} of {len(test_uids):,} pictures of {tests.name} have a near-duplicate in "
                f"{side.name}, with a cosine similarity above {threshold:g}."
            )
            write_page(
                out / PAGE,
                found.rows.rename_columns({"uid": "dropped", "test": "stays"}),
                Lookup(side=tests, uids=test_uids, rows=test_rows),
                Lookup(side=side, uids=uids, rows=rows),
                _card(summary),
                lead=lead,
            )
            files.write_json(out / SUMMARY, summary)
    return dict(files.read_json(out / SUMMARY))


def _origin(side: Side) -> dict[str, str]:
    corpus = {} if side.corpus is None else {"corpus": fingerprint(side.corpus)}
    return {**corpus, "embeddings": side.stored.digest, "encoder": side.stored.encoder}


def _about(side: Side, threshold: float) -> dict[str, Any]:
    return {
        "corpus": side.name,
        "rows": side.stored.shape[0],
        "dimension": side.stored.shape[1],
        "encoder": side.stored.encoder,
        "threshold": threshold,
    }


def _count_within(found: Duplicates) -> dict[str, Any]:
    _, sizes = found.groups
    return {
        "repeated": found.repeated,
        "kept": len(found.uids) - len(found.drops),
        "dropped": len(found.drops),
        "groups": len(sizes),
        "largest_group": int(sizes.max(initial=0)),
        "way": "every pair" if found.recall is None else "pairs within clusters",
        "recall": None if found.recall is None else asdict(found.recall),
    }


def _make_split(name: str, kept: pa.Array, origin: dict[str, Any], summary: dict[str, Any]) -> Manifest:
    parameters = {"threshold": summary["threshold"], "way": summary.get("way", "every pair")}
    return Manifest(
        name=name,
        recipe="dedup",
        uids=tuple(kept.to_pylist()),
        parameters=parameters,
        provenance=origin,
        card=_card(summary),
    )


def _card(summary: dict[str, Any]) -> tuple[CardRow, ...]:
    rows: list[CardRow] = [
        ("rows", summary["rows"]),
        ("rows of a uid that came before", summary["repeated"]),
        ("dropped", summary["dropped"]),
        ("kept", summary["kept"]),
        ("cosine similarity above", summary["threshold"]),
        ("model", summary["encoder"][:16] or "unknown"),
    ]
    if "against" in summary:
        rows += [
            ("test pictures", summary["against"]["rows"]),
            ("of them with a near-duplicate", summary["tests_found"]),
        ]
    else:
        rows += [
            ("groups", summary["groups"]),
            ("rows of the largest group", summary["largest_group"]),
            ("compared", summary["way"]),
        ]
    recall = summary.get("recall")
    if recall:
        rows += [
            ("clusters", recall["clusters"]),
            (
                "pairs that clusters keep together (95 %, over the rows drawn)",
                _share(recall["together"], recall["pairs"], recall["interval"]),
            ),
            (
                "kept although a kept row is that near",
                _share(recall["missed"], recall["sampled"], recall["missed_interval"]),
            ),
        ]
    return tuple(rows)


def _share(part: int, total: int, interval: tuple[float, float]) -> str:
    low, high = interval
    share = f"{part / total:.3%}" if total else "none found"
    return f"{share} [{100 * low:.3f}, {100 * high:.3f}], n = {total:,}"
