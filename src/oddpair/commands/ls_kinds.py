"""The kinds of things that oddpair makes or takes: the files that mark each, and what it says of itself in a line."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oddpair import files
from oddpair.errors import Refusal

Described = tuple[str, dict[str, Any]]
_SHARD = re.compile(r"\d+\.(tar|parquet)")
_STATS = re.compile(r"\d+_stats\.json")
_PICTURE = re.compile(r".+\.(jpe?g|png|webp)", re.IGNORECASE)
_MOST_STATS = 20_000
_SHORT = 12
_LONGEST = 110


@dataclass(frozen=True, slots=True)
class Marks:
    """Names of the files and folders in a folder."""

    files: frozenset[str]
    folders: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How something is known, and told.

    Attributes:
        marks: Says by the names in a folder whether it is one.
        describe: Reads its main figures and its card; raises where it is broken.
        holds_others: Whether further things may lie in it.
    """

    marks: Callable[[Marks], bool]
    describe: Callable[[Path, Marks], Described]
    holds_others: bool = False


def _has(*names: str) -> Callable[[Marks], bool]:
    return lambda marks: marks.files >= set(names)


def _read(path: Path) -> dict[str, Any]:
    found = files.read_json(path)
    if not isinstance(found, dict):
        raise Refusal(f"{path} holds no object: make it again")
    return found


def _describe_audit(folder: Path, marks: Marks) -> Described:
    card = _read(folder / "audit.json")
    answers = ", ".join(f"{one['aspect']} {one['answer']}" for one in card["judgements"])
    return f"{card['test']} against {card['corpus']}: {answers}", card


def _describe_split(folder: Path, marks: Marks) -> Described:
    card = _read(folder / "manifest.json")
    claims = card["statement"]
    claim = f": {claims[0]['text']}" if claims else ""
    if len(claim) > _LONGEST:
        claim = f"{claim[:_LONGEST]}…"
    return f"{card['name']} by {card['recipe']}, {card['rows']:,} rows of {card['of']}{claim}", card


def _describe_embeddings(folder: Path, marks: Marks) -> Described:
    card = _read(folder / "manifest.json")
    dimension = card["dimensions"].get("img_emb") or card["dimensions"].get("text_emb")
    model = card.get("encoder") or "an unknown model"
    encoder = str(card.get("encoder_sha256", ""))[:_SHORT] or "unknown"
    return f"{sum(card['rows']):,} rows of dimension {dimension} by {model} ({encoder})", card


def _describe_counts(folder: Path, marks: Marks) -> Described:
    card = _read(folder / "meta.json")
    postings = ", with posting lists" if "postings" in marks.folders else ""
    tags = ", tags too" if card["tags"] else ""
    vocabulary = card["vocabulary_sha256"][:_SHORT]
    return (
        f"{card['concepts']:,} concepts and {card['pairs']:,} pairs in {card['n']:,} captions{tags}{postings} "
        f"(vocabulary {vocabulary})"
    ), card


def _describe_tags(folder: Path, marks: Marks) -> Described:
    card = _read(folder / "manifest.json")
    return (
        f"{sum(card['tags']):,} tags of {sum(card['rows']):,} pictures, by {card['encoder']['sha256'][:_SHORT]}",
        card,
    )


def _describe_search(folder: Path, marks: Marks) -> Described:
    card = _read(folder / "summary.json")
    if "duplicates.parquet" in marks.files:
        return f"near-duplicates of {card['corpus']}: {card['dropped']:,} of {card['rows']:,} rows", card
    hits = "" if card["hits"] is None else f", {card['hits']:,} rows above a threshold"
    return f"{card['rows']:,} rows against {card['tests']:,} test images, {card['k']} nearest{hits}", card


def _describe_scores(folder: Path, marks: Marks) -> Described:
    results = [_read(folder / name) for name in sorted(marks.files) if name.endswith(".result.json")]
    told = []
    for one in results:
        metric = one["metrics"][0]
        told.append(f"{one['task']} {100 * metric['estimate']['value']:.1f} %")
    return f"{results[0]['model']}: {', '.join(told)}", {"results": results}


def _describe_model(folder: Path, marks: Marks) -> Described:
    config = _read(folder / "open_clip_config.json")
    told = []
    if "training.json" in marks.files:
        training = _read(folder / "training.json")
        config["training"] = training
        told = [f"trained on {training['rows']:,} rows"] if "rows" in training else []
    size = max(
        (folder / name).stat().st_size
        for name in marks.files
        if name.endswith((".safetensors", ".bin", ".pt"))
    )
    return ", ".join([f"weights of {size / 1e6:,.0f} MB", *told]), config


def _describe_submission(folder: Path, marks: Marks) -> Described:
    card = _read(folder / "submission.json")
    return f"{card['model']} by {card['handle']}, {len(card['tasks']):,} tasks", card


def _describe_board(folder: Path, marks: Marks) -> Described:
    card = _read(folder / "leaderboard.json")
    return f"{len(card['entries']):,} entries", card


def _describe_prediction(folder: Path, marks: Marks) -> Described:
    card = _read(folder / "scores.json")
    return f"accuracies of {len(card['models']):,} models foretold, from {Path(card['table']).name}", card


def _describe_labels(folder: Path, marks: Marks) -> Described:
    import pyarrow.parquet as pq

    rows = pq.read_metadata(folder / "rows.parquet").num_rows
    return f"{rows:,} rows drawn to be labelled", {"rows": rows}


def _describe_index(folder: Path, marks: Marks) -> Described:
    card = _read(folder / "index.json")
    rows = card.get("rows")
    told = f"{rows:,} rows" if isinstance(rows, int) else "rows"
    return f"faiss index of {told}, {(folder / 'rows.faiss').stat().st_size / 1e6:,.0f} MB", card


def _describe_shards(folder: Path, marks: Marks) -> Described:
    stats = sorted(name for name in marks.files if _STATS.fullmatch(name))
    shards = {name.partition(".")[0] for name in marks.files if _SHARD.fullmatch(name)}
    size = sum((folder / name).stat().st_size for name in marks.files)
    card: dict[str, Any] = {"shards": len(shards), "bytes": size}
    rows = ""
    if stats and len(stats) <= _MOST_STATS:
        card["rows"] = sum(int(_read(folder / name)["successes"]) for name in stats)
        rows = f"{card['rows']:,} rows in "
    return f"{rows}{len(shards):,} shards, {size / 1e6:,.0f} MB", card


def _describe_pictures(folder: Path, marks: Marks) -> Described:
    pictures = sum(bool(_PICTURE.fullmatch(name)) for name in marks.files)
    return f"{pictures:,} pictures", {"pictures": pictures}


# The first that fits: what has more marks stands before what has some of them.
KINDS: Mapping[str, Kind] = {
    "audit": Kind(marks=_has("audit.json"), describe=_describe_audit),
    "submission": Kind(marks=_has("submission.json"), describe=_describe_submission),
    "leaderboard": Kind(marks=_has("leaderboard.json"), describe=_describe_board),
    "split": Kind(marks=_has("manifest.json", "uids.parquet"), describe=_describe_split),
    "embeddings": Kind(
        marks=lambda marks: "manifest.json" in marks.files and bool(marks.folders & {"img_emb", "text_emb"}),
        describe=_describe_embeddings,
    ),
    "counts": Kind(marks=_has("meta.json", "counts.parquet"), describe=_describe_counts),
    "tags": Kind(
        marks=lambda marks: "manifest.json" in marks.files and "tags" in marks.folders,
        describe=_describe_tags,
    ),
    "duplicates": Kind(
        marks=_has("summary.json", "duplicates.parquet"), describe=_describe_search, holds_others=True
    ),
    "search": Kind(marks=_has("summary.json", "tests.parquet"), describe=_describe_search),
    "scores": Kind(
        marks=lambda marks: any(name.endswith(".result.json") for name in marks.files),
        describe=_describe_scores,
    ),
    "prediction": Kind(marks=_has("scores.json"), describe=_describe_prediction),
    "model": Kind(
        marks=lambda marks: (
            "open_clip_config.json" in marks.files
            and any(name.endswith((".safetensors", ".bin", ".pt")) for name in marks.files)
        ),
        describe=_describe_model,
    ),
    "index": Kind(marks=_has("rows.faiss", "index.json"), describe=_describe_index),
    "labels": Kind(marks=_has("rows.parquet"), describe=_describe_labels),
    "corpus": Kind(
        marks=lambda marks: any(_SHARD.fullmatch(name) for name in marks.files), describe=_describe_shards
    ),
    "pictures": Kind(
        marks=lambda marks: (
            any(_PICTURE.fullmatch(name) for name in marks.files)
            and not any(name.endswith(".html") for name in marks.files)
        ),
        describe=_describe_pictures,
        holds_others=True,
    ),
}
