"""Pictures of the concepts that a corpus shows least: a balanced test set without near-duplicates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa

from oddpair.errors import Refusal
from oddpair.retrieval.corpus import fingerprint
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.built import Built, Check, Composition, Listing, Panel
from oddpair.splits.claims import refute_others
from oddpair.splits.curation.long_tail import (
    Candidates,
    Tail,
    can_recount,
    counted_corpus,
    find_candidates,
    read_tail,
    recount,
)
from oddpair.splits.curation.perceptual import NEAR, SAME_BYTES, SAME_LOOK, Likeness, find_alike
from oddpair.splits.curation.tail_pictures import (
    BEYOND,
    NO_PICTURE,
    TOO_FEW,
    Selection,
    read_looks,
    select_pictures,
)
from oddpair.splits.inputs import Inputs
from oddpair.splits.manifest import CardRow, Claim, Manifest

KIND = "long-tail"
CONCEPTS_FILE, PICTURES_FILE, LEFT_OUT_FILE = "concepts.parquet", "pictures.parquet", "left-out.parquet"
DAMAGED = "damaged"
_DRAW_STREAM = 51
_NAMED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class LongTailRecipe:
    """A test set of a corpus's rarest concepts; ``long_tail.yaml``.

    Attributes:
        concepts: Concepts of the tail.
        count_in: By which counts they are the rarest: ``text``, ``image`` or ``joint``.
        concept_from: Where a picture's concept stands: ``column``, ``folder`` or ``caption``.
        concept_column: The column.
        hash_bits: Bits of 64 in which perceptual hashes of duplicates differ at most.
        similarity: Cosine similarity above which, strictly, two are duplicates, where embeddings are given.
        least: Pictures that a concept must have.
        most: Pictures that it may have.
        seed: Of the draw among more pictures.
    """

    NEEDS: ClassVar[tuple[str, ...]] = ("counts", "tests")
    TAKES: ClassVar[tuple[str, ...]] = ("corpus", "embeddings", "vocabulary")

    concepts: int = 290
    count_in: Literal["text", "image", "joint"] = "text"
    concept_from: Literal["column", "folder", "caption"] = "column"
    concept_column: str = "concepts"
    hash_bits: int = 10
    similarity: float = 0.95
    least: int = 1
    most: int = 450
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        for name in ("concepts", "least", "most"):
            if getattr(self, name) < 1:
                raise Refusal(f"{name} is {getattr(self, name)}: it must be 1 or more")
        if not 0 <= self.hash_bits < 64:
            raise Refusal(f"hash_bits is {self.hash_bits}: it must be from 0 to 63")
        if not -1 <= self.similarity < 1:
            raise Refusal(f"similarity is {self.similarity}: it must be a cosine from -1 to below 1")
        if self.seed < 0:
            raise Refusal(f"seed is {self.seed}: it must be 0 or more")

    @property
    def likeness(self) -> Likeness:
        """When two pictures are duplicates."""
        return Likeness(bits=self.hash_bits, similarity=self.similarity)


def build(recipe: LongTailRecipe, inputs: Inputs, work: Path) -> Built:
    """Find the tail, and make a test set of it from each set of pictures."""
    tail = _read_tail(recipe, inputs)
    if _counts_another(inputs):
        raise Refusal(f"{inputs.counts} counts another corpus: give its own, or count this one")
    found = {}
    for name in sorted(inputs.tests):
        pictures = inputs.tests[name]
        candidates = _find_candidates(recipe, inputs, tail, name)
        found[name] = select_pictures(
            pictures,
            candidates,
            recipe.likeness,
            work / f"looks-{name}",
            least=recipe.least,
            most=recipe.most,
            rng=np.random.default_rng((recipe.seed, _DRAW_STREAM)),
            threads=inputs.workers,
        )
    return Built(
        splits=tuple(_make(recipe, inputs, tail, name, chosen) for name, chosen in found.items()),
        tables=_tabulate(tail, found),
        panels={f"{KIND}-{name}": _show(tail, chosen) for name, chosen in found.items()},
    )


def _read_tail(recipe: LongTailRecipe, inputs: Inputs) -> Tail:
    if inputs.counts is None:
        raise ValueError("opened without counts")
    if recipe.least > recipe.most:
        raise Refusal(f"least is {recipe.least}: it must be at most {recipe.most}, as most is")
    return read_tail(inputs.counts, inputs.vocabulary, size=recipe.concepts, kind=recipe.count_in)


def _counts_another(inputs: Inputs) -> bool:
    """Say whether the corpus that was given is not the one that the counts were made of."""
    if inputs.corpus is None or inputs.counts is None:
        return False
    return counted_corpus(inputs.counts) != fingerprint(inputs.corpus.need_corpus())


def _find_candidates(recipe: LongTailRecipe, inputs: Inputs, tail: Tail, name: str) -> Candidates:
    corpus = inputs.tests[name].need_corpus()
    found = find_candidates(corpus, tail, concept_from=recipe.concept_from, column=recipe.concept_column)
    if not len(found.uids):
        raise Refusal(
            f"no row of {corpus.root} shows just one of the {len(tail):,} rarest concepts ({', '.join(tail.names[:3])}, "
            "...): check concept_from and concept_column, or give a set that has them"
        )
    return found


def _make(recipe: LongTailRecipe, inputs: Inputs, tail: Tail, name: str, found: Selection) -> Manifest:
    kept = found.count(len(tail), "")
    if not kept.any():
        raise Refusal(
            f"{name}: no concept of the tail has {recipe.least} different pictures: ask for fewer with least, or give "
            "a larger set"
        )
    embedded = inputs.tests[name].stored is not None
    rules = {
        NO_PICTURE: "have no picture that can be read",
        SAME_BYTES: "have the bytes of a kept picture of their concept",
        SAME_LOOK: f"differ in at most {recipe.hash_bits} bits of 64 from one",
        **({NEAR: f"have a cosine above {recipe.similarity:g} with one"} if embedded else {}),
        TOO_FEW: f"are of a concept with fewer than {recipe.least} pictures left",
        BEYOND: f"are beyond {recipe.most} of a concept",
    }
    return Manifest(
        name=f"{KIND}-{name}",
        recipe=KIND,
        uids=found.candidates.uids.filter(pa.array(found.kept)),
        of=name,
        provenance=inputs.identify(),
        rules=(
            *found.candidates.rules,
            *((text, int((found.reason == reason).sum())) for reason, text in rules.items()),
            ("rows kept", int(kept.sum())),
        ),
        statement=_claim(recipe, tail, kept, embedded=embedded),
        card=_make_card(recipe, tail, found),
    )


def _claim(recipe: LongTailRecipe, tail: Tail, kept: IntArray, *, embedded: bool) -> tuple[Claim, ...]:
    there = kept[kept > 0]
    ways = ["equal bytes", f"perceptual hashes that differ in at most {recipe.hash_bits} bits of 64"]
    if embedded:
        ways.append(f"a cosine above {recipe.similarity:g}")
    return (
        Claim(
            text=f"every picture shows one of the {len(tail):,} rarest of {tail.n_concepts:,} concepts: each is in at most "
            f"{int(tail.counts[-1]):,} of {tail.n_captions:,} {tail.where}, and no other concept in fewer",
            values={"concepts": dict(zip(tail.names, tail.counts.tolist(), strict=True))},
        ),
        Claim(
            text=f"{len(there):,} of these concepts have pictures, {_tell_range(there)} each",
            values={"pictures": {name: n for name, n in zip(tail.names, kept.tolist(), strict=True) if n}},
        ),
        Claim(
            text=f"no two pictures of one concept are duplicates: {', '.join(ways)}",
            values={"duplicates": 0, "embedded": embedded},
        ),
    )


def _most(values: IntArray) -> int:
    return int(values.max(initial=0))


def _tell_range(values: IntArray) -> str:
    """Say how many there are, from the fewest to the most."""
    low, high = int(values.min(initial=_most(values))), _most(values)
    return f"{high:,}" if low == high else f"from {low:,} to {high:,}"


def _make_card(recipe: LongTailRecipe, tail: Tail, found: Selection) -> tuple[CardRow, ...]:
    kept, candidates = found.count(len(tail), ""), found.count(len(tail))
    none = [name for name, n in zip(tail.names, candidates.tolist(), strict=True) if not n]
    few = [
        f"{name} {here - lost}"
        for name, n, here, lost in zip(
            tail.names, kept.tolist(), candidates.tolist(), _count_unfit(tail, found).tolist(), strict=True
        )
        if here and not n
    ]
    middle, high = (f"{float(np.percentile(tail.counts, share)):g}" for share in (50, 90))
    return (
        (
            f"{tail.where} that show a concept of the tail, of {tail.n_captions:,}: median, 90th percentile, most",
            f"{middle}, {high}, {_most(tail.counts):,}",
        ),
        ("concepts of the tail that are in none", int((tail.counts == 0).sum())),
        ("concepts as frequent as its last that are left out, as their names sort later", tail.tied),
        ("concepts without a picture in the set", _name_some(none)),
        (f"concepts with fewer than {recipe.least} different pictures, left out", _name_some(few)),
        ("pictures of a concept, median", float(np.median(kept[kept > 0]))),
    )


def _count_unfit(tail: Tail, found: Selection) -> IntArray:
    """Count the candidates of each concept that have no picture or are duplicates."""
    unfit = np.isin(found.reason, (NO_PICTURE, SAME_BYTES, SAME_LOOK, NEAR))
    return np.bincount(found.candidates.concepts[unfit], minlength=len(tail)).astype(np.int64)


def _name_some(names: list[str]) -> str:
    if not names:
        return "0"
    more = f" and {len(names) - _NAMED:,} more, see {CONCEPTS_FILE}" if len(names) > _NAMED else ""
    return f"{len(names):,} ({', '.join(names[:_NAMED])}{more})"


def _tabulate(tail: Tail, found: Mapping[str, Selection]) -> dict[str, pa.Table]:
    """List the concepts, the pictures that are kept with their concepts, and those that are not with the reason."""
    concepts, kept, left_out = [], [], []
    for name, chosen in found.items():
        uids, names = chosen.candidates.uids, pa.array(tail.names, pa.string())
        counts = {
            "candidates": chosen.count(len(tail)),
            "different": chosen.count(len(tail)) - _count_unfit(tail, chosen),
            "kept": chosen.count(len(tail), ""),
        }
        sets = pa.array([name] * len(tail), pa.string())
        concepts.append(
            pa.table({"set": sets, "concept": names, f"count_{tail.kind}": tail.counts, **counts})
        )
        whole = pa.table(
            {
                "set": pa.array([name] * len(uids), pa.string()),
                "uid": uids.cast(pa.string()),
                "concept": names.take(pa.array(chosen.candidates.concepts)),
                "reason": pa.array(chosen.reason.tolist(), pa.string()),
                "detail": pa.array(chosen.detail, pa.string()),
            }
        )
        kept.append(whole.filter(pa.array(chosen.kept)).drop_columns(["reason", "detail"]))
        left_out += [whole.filter(pa.array(~chosen.kept)), _list_damaged(name, chosen.candidates)]
    tables = {CONCEPTS_FILE: concepts, PICTURES_FILE: kept, LEFT_OUT_FILE: left_out}
    return {file: pa.concat_tables(parts) for file, parts in tables.items()}


def _list_damaged(name: str, candidates: Candidates) -> pa.Table:
    """List rows of a set of which nothing could be read."""
    said = [
        f"{line.file}{'' if line.row is None else f' row {line.row}'}: {line.reason}"
        for line in candidates.bad
    ]
    columns = {
        "set": [name] * len(said),
        "uid": [line.uid for line in candidates.bad],
        "concept": [None] * len(said),
        "reason": [DAMAGED] * len(said),
        "detail": said,
    }
    return pa.table({column: pa.array(values, pa.string()) for column, values in columns.items()})


def _show(tail: Tail, found: Selection) -> tuple[Panel, ...]:
    columns = (tail.counts.tolist(), found.count(len(tail)).tolist(), found.count(len(tail), "").tolist())
    rows = [(name, *counts) for name, *counts in zip(tail.names, *columns, strict=True)]
    left_out = {
        reason or "kept": int((found.reason == reason).sum()) for reason in sorted(set(found.reason.tolist()))
    }
    return (
        Composition(title="What became of the candidates", counts={"candidates": left_out}),
        Listing(
            title="Concepts, rarest first",
            columns=["concept", f"{tail.where} that show it", "candidates", "kept"],
            rows=rows,
        ),
    )


def verify(manifest: Manifest, recipe: LongTailRecipe, inputs: Inputs, work: Path) -> list[Check]:
    """Read or make the counts again, the concepts of the rows, and compare their pictures two by two."""
    name = manifest.of
    if name not in inputs.tests:
        found = f"given are {', '.join(sorted(inputs.tests))}"
        return [Check(text=f"the set {name} is given", holds=False, found=found)]
    tail = _read_tail(recipe, inputs)
    candidates = _find_candidates(recipe, inputs, tail, name)
    shown = dict(zip(candidates.uids.to_pylist(), candidates.concepts.tolist(), strict=True))
    wanted = manifest.uids.to_pylist()
    strangers = [uid for uid in wanted if uid not in shown]
    concepts = np.array([shown[uid] for uid in wanted if uid in shown], np.int64)
    kept = np.bincount(concepts, minlength=len(tail)).astype(np.int64)
    rare, sizes, single = _claim(recipe, tail, kept, embedded=inputs.tests[name].stored is not None)
    same, counted = _check_counts(recipe, inputs, tail)
    told = (
        f"{len(strangers):,} of {len(wanted):,} do not, the first {strangers[0]}" if strangers else "all do"
    )
    few = [
        tail.names[place]
        for place in np.flatnonzero((kept > 0) & ((kept < recipe.least) | (kept > recipe.most)))
    ]
    checks = [
        (rare, not strangers and same, f"{told}; {counted}"),
        (sizes, not few and bool(len(concepts)), _tell_sizes(few, recipe)),
        (single, *_check_duplicates(recipe, inputs, name, candidates, set(wanted), tail, work)),
    ]
    return [
        *(Check(text=claim.text, holds=holds, found=found) for claim, holds, found in checks),
        *refute_others(manifest, [rare, sizes, single]),
    ]


def _tell_sizes(few: list[str], recipe: LongTailRecipe) -> str:
    return f"{few[0]} has another number" if few else f"all have {recipe.least} to {recipe.most}"


def _check_counts(recipe: LongTailRecipe, inputs: Inputs, tail: Tail) -> tuple[bool, str]:
    """Count the captions of the corpus again, where that can be done, and say which concept has another count."""
    if inputs.corpus is None or inputs.counts is None:
        return True, "the counts are as they were made; without --corpus they were not made again"
    if not can_recount(inputs.counts, recipe.count_in):
        if _counts_another(inputs):
            return False, f"{inputs.counts} counts another corpus"
        return True, "the counts are as they were made of this corpus; such counts are not made again"
    found = recount(inputs.corpus.need_corpus(), tail.vocabulary)
    again: dict[str, Any] = dict(zip(tail.vocabulary.names, found.tolist(), strict=True))
    for name, count in zip(tail.names, tail.counts.tolist(), strict=True):
        if again[name] != count:
            return False, f"the corpus names {name} in {again[name]:,} captions, not {count:,}"
    head = [n for name, n in again.items() if name not in set(tail.names)]
    rarer = min(head, default=int(tail.counts[-1]))
    if rarer < tail.counts[-1]:
        return False, f"a concept that is left out is in {rarer:,} captions"
    return True, "counted again, the counts are as said"


def _check_duplicates(
    recipe: LongTailRecipe,
    inputs: Inputs,
    name: str,
    candidates: Candidates,
    wanted: set[str],
    tail: Tail,
    work: Path,
) -> tuple[bool, str]:
    """Read the pictures of the split again, and compare every two of one concept."""
    rows = np.array(
        [place for place, uid in enumerate(candidates.uids.to_pylist()) if uid in wanted], np.int64
    )
    if not len(rows):
        return False, "no row shows a concept of the tail"
    mine = candidates.take(rows)
    looks, wrong = read_looks(inputs.tests[name], mine, work / f"looks-{name}", threads=inputs.workers)
    unread = [uid for uid, said in zip(mine.uids.to_pylist(), wrong, strict=True) if said]
    if unread:
        return False, f"{len(unread):,} pictures cannot be read, the first {unread[0]}"
    for concept in np.unique(mine.concepts).tolist():
        here = np.flatnonzero(mine.concepts == concept)
        found = find_alike(looks.take(here), recipe.likeness)
        if found is not None:
            one, other = (mine.uids[int(here[place])].as_py() for place in found[:2])
            return False, f"{one} and {other}, of {tail.names[concept]}: {found[2]}"
    return True, f"{len(rows):,} pictures were read and compared"
