"""The claims of similarity splits, computed again from the embeddings and the uids of a split alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair.retrieval.dedup_greedy import drop_duplicates
from oddpair.retrieval.scan import Ask
from oddpair.retrieval.stored import StoredRows, read_uids
from oddpair.splits.built import Check
from oddpair.splits.inputs import Inputs
from oddpair.splits.manifest import Claim, Manifest
from oddpair.splits.pool import pool_of_stored
from oddpair.splits.similar.pruning import (
    ChosenRows,
    CorpusRows,
    Mask,
    Scores,
    TestImages,
    drop_near_duplicates,
    find_nearest,
    find_shared,
    read_corpus_rows,
    read_test_images,
    search_chosen,
)
from oddpair.splits.similar.rules import Facts, Rule, claim_reference, claims_of

# Whether a claim holds, and what was found.
_Finding = tuple[bool, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """A split beside what it was chosen from, opened to be searched again; masks are over the pool of the corpus.

    Attributes:
        manifest: The split.
        corpus: The rows.
        base: Rows chosen from: without near-duplicates, where these left first.
        complete: Whether every near-duplicate is known.
        kept: Rows of the split.
        strangers: Uids of the split that no row has.
        tests: Test images of the rule's sets, by name.
        reference: The reference set.
        shared: Rows that are also the reference set's.
        contains: Whether every row of the reference set is kept.
        work: Folder for searches.
        threads: Threads.
    """

    manifest: Manifest
    corpus: CorpusRows
    base: Mask
    complete: bool
    kept: Mask
    strangers: pa.Array
    tests: dict[str, TestImages]
    reference: StoredRows | None
    shared: Mask
    contains: bool
    work: Path
    threads: int

    @property
    def left(self) -> Mask:
        """Rows that could have been kept."""
        left: Mask = self.base & ~self.kept
        return left

    def chosen(self, mask: Mask) -> ChosenRows:
        """Return the rows of a mask, to be searched."""
        return ChosenRows(stored=self.corpus.stored, rows=self.corpus.rows_of(mask))

    def by_uid(self, rows: ChosenRows, values: NDArray[Any], missing: float) -> NDArray[Any]:
        """Return the largest value of each uid, out of one for each of some rows."""
        whole = np.full(self.corpus.stored.shape[0], missing, dtype=values.dtype)
        whole[rows.rows] = values
        return self.corpus.by_uid(whole)


def open_fresh(
    manifest: Manifest, rule: Rule, inputs: Inputs, work: Path, *, deduplicate: float | None
) -> Fresh:
    """Read what a split was chosen from and what it holds."""
    corpus = read_corpus_rows(inputs.need_corpus().need_stored())
    reference = None if inputs.reference is None else inputs.reference.need_stored()
    places = corpus.pool.places(manifest.uids)
    kept = np.zeros(len(corpus.pool), dtype=np.bool_)
    kept[places[places >= 0]] = True
    base, recall = np.ones(len(kept), dtype=np.bool_), None
    if deduplicate is not None:
        base, recall = drop_near_duplicates(corpus, deduplicate, work, threads=inputs.workers)
    shared, contains = np.zeros(len(kept), dtype=np.bool_), False
    if reference is not None:
        shared = find_shared(corpus, reference)
        theirs = corpus.pool.places(read_uids(reference))
        contains = bool((theirs >= 0).all() and kept[theirs].all())
    return Fresh(
        manifest=manifest,
        corpus=corpus,
        base=base,
        complete=recall is None,
        kept=kept,
        strangers=manifest.uids.filter(pa.array(places < 0)),
        tests={name: read_test_images(inputs.tests[name].need_stored()) for name in rule.tests},
        reference=reference,
        shared=shared,
        contains=contains,
        work=work,
        threads=inputs.workers,
    )


def check_split(fresh: Fresh, rule: Rule, facts: Facts, *, drawn: Mask | None) -> list[Check]:
    """Compute every claim of a split again, by searching what it holds and what left.

    Args:
        fresh: The split.
        rule: What chose it.
        facts: What its claims must say.
        drawn: The rows that its seed draws, over the pool; ``None`` for rules without a draw.

    Returns:
        A check for each claim of ``claims_of``, after one of the uids and before one of what the manifest says.
    """
    if drawn is not None:
        found = [_check_draw(fresh, drawn)]
    elif rule.kind == "gap":
        found = _check_gap(fresh, facts)
    elif rule.kind == "cut":
        found = _check_cut(fresh, facts)
    else:
        found = [_check_order(fresh, facts.rows, lowest=rule.kind == "near")]
    if facts.deduplicated is not None:
        found.append(_check_duplicates(fresh, facts.deduplicated))
    claims = claims_of(rule, facts)
    checks = [
        Check(text=claim.text, holds=holds, found=told)
        for claim, (holds, told) in zip(claims, found, strict=True)
    ]
    return [_check_uids(fresh), *checks, _check_statement(fresh.manifest, claims)]


def check_reference(manifest: Manifest, inputs: Inputs) -> list[Check]:
    """Compare the split of a reference set with the set."""
    if inputs.reference is None:
        raise ValueError("opened without a reference set")
    uids = pool_of_stored(inputs.reference.need_stored()).uids
    claims = claim_reference(len(uids))
    told = f"{len(manifest):,} of {len(uids):,} rows" if len(manifest) != len(uids) else "uid for uid"
    check = Check(text=claims[0].text, holds=manifest.uids.equals(uids), found=told)
    return [check, _check_statement(manifest, claims)]


def _check_uids(fresh: Fresh) -> Check:
    missing = len(fresh.strangers)
    found = f"{len(fresh.manifest):,} rows"
    if missing:
        found = f"{missing:,} uids are no row's, such as {fresh.strangers[0].as_py()}"
    return Check(text="its uids are rows of the corpus", holds=not missing, found=found)


def _check_statement(manifest: Manifest, claims: tuple[Claim, ...]) -> Check:
    """Compare what a manifest says, which anybody can write, with what follows from its recipe and inputs."""
    told = [claim for claim in manifest.statement if claim not in claims]
    silent = [claim for claim in claims if claim not in manifest.statement]
    found = f"{len(claims)} claims"
    if silent:
        found = f"it should say '{silent[0].text}'"
    if told:
        found = f"it says '{told[0].text}'"
    holds = list(claims) == list(manifest.statement)
    return Check(text="its statement is that of its recipe on these inputs", holds=holds, found=found)


def _check_gap(fresh: Fresh, facts: Facts) -> list[_Finding]:
    if fresh.reference is None:
        raise ValueError("opened without a reference set")
    every = ChosenRows(stored=fresh.reference, rows=np.arange(fresh.reference.shape[0]))
    # A row that both hold is the reference set's, whatever rounding made of its other vector.
    mine = fresh.chosen(fresh.kept & ~fresh.shared)
    nearer, equal, caused = list[str](), 0, np.zeros(len(fresh.kept), dtype=np.bool_)
    for images in fresh.tests.values():
        gap = find_nearest(every, images, 1, threads=fresh.threads, title="search the reference set")[:, 0]
        best = find_nearest(mine, images, 1, threads=fresh.threads, title="search what is kept")[:, 0]
        equal += int((np.maximum(best, gap) == gap).sum())
        nearer += [
            f"{images.uids[place]} with {best[place]:.6f} above {gap[place]:.6f}"
            for place in np.flatnonzero(best > gap)
        ]
        caused |= _find_above(fresh, images, gap)
    told = f"{len(nearer):,} of {facts.test_images:,} have a nearer row"
    found = [(not nearer, f"{told}, such as {nearer[0]}" if nearer else told)]
    if facts.beside or facts.contained:
        is_there = facts.beside or fresh.contains
        found.append(
            (is_there and equal == facts.test_images, f"equal for {equal:,} of {facts.test_images:,}")
        )
    return [*found, _tell_uncaused(fresh, fresh.left & ~(caused & ~fresh.shared))]


def _check_cut(fresh: Fresh, facts: Facts) -> list[_Finding]:
    if facts.threshold is None:
        raise ValueError("found no threshold, needed one")
    threshold = np.float32(facts.threshold)
    above, caused = 0, np.zeros(len(fresh.kept), dtype=np.bool_)
    mine = fresh.chosen(fresh.kept)
    for images in fresh.tests.values():
        best = find_nearest(mine, images, 1, threads=fresh.threads, title="search what is kept")[:, 0]
        above += int((best > threshold).sum())
        caused |= _find_above(fresh, images, np.full(len(images), threshold))
    return [
        (not above, f"{above:,} test images have a row above it"),
        _tell_uncaused(fresh, fresh.left & ~caused),
    ]


def _find_above(fresh: Fresh, images: TestImages, thresholds: Scores) -> Mask:
    """Mark the rows that left and are above the threshold of a test image."""
    rows = fresh.chosen(fresh.left)
    if not len(rows.rows):
        return np.zeros(len(fresh.left), dtype=np.bool_)
    ask = Ask(above=thresholds)
    found = search_chosen(rows, images, ask, threads=fresh.threads, title="search what left")
    caused: Mask = fresh.by_uid(rows, found.hit, False)
    return caused


def _tell_uncaused(fresh: Fresh, uncaused: Mask) -> _Finding:
    count = int(uncaused.sum())
    left = int(fresh.left.sum())
    if not count:
        return True, f"{left:,} left"
    return (
        False,
        f"{count:,} of {left:,} that left are not, such as {fresh.corpus.pool.keep(uncaused)[0].as_py()}",
    )


def _check_order(fresh: Fresh, rows: int, *, lowest: bool) -> _Finding:
    """Compare the end of what is kept with the beginning of what left, by similarity, then uid."""
    kept, left = fresh.kept, fresh.left
    if int(kept.sum()) != rows or not left.any():
        return int(kept.sum()) == rows, f"{int(kept.sum()):,} kept, {int(left.sum()):,} left"
    chosen = fresh.chosen(kept | left)
    scores = np.full(len(chosen.rows), -np.inf, dtype=np.float32)
    for images in fresh.tests.values():
        ask = Ask(nearest=True)
        found = search_chosen(chosen, images, ask, threads=fresh.threads, title="search all rows")
        np.maximum(scores, found.score, out=scores)
    score = fresh.by_uid(chosen, scores, -np.inf)
    low, high = (kept, left) if lowest else (left, kept)
    most, least = score[low].max(), score[high].min()
    # Rows are in the order of their uids, so of equal similarities their places decide.
    last, first = np.flatnonzero(low & (score == most))[-1], np.flatnonzero(high & (score == least))[0]
    side = ("kept", "left") if lowest else ("left", "kept")
    told = f"those that were {side[0]} reach {most:.6f}, those that were {side[1]} begin at {least:.6f}"
    return bool(most < least or (most == least and last < first)), told


def _check_draw(fresh: Fresh, drawn: Mask) -> _Finding:
    others = int((fresh.kept & ~drawn).sum())
    missing = int((drawn & ~fresh.kept).sum())
    return not others and not missing, f"{others:,} rows were not drawn, {missing:,} that were are missing"


def _check_duplicates(fresh: Fresh, threshold: float) -> _Finding:
    order = fresh.corpus.pool.rows[fresh.kept]
    parts = fresh.work / "kept-duplicates"
    near = len(drop_duplicates(fresh.corpus.stored, order, threshold, parts, threads=fresh.threads))
    dropped = int((fresh.kept & ~fresh.base).sum())
    told = f"{near:,} rows are above it, {dropped:,} are near-duplicates of a row of smaller uid"
    return not near and not dropped, told
