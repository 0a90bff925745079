"""What a recipe is given: sets of pictures and captions, with their embeddings and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.corpus import Corpus, fingerprint
from oddpair.retrieval.stored import StoredRows
from oddpair.splits.labelling.labels import identify_labels
from oddpair.splits.manifest import CORPUS, Manifest

PATHS = ("labels", "tags", "counts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """A corpus, a test set or a reference set.

    Attributes:
        name: What it is called.
        corpus: Its rows; ``None`` if only its embeddings were given.
        stored: Its embeddings, none of them in memory; ``None`` where the recipe does not look at pictures.
    """

    name: str
    corpus: Corpus | None = None
    stored: StoredRows | None = None

    @property
    def folder(self) -> Path:
        """Folder of the embeddings, which may hold textures too."""
        return self.need_stored().folder

    def need_corpus(self) -> Corpus:
        """Return the rows, or refuse if only embeddings were given."""
        if self.corpus is None:
            raise Refusal(f"{self.name} is a folder of embeddings, and its rows are needed: give the corpus")
        return self.corpus

    def need_stored(self) -> StoredRows:
        """Return the embeddings; a recipe that says that it needs them always has them."""
        if self.stored is None:
            raise ValueError(f"{self.name} was opened without embeddings")
        return self.stored

    def identify(self) -> dict[str, str]:
        """Return hashes of everything that results made from it depend on."""
        found = {}
        if self.corpus is not None:
            found["corpus"] = fingerprint(self.corpus)
        if self.stored is not None:
            found |= {"embeddings": self.stored.digest, "encoder": self.stored.encoder}
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Everything that a recipe may be given; what it did not ask for is empty.

    Attributes:
        corpus: The rows to choose from; ``None`` for recipes that only mix given splits.
        tests: Test sets by name.
        reference: A set that the corpus may be as near to the test sets as (ImageNet's training set).
        pools: Splits by name, or corpora as the split of all their rows: what mixtures are drawn from.
        labels: Table of hand labels, ``uid`` and ``label``.
        tags: Image tags of the corpus, as ``oddpair tag`` or another tagger wrote them.
        counts: Folder that ``oddpair count --postings`` wrote for the corpus.
        vocabulary: Concepts.
        shown: Concepts for the page of the splits, which change no split.
        workers: Processes; results do not depend on them.
    """

    corpus: Pictures | None = None
    tests: Mapping[str, Pictures] = field(default_factory=dict)
    reference: Pictures | None = None
    pools: Mapping[str, Manifest] = field(default_factory=dict)
    labels: Path | None = None
    tags: Path | None = None
    counts: Path | None = None
    vocabulary: Vocabulary | None = None
    shown: Vocabulary | None = None
    workers: int = 1
    # Of files that are read whole to be hashed, and asked for more than once.
    _identity: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def need_corpus(self) -> Pictures:
        """Return the corpus; a recipe that says that it needs one always has one."""
        if self.corpus is None:
            raise ValueError("opened without a corpus")
        return self.corpus

    def identify(self) -> dict[str, Any]:
        """Return hashes of everything given, for manifests: the same on every machine, with no path in them."""
        if self._identity:
            return dict(self._identity)
        found: dict[str, Any] = {}
        if self.corpus is not None:
            found |= self.corpus.identify()
        if self.tests:
            found["tests"] = {name: self.tests[name].identify() for name in sorted(self.tests)}
        if self.reference is not None:
            found["reference"] = self.reference.identify()
        if self.pools:
            found["pools"] = {name: self.pools[name].uids_sha256 for name in sorted(self.pools)}
            corpora = {name: find_pool_corpus(self.pools[name]) for name in sorted(self.pools)}
            if any(corpora.values()):
                found["pool_corpora"] = {name: corpus for name, corpus in corpora.items() if corpus}
        for name in PATHS:
            path: Path | None = getattr(self, name)
            if path is not None:
                found[name] = _identify_path(path)
        if self.vocabulary is not None:
            found["vocabulary"] = self.vocabulary.sha256
        self._identity.update(found)
        return found


def find_pool_corpus(pool: Manifest) -> str:
    """Return the fingerprint of the set that a pool's uids are of, ``""`` where its manifest does not tell.

    >>> find_pool_corpus(Manifest(name="a", recipe="whole", uids=["x"], provenance={"corpus": "1234"}))
    '1234'
    """
    told = pool.provenance
    corpora = told.get("pool_corpora", {})
    if pool.of == CORPUS:
        # A mix is of the one corpus of its pools.
        return str(told.get("corpus") or next(iter(corpora.values()), ""))
    return str(told.get("tests", {}).get(pool.of, {}).get("corpus") or corpora.get(pool.of, ""))


def _identify_path(path: Path) -> str:
    if (path / "rows.parquet").is_file():
        return identify_labels(path)
    if path.is_dir():
        done = path / "done.json"
        return files.sha256(done if done.is_file() else path / "manifest.json")
    return files.sha256(path)
