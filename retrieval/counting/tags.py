"""Tags that a tagger gave to images, in the shape of the mentions that captions make."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa

from oddpair import stages
from oddpair.errors import Refusal
from oddpair.files import digest, read_json, read_table, sha256
from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.counting.tag_table import TagRows, TagTable, build_table
from oddpair.retrieval.counting.tags_file import TAGGER, ZERO_SHOT, ConceptNames, read_tagger, stream_tags
from oddpair.retrieval.mentions.incidence import Incidence, Mentions
from oddpair.retrieval.words import normalise

# What Udandarao et al. chose for the probabilities of RAM++.
THRESHOLD = 0.7

# Threads of one job are at the end of one shard and at the beginning of the next.
_SHARDS_HELD = 3


class Tags:
    """Image tags in files, to be asked for shard by shard; copies in other processes read the files themselves.

    Where it is known which file has the pictures of a shard (see ``open_tags``), the tags of a few shards are in memory;
    otherwise all are, once in each process: 4 bytes a tag, and 24 and its uid a picture. Threads may share it.

    Attributes:
        path: What was opened.
        threshold: A tag holds if its score is above this.
        tagger: What made the tags, as far as they say it; ``None`` for those of others.
        notes: What a user should know of these tags, a sentence each.
    """

    def __init__(
        self,
        path: Path,
        vocabulary: Vocabulary,
        *,
        threshold: float,
        parts: tuple[Path, ...],
        by_shard: Mapping[str, Path],
        tagger: dict[str, Any] | None,
        notes: tuple[str, ...],
        is_stage: bool,
    ) -> None:
        """Take what ``open_tags`` found."""
        self.path = path
        self.threshold = threshold
        self.tagger = tagger
        self.notes = notes
        self._vocabulary = vocabulary
        self._is_stage = is_stage
        self._parts = parts
        self._by_shard = dict(by_shard)
        # A file that was rewritten in this process's life is another one.
        stats = [(str(part.resolve()), part.stat().st_size, part.stat().st_mtime_ns) for part in parts]
        self._key = digest([vocabulary.sha256, repr(threshold), stats, *self._by_shard])

    def of(self, shard: str, uids: pa.Array | pa.ChunkedArray) -> Incidence:
        """Return the concepts with which pictures of a shard are tagged.

        Args:
            shard: Name of the shard, by which its tags are found where they are in a file of their own.
            uids: Text of ``n`` uids, in any order and repeated or not: each has its tags every time.

        Returns:
            ``n`` rows, in the order of the uids; one without tags is empty.

        Raises:
            Refusal: If a file is damaged or a score is missing.
        """
        return self._table(shard).find(uids)

    def tagged(self, shard: str) -> int:
        """Return how many pictures have tags among those of a shard or, where that has no file, among all.

        What is beyond the pictures that were found with tags belongs to uids that were not asked for.
        """
        return len(self._table(shard))

    def has_file(self, shard: str) -> bool:
        """Say whether the tags of a shard are in a file of their own."""
        return shard in self._by_shard

    def identity(self) -> dict[str, str]:
        """Name the files, each with its SHA-256, and the threshold: what counts of these tags are made from."""
        marks = {"threshold": repr(self.threshold)}
        if self._is_stage:
            return {**marks, "tags": stages.digest(self.path)}
        if self._parts == (self.path,):
            return {**marks, "tags": sha256(self.path)}
        return {**marks, **{part.relative_to(self.path).as_posix(): sha256(part) for part in self._parts}}

    def refuse_none(self, rows: int) -> None:
        """Refuse tags that are of other concepts or other pictures; for who found not one tag in a whole corpus.

        Args:
            rows: Rows of the corpus.

        Raises:
            Refusal: If there is no tag of the vocabulary, or one above the threshold that no row was found for.
        """
        names = ConceptNames(self._vocabulary)
        known = sum(len(part.concepts) for part in self._stream(self._parts, names, -math.inf))
        if not known:
            raise Refusal(
                f"{self.path} tags none of the {len(self._vocabulary)} concepts: use the vocabulary of the tagger"
            )
        above = sum(len(part.concepts) for part in self._stream(self._parts, names, self.threshold))
        if above and rows:
            raise Refusal(
                f"{self.path} tags none of the {rows:,} uids of the corpus: use the tags of this corpus, by its uids"
            )

    def __reduce__(self) -> tuple[Any, ...]:
        found = {
            "threshold": self.threshold,
            "parts": self._parts,
            "by_shard": self._by_shard,
            "tagger": self.tagger,
            "notes": self.notes,
            "is_stage": self._is_stage,
        }
        return _open_again, (self.path, self._vocabulary, found)

    def _table(self, shard: str) -> TagTable:
        own = self._by_shard.get(shard)
        return _TABLES.get(self._key, own, self)

    def load(self, part: Path | None) -> TagTable:
        """Read the tags of one file, or of all."""
        parts = self._parts if part is None else (part,)
        rows = self._stream(parts, ConceptNames(self._vocabulary), self.threshold)
        return build_table(rows, len(self._vocabulary))

    def _stream(self, parts: Sequence[Path], names: ConceptNames, threshold: float) -> Iterator[TagRows]:
        for part in parts:
            yield from stream_tags(part, names, threshold)


def open_tags(
    path: Path, vocabulary: Vocabulary, *, threshold: float | None = None, corpus: str | None = None
) -> Tags:
    """Open image tags: which images a tagger is surer of than a threshold to show each concept.

    A (uid, concept) that is tagged twice holds if one of its scores is above. The tags of a shard are looked for in all
    files, whatever these are named: nothing tells that they are cut where the corpus is. Only of what ``oddpair tag``
    wrote is one file read for a shard, by the names of shards in its manifest.

    Args:
        path: Parquet with ``uid`` and ``concept`` (text; any form of a concept's name) and ``score`` (numbers), other
            columns being left out; or a folder of such files; or what ``oddpair tag`` wrote, or files of it, which
            say themselves who tagged.
        vocabulary: The concepts; tags of others are passed over. A word of several concepts tags each of them.
        threshold: A tag holds if its score is above (not at) this; ``None`` for 0.7, the choice for RAM++, or for all
            tags that ``oddpair tag`` wrote, which are cosines.
        corpus: ``fingerprint`` of the corpus; if ``oddpair tag`` tagged another, all files are looked into. ``None`` takes
            it for the same.

    Returns:
        The tags, of which nothing but the footers of files has been read.

    Raises:
        Refusal: If there is no such file, one is damaged, the threshold is NaN, ``oddpair tag`` did not finish, or
            some files are of it and others of somebody else.

    References:
        Zhang et al., Recognize Anything, arXiv:2306.03514; the threshold is that of Udandarao et al.,
        arXiv:2404.04125.
    """
    if threshold is not None and math.isnan(threshold):
        raise Refusal("the threshold of tags is NaN: give a number")
    manifest = _read_manifest(path)
    by_shard: dict[str, Path] = {}
    if manifest is None:
        parts = _list_parts(path)
        tagger = read_tagger(path, parts)
    else:
        parts = tuple(path / name for name in manifest["files"])
        if corpus in (None, manifest["corpus"]):
            by_shard = dict(zip(manifest["shards"], parts, strict=True))
        tagger = {name: manifest[name] for name in TAGGER}
    usual = THRESHOLD if tagger is None else -math.inf
    notes = (
        [] if tagger is None else ["these tags are the opinion of a model, not the truth about the pictures"]
    )
    if manifest is not None:
        notes += _tell_missing(path, vocabulary, manifest)
    return Tags(
        path,
        vocabulary,
        threshold=usual if threshold is None else threshold,
        parts=parts,
        by_shard=by_shard,
        tagger=tagger,
        notes=tuple(notes),
        is_stage=manifest is not None,
    )


def load_tags(path: Path, vocabulary: Vocabulary, uids: Sequence[str], threshold: float) -> Mentions:
    """Load the tags of images in memory.

    Args:
        path: As for ``open_tags``.
        vocabulary: The concepts; tags of others are passed over.
        uids: Images, in the order of the rows that come back; tags of others are passed over.
        threshold: A tag holds if its score is above this.

    Returns:
        Shape ``(len(uids), n_concepts)``, boolean. An image without tags has an empty row.

    Raises:
        ValueError: If a uid is given twice.
        Refusal: If the file is damaged, a column has another type, a score is missing or no number, or no tag
            names a concept or an image.
    """
    if len(set(uids)) < len(uids):
        raise ValueError("uids hold one uid twice")
    tags = open_tags(path, vocabulary, threshold=threshold)
    found = tags.load(None).find(pa.array(uids, pa.string()))
    if not len(found.concepts):
        tags.refuse_none(len(uids))
    return found.to_csr()


class _Tables:
    """The tables that this process holds, of all files or of the latest shards; for all threads."""

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[str, Path | None], TagTable] = OrderedDict()
        self._lock = Lock()

    def get(self, key: str, part: Path | None, tags: Tags) -> TagTable:
        """Return the table of a part, or of all parts; ``key`` keeps apart other vocabularies and thresholds."""
        with self._lock:
            found = self._held.get((key, part))
            if found is None:
                found = self._held[key, part] = tags.load(part)
            self._held.move_to_end((key, part))
            while len(self._held) > _SHARDS_HELD:
                self._held.popitem(last=False)
            return found


_TABLES = _Tables()


def _open_again(path: Path, vocabulary: Vocabulary, found: dict[str, Any]) -> Tags:
    return Tags(path, vocabulary, **found)


def _list_parts(path: Path) -> tuple[Path, ...]:
    if path.is_file():
        return (path,)
    if not path.is_dir():
        raise Refusal(f"{path} does not exist: give a parquet file of tags, or a folder of such files")
    parts = sorted(
        part
        for part in path.rglob("*.parquet")
        if not any(name.startswith(".") for name in part.relative_to(path).parts)
    )
    if not parts:
        raise Refusal(
            f"{path} holds no .parquet file: give a parquet file of tags, or a folder of such files"
        )
    return tuple(parts)


def _read_manifest(path: Path) -> dict[str, Any] | None:
    """Return what ``oddpair tag`` says of the tags in a folder; ``None`` if they are somebody else's."""
    place = path / "manifest.json"
    if not place.is_file():
        if (path / "inputs.json").is_file():
            raise Refusal(f"{path} holds no finished tags: run oddpair tag again with the same --out")
        return None
    manifest = read_json(place)
    if not isinstance(manifest, dict) or manifest.get("kind") != ZERO_SHOT:
        raise Refusal(f"{place} is no manifest of oddpair tag: give a folder of tags")
    if stages.made_from(path) is None:
        raise Refusal(f"{path} holds no finished tags: run oddpair tag again with the same --out")
    # It says who tagged, and for whom that is no evidence.
    if read_json(path / "done.json")["manifest.json"]["sha256"] != sha256(place):
        raise Refusal(
            f"{place} has changed since the tags were made: delete {path} and run oddpair tag again"
        )
    return manifest


def _tell_missing(path: Path, vocabulary: Vocabulary, manifest: Mapping[str, Any]) -> list[str]:
    if manifest["vocabulary_sha256"] == vocabulary.sha256:
        return []
    names = read_table(path / "concepts.parquet", ["concept"])["concept"].to_pylist()
    asked = {normalise(name) for name in names}
    missing = [concept.name for concept in vocabulary.concepts if asked.isdisjoint(concept.forms)]
    if not missing:
        return []
    return [
        f"{len(missing):,} of {len(vocabulary):,} concepts, such as {missing[0]!r}, were not offered to the "
        "tagger, and no picture is tagged with them"
    ]
