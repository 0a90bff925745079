"""Corpora whose counts are known, so that what a model declares to be trained on foretells what it should score."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from oddpair import files
from oddpair.errors import Refusal
from oddpair.eval.prediction.corpus_counts import CorpusCounts, load_counts
from oddpair.retrieval.concepts import Concept, Vocabulary
from oddpair.retrieval.counting.counts import Counts, most_frequent
from oddpair.retrieval.counting.pmi import IntArray, pmi

FORMAT = 1
CORPUS_FILE, CONCEPTS_FILE, PAIRS_FILE = "corpus.json", "concepts.parquet", "pairs.parquet"
_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "format": int,
    "name": str,
    "manifest": str,
    "captions": int,
    "vocabulary": str,
    "pair_concepts": (int, type(None)),
    "nested": list,
    "files": dict,
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", re.ASCII)
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_CONCEPT_SCHEMA = pa.schema([("concept", pa.string()), ("count", pa.int64())])
_PAIR_SCHEMA = pa.schema(
    [("first", pa.string()), ("second", pa.string()), ("count", pa.int64()), ("pmi", pa.float64())]
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KnownCorpus:
    """A corpus and how often its captions name each concept and each pair of concepts.

    Attributes:
        name: What it is called.
        manifest: sha256 of its sorted uids, by which a submission declares it.
        counts: Counts of captions, looked up by what tasks call their classes.
    """

    name: str
    manifest: str
    counts: CorpusCounts

    def count_pairs(self, first: IntArray, second: IntArray) -> IntArray:
        """Return in how many captions pairs of concepts occur, -1 where that was not counted; shape ``(n,)``.

        Args:
            first: Ids of concepts, -1 for none, shape ``(n,)``.
            second: Likewise.
        """
        found = np.full(len(first), -1, dtype=np.int64)
        able = np.flatnonzero((first >= 0) & (second >= 0) & (first != second))
        able = able[self.counts.counts.counted(first[able], second[able])]
        found[able] = self.counts.counts.look_up(first[able], second[able]).text
        return found


def write_corpus(folder: Path, name: str, manifest: str, counts: Path) -> KnownCorpus:
    """Write the counts of captions of a corpus as ``folder/name``, small enough to be committed.

    Pairs that no caption holds are not listed unless they were asked for. What was counted in pictures stays behind.

    Args:
        folder: Folder of all corpora, such as ``benchmarks/corpora``.
        name: Name of the corpus: 1 to 80 letters, digits, ``.``, ``_`` and ``-``.
        manifest: sha256 of its sorted uids, as ``uids_sha256`` in the ``manifest.json`` of a split.
        counts: What ``oddpair count`` left of that corpus.

    Returns:
        The corpus as `read_corpora` reads it.

    Raises:
        Refusal: If the name or the hash is none, or the counts cannot be read.
    """
    if not _NAME.fullmatch(name):
        raise Refusal(
            f"a corpus cannot be called {name[:80]!a}: take 1 to 80 letters, digits, '.', '_' and '-'"
        )
    if not _HASH.fullmatch(manifest):
        raise Refusal(
            f"corpus {name}: {manifest[:80]!a} is no sha256: give uids_sha256 of the manifest.json of its split"
        )
    counted = load_counts(counts).counts
    place = folder / name
    files.write_table(place / CONCEPTS_FILE, _concepts(counted))
    files.write_table(place / PAIRS_FILE, _pairs(counted))
    # Last, and with the hashes of the others: a run that is killed leaves a folder that is refused, not a mixture.
    files.write_json(
        place / CORPUS_FILE,
        {
            "format": FORMAT,
            "name": name,
            "manifest": manifest,
            "captions": counted.n_captions,
            "vocabulary": counted.vocabulary_sha256,
            "pair_concepts": counted.pair_concepts,
            "nested": np.stack(np.divmod(counted.nested, len(counted.names)), axis=1).tolist(),
            "files": {file: files.sha256(place / file) for file in (CONCEPTS_FILE, PAIRS_FILE)},
        },
    )
    return _read_corpus(place)


def read_corpora(folder: Path) -> Mapping[str, KnownCorpus]:
    """Read every corpus below a folder.

    Args:
        folder: Holds a folder for each corpus; files beside these are passed over.

    Returns:
        Corpora by the sha256 of their uids.

    Raises:
        Refusal: If there is no such folder, one in it is no corpus, or two are of the same uids.
    """
    if not folder.is_dir():
        raise Refusal(
            f"{folder} is no folder: give one that holds a folder for each corpus whose counts are known"
        )
    found: dict[str, KnownCorpus] = {}
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        corpus = _read_corpus(place)
        if corpus.manifest in found:
            raise Refusal(
                f"{place} holds the counts of the same uids as {folder / found[corpus.manifest].name}: delete one"
            )
        found[corpus.manifest] = corpus
    return found


def _concepts(counts: Counts) -> pa.Table:
    return pa.table([pa.array(counts.names, pa.string()), pa.array(counts.text)], schema=_CONCEPT_SCHEMA)


def _pairs(counts: Counts) -> pa.Table:
    first, second = counts.text[counts.a], counts.text[counts.b]
    shown = counts.pair_text > 0
    values = np.zeros(len(shown))
    if shown.any():
        values[shown] = pmi(counts.pair_text[shown], first[shown], second[shown], counts.n_captions)
    # A pair that only pictures hold stays: beyond the concepts that were all paired it tells a count of 0.
    names = np.array(counts.names, dtype=object)
    return pa.table(
        [
            pa.array(names[counts.a], pa.string()),
            pa.array(names[counts.b], pa.string()),
            pa.array(counts.pair_text),
            pa.array(values, mask=~shown),
        ],
        schema=_PAIR_SCHEMA,
    )


def _read_corpus(place: Path) -> KnownCorpus:
    path = place / CORPUS_FILE
    told = files.read_json(path)
    fault = _find_fault(told)
    if not fault and told["name"] != place.name:
        fault = f"its name is {told['name']!a}"
    if fault:
        raise Refusal(
            f"{path} is of no corpus of format {FORMAT} ({fault}): write it again from oddpair count"
        )
    for file in (CONCEPTS_FILE, PAIRS_FILE):
        if files.sha256(place / file) != told["files"][file]:
            raise Refusal(
                f"{place / file} is not what {path} names: write the corpus again from oddpair count"
            )
    try:
        counts = _join(
            told,
            files.read_table(place / CONCEPTS_FILE).cast(_CONCEPT_SCHEMA),
            files.read_table(place / PAIRS_FILE).cast(_PAIR_SCHEMA),
        )
    except (ValueError, KeyError) as error:
        raise Refusal(
            f"{place} contradicts itself ({error}): write the corpus again from oddpair count"
        ) from error
    concepts = tuple(Concept(name=name, forms=(name,)) for name in counts.names)
    return KnownCorpus(
        name=told["name"],
        manifest=told["manifest"],
        counts=CorpusCounts(counts=counts, vocabulary=Vocabulary(concepts=concepts)),
    )


def _join(told: Mapping[str, Any], concepts: pa.Table, pairs: pa.Table) -> Counts:
    names = tuple(concepts["concept"].to_pylist())
    place = {name: number for number, name in enumerate(names)}
    if len(place) < len(names):
        raise ValueError("a concept comes twice")
    a, b = (
        np.array([place[name] for name in pairs[side].to_pylist()], dtype=np.int64)
        for side in ("first", "second")
    )
    nested = np.array(told["nested"], dtype=np.int64).reshape(-1, 2)
    text = concepts["count"].to_numpy()
    return Counts(
        names=names,
        vocabulary_sha256=told["vocabulary"],
        n_captions=told["captions"],
        text=text,
        image=None,
        joint=None,
        a=a,
        b=b,
        pair_text=pairs["count"].to_numpy(),
        pair_image=None,
        pair_joint=None,
        members=most_frequent(text, told["pair_concepts"]),
        nested=nested[:, 0] * len(names) + nested[:, 1],
    )


def _find_fault(told: Any) -> str:
    if not isinstance(told, dict) or sorted(told) != sorted(_KINDS):
        return f"it needs exactly the keys {', '.join(_KINDS)}"
    for name, kind in _KINDS.items():
        if not isinstance(told[name], kind) or isinstance(told[name], bool):
            return f"{name} has another type"
    if told["format"] != FORMAT:
        return f"format is {told['format']}"
    if not _HASH.fullmatch(told["manifest"]):
        return "manifest is no sha256"
    if sorted(told["files"]) != [CONCEPTS_FILE, PAIRS_FILE]:
        return f"files are not {CONCEPTS_FILE} and {PAIRS_FILE}"
    return ""
