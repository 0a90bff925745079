"""What is told of labels beside them: which corpus was labelled, and which pictures nobody could settle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.corpus import Corpus

PLAN_FILE = "plan.json"

_KEY = b"oddpair.labels"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where labels are from.

    Attributes:
        corpus: The corpus that was labelled, as ``describe_corpus`` says it; ``None`` if it is not known.
        unlabelled: Pictures that were looked at and have no label, with how they were drawn; ``""`` where that is not
            known.
    """

    corpus: str | None = None
    unlabelled: Mapping[str, str] = field(default_factory=dict)


def describe_corpus(corpus: Corpus) -> str:
    """Tell a corpus from another, as far as numbers do.

    Reading all of a large corpus would take longer than labelling some of it.
    """
    subset = f", subset {corpus.subset.sha256[:12]}" if corpus.subset else ""
    return f"{len(corpus):,} rows in {len(corpus.shards):,} shards ({corpus.layout}){subset}"


def read_labelled_corpus(folder: Path) -> str | None:
    """Return which corpus a folder of ``oddpair label`` has labels of; ``None`` if it holds no plan.

    Raises:
        Refusal: If the plan is damaged.
    """
    path = folder / PLAN_FILE
    if not path.is_file():
        return None
    value = files.read_json(path)
    if not isinstance(value, dict) or not isinstance(value.get("corpus"), str):
        raise Refusal(f"{path} names no corpus: give a folder that oddpair label wrote")
    found: str = value["corpus"]
    return found


def write_origin(origin: Origin) -> dict[bytes, bytes]:
    """Return the schema metadata of a table that says where its labels are from."""
    value = {"corpus": origin.corpus, "unlabelled": dict(sorted(origin.unlabelled.items()))}
    return {_KEY: json.dumps(value, sort_keys=True).encode("ascii")}


def read_origin(path: Path, metadata: Mapping[bytes, bytes] | None) -> Origin:
    """Read what ``write_origin`` wrote; a table of other makers says nothing.

    Raises:
        Refusal: If it was changed to something else.
    """
    data = (metadata or {}).get(_KEY)
    if data is None:
        return Origin()
    refusal = Refusal(
        f"{path} has damaged metadata on where its labels are from: write it anew with --report"
    )
    try:
        value = files.parse_json(data)
    except ValueError as error:
        raise refusal from error
    if not isinstance(value, dict) or set(value) != {"corpus", "unlabelled"}:
        raise refusal
    corpus, unlabelled = value["corpus"], value["unlabelled"]
    if not isinstance(corpus, str | None) or not isinstance(unlabelled, dict):
        raise refusal
    if not all(isinstance(way, str) for way in unlabelled.values()):
        raise refusal
    return Origin(corpus=corpus, unlabelled=unlabelled)
