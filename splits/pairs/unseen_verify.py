"""Claims of a split of unseen samples computed again: from its uids, the test set, and every caption of the corpus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from oddpair.retrieval.concepts import Vocabulary, nested_pairs
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.counting.pair_counter import nested_keys
from oddpair.retrieval.counting.tags import Tags
from oddpair.retrieval.mentions.incidence import Mentions
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.built import Check
from oddpair.splits.manifest import Claim, Manifest
from oddpair.splits.pairs import unseen_claims as claims
from oddpair.splits.pairs.near_images import NearImages
from oddpair.splits.pairs.sample_sets import Mode, SampleSets
from oddpair.splits.pairs.seen_controls import ALLOWANCE, measure_frequencies
from oddpair.splits.pairs.set_counts import distinct_rows, list_pairs, sets_of_pairs
from oddpair.splits.pairs.set_scan import Scanned, scan_sets
from oddpair.splits.pairs.unseen_sets import find_test_images, look_for_pairs, look_for_sets, seen_places

_MATCHED_ON = {"captions": ("captions",), "images": ("images",), "both": ("captions", "images")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What claims are computed from.

    Attributes:
        corpus: The corpus.
        vocabulary: The concepts.
        mode: Where the split looks at the corpus.
        open_tags: Opens the tags of the corpus for some concepts; ``None`` if there are none.
        search: Finds the images near to the test images; ``None`` if there are no embeddings.
    """

    corpus: Corpus
    vocabulary: Vocabulary
    mode: Mode
    open_tags: Callable[[Vocabulary], Tags] | None
    search: Callable[[], NearImages] | None


def verify_claims(manifest: Manifest, samples: SampleSets, sources: Sources) -> list[Check]:
    """Compute every claim of a split again.

    Concepts are not looked up in posting lists but counted in one pass over the corpus, for the sets of this split
    alone.

    Args:
        manifest: The split.
        samples: The test set that it is of.
        sources: What else claims are computed from.

    Returns:
        A check for each claim; one that fails if a row is of no such test set.
    """
    places = samples.pool.places(manifest.uids)
    stray = np.flatnonzero(places < 0)
    if len(stray):
        uid = manifest.uids[int(stray[0])].as_py()
        text = f"its rows are of the test set {samples.name}"
        return [
            Check(text=text, holds=False, found=f"{uid} and {len(stray) - 1:,} more rows are of no such set")
        ]
    if not manifest.statement:
        return [Check(text="a split of a test set claims something", holds=False, found="it claims nothing")]
    if all(claim.values.get("claim") == claims.ROWS for claim in manifest.statement):
        return [_check_rows(manifest, samples, claim) for claim in manifest.statement]
    again = _Recount(manifest, samples, np.unique(samples.sample[places]), sources)
    return [again.check(claim) for claim in manifest.statement]


def _check_rows(manifest: Manifest, samples: SampleSets, claim: Claim) -> Check:
    scoring = manifest.provenance.get("scoring", {})
    wanted = (claim.values.get("rows"), scoring.get("gallery"), scoring.get("task"))
    found = (len(samples.pool), claims.hash_gallery(samples), claim.values.get("scoring"))
    same = wanted == found and (not claim.values.get("whole") or len(manifest) == found[0])
    told = f"{len(manifest):,} of {found[0]:,} rows, {str(found[1])[:12]}"
    return Check(
        text=claim.text,
        holds=same,
        found=told if same else f"{told}; the split was made for {wanted[0]}, {str(wanted[1])[:12]}",
    )


class _Recount:
    """Everything about the samples of a split, counted again, and how claims are held against it."""

    def __init__(self, manifest: Manifest, samples: SampleSets, chosen: IntArray, sources: Sources) -> None:
        self._manifest, self._samples, self._chosen, self._sources = manifest, samples, chosen, sources
        self._width = len(sources.vocabulary)
        self._nested = nested_keys(nested_pairs(sources.vocabulary), self._width)
        self._of, self._keys = list_pairs(samples.sets[chosen], self._nested)
        self._pairs, self._which_pair = np.unique(self._keys, return_inverse=True)
        if not {claim.values.get("claim") for claim in manifest.statement} & {
            claims.SOME_PAIR,
            claims.EVERY_PAIR,
        }:
            self._pairs = self._pairs[:0]
        self._controls = self._find_controls()
        sets = vstack(
            [samples.sets[chosen], sets_of_pairs(self._pairs, self._width), samples.sets[self._controls]],
            format="csr",
        )
        self._scan(csr_array(sets))
        self._near: NearImages | None = None

    def check(self, claim: Claim) -> Check:
        """Compute one claim again."""
        kind = claim.values.get("claim")
        if kind == claims.ROWS:
            return _check_rows(self._manifest, self._samples, claim)
        check = {
            claims.SEVERAL: self._check_several,
            claims.SUPPORT: self._check_support,
            claims.NOWHERE: self._check_nowhere,
            claims.SOME_PAIR: self._check_pairs,
            claims.EVERY_PAIR: self._check_pairs,
            claims.SHOWN: self._check_shown,
            claims.NEAR: self._check_near,
            claims.MATCHED: self._check_matched,
        }.get(str(kind))
        if check is None:
            return Check(text=claim.text, holds=False, found=f"a claim of kind {kind!r} is not known")
        needs_tags = "images" in claim.values.get("in", ()) or (
            kind == claims.MATCHED and "images" in _MATCHED_ON[self._sources.mode]
        )
        if needs_tags and self._image is None:
            return Check(text=claim.text, holds=False, found="no tags were given: give --tags")
        if (kind == claims.NEAR or claim.values.get("neighbours")) and self._sources.search is None:
            return Check(
                text=claim.text, holds=False, found="no embeddings were given: give --embeddings or --model"
            )
        holds, found = check(claim.values)
        return Check(text=claim.text, holds=holds, found=found)

    def _scan(self, sets: Mentions) -> None:
        """Count the sets in the corpus, of a vocabulary that holds no more than their concepts."""
        used = np.unique(sets.indices)
        small = Vocabulary(concepts=tuple(self._sources.vocabulary.concepts[number] for number in used))
        tags = None if self._sources.open_tags is None else self._sources.open_tags(small)
        self._place_of = np.full(self._width, -1)
        self._place_of[used] = np.arange(len(used))
        self._text, self._image = scan_sets(self._sources.corpus, small, csr_array(sets[:, used]), tags)

    def _scanned(self, place: str) -> Scanned:
        found = self._text if place == "captions" else self._image
        assert found is not None
        return found

    def _check_several(self, values: dict[str, Any]) -> tuple[bool, str]:
        alone = np.setdiff1d(np.arange(len(self._chosen)), self._of)
        if len(alone):
            return False, f"sample {self._name(alone[0])} shows {self._tell(self._chosen[alone[0]])}"
        same = values.get("samples") == len(self._chosen)
        return same, f"{len(self._chosen):,} samples"

    def _check_support(self, values: dict[str, Any]) -> tuple[bool, str]:
        scanned = self._scanned(values["in"][0])
        sets = self._samples.sets[self._chosen]
        each = scanned.each[self._place_of[sets.indices]]
        rare = int(np.argmin(each))
        row = int(np.searchsorted(sets.indptr, rare, side="right")) - 1
        told = f"{self._sources.vocabulary.names[sets.indices[rare]]!r} of sample {self._name(row)} is in {each[rare]:,}"
        return bool(each[rare] >= values["minimum"]), told

    def _check_nowhere(self, values: dict[str, Any]) -> tuple[bool, str]:
        scanned = self._scanned(values["in"][0])
        empty = np.diff(self._samples.sets.indptr)[self._chosen] == 0
        if empty.any():
            return False, f"sample {self._name(int(np.argmax(empty)))} shows nothing"
        found = np.flatnonzero(scanned.together[: len(self._chosen)])
        if not len(found):
            return True, f"0 of {scanned.rows:,} rows"
        sample = int(found[0])
        return False, (
            f"{self._tell(self._chosen[sample])}, of sample {self._name(sample)}, are together in row "
            f"{scanned.first[sample]}, and {len(found) - 1:,} more samples are"
        )

    def _check_pairs(self, values: dict[str, Any]) -> tuple[bool, str]:
        rows = len(self._chosen) + np.arange(len(self._pairs))
        silent = np.ones(len(self._pairs), np.bool_)
        for place in values["in"]:
            silent &= self._scanned(place).together[rows] == 0
        if values.get("neighbours"):
            near = self._find_near()
            test, sample = find_test_images(near, self._samples)
            of, keys = list_pairs(self._samples.sets, self._nested)
            inside = np.isin(keys, self._pairs)
            which = np.searchsorted(self._pairs, keys[inside])
            checked, hits = look_for_pairs(near, test, sample, of[inside], self._pairs, which, self._width)
            silent &= (hits == 0) & (checked > 0)
        unseen = np.bincount(self._of[silent[self._which_pair]], minlength=len(self._chosen))
        wanted = (
            np.bincount(self._of, minlength=len(self._chosen))
            if values["claim"] == claims.EVERY_PAIR
            else np.ones(len(self._chosen), np.int64)
        )
        broken = np.flatnonzero((unseen < wanted) | (unseen == 0))
        if not len(broken):
            return True, f"{int(silent.sum()):,} of {len(silent):,} pairs are nowhere together"
        return False, self._tell_pair(int(broken[0]), silent, rows, values["in"])

    def _check_shown(self, values: dict[str, Any]) -> tuple[bool, str]:
        n = len(self._chosen)
        seen = np.zeros(n, np.bool_)
        for place in values["in"]:
            seen |= self._scanned(place).together[:n] > 0
        broken = np.flatnonzero(~seen)
        if not len(broken):
            return True, f"{n:,} samples"
        return (
            False,
            f"{self._tell(self._chosen[broken[0]])}, of sample {self._name(broken[0])}, are nowhere together",
        )

    def _check_near(self, values: dict[str, Any]) -> tuple[bool, str]:
        near = self._find_near()
        test, sample = find_test_images(near, self._samples)
        first, which = distinct_rows(self._samples.sets)
        checked, hits = look_for_sets(near, test, sample, self._samples, which, len(first))
        mine = which[self._chosen]
        broken = np.flatnonzero((hits[mine] > 0) | (checked[mine] == 0))
        if not len(broken):
            return True, f"{int(checked[np.unique(mine)].sum()):,} known images looked at"
        sample_ = int(broken[0])
        shown = hits[mine[sample_]]
        told = f"{shown:,} show" if shown else "nothing is known of the images near to"
        return False, f"{told} {self._tell(self._chosen[sample_])}, of sample {self._name(sample_)}"

    def _check_matched(self, values: dict[str, Any]) -> tuple[bool, str]:
        listed = values["couples"]
        mine = self._samples.first_uids.take(self._chosen).to_pylist()
        if [first for first, _ in listed] != mine or len(self._controls) < len(listed):
            return False, f"{len(listed):,} couples are not those of its {len(mine):,} samples"
        if len(np.unique(self._controls)) < len(self._controls):
            return False, "a sample is the control of two"
        sets, n = self._samples.sets, len(self._chosen)
        together = np.zeros(n, np.int64)
        for place in seen_places(self._sources.mode):
            together += self._scanned(place).together[-n:]
        wrong = np.flatnonzero((together > 0) != (values["control"] == "seen"))
        if len(wrong):
            return False, f"{listed[wrong[0]][1]} is no {values['control']} sample"
        counts = [
            self._scanned(place).each[self._place_of[sets.indices]]
            for place in _MATCHED_ON[self._sources.mode]
        ]
        least = np.min(counts, axis=0)
        # What stands in for a sample may be anything; what it lacks has no logarithm.
        both = np.concatenate([self._chosen, self._controls])
        bare = [row for row in both.tolist() if not _is_measurable(sets.indptr, least, row)]
        if bare:
            return (
                False,
                f"{self._tell(bare[0])} cannot be matched: fewer than two concepts, or one in no row",
            )
        ours, theirs = (
            measure_frequencies(sets.indptr, least, which) for which in (self._chosen, self._controls)
        )
        gaps = np.abs(ours.log_counts - theirs.log_counts).max(axis=1)
        broken = np.flatnonzero((ours.size != theirs.size) | (gaps > values["caliper"] + ALLOWANCE))
        if len(broken):
            one, other = listed[broken[0]]
            return False, f"{one} and its control {other} differ by {gaps[broken[0]]:.4f} decades or in size"
        return True, f"{n:,} couples, at most {gaps.max(initial=0):.4f} decades apart"

    def _find_controls(self) -> IntArray:
        """Return the samples that are named as controls, in the order of the claim; none where none are claimed."""
        for claim in self._manifest.statement:
            if claim.values.get("claim") == claims.MATCHED:
                uids = [second for _, second in claim.values["couples"]]
                place = self._samples.pool.places(uids)
                return self._samples.sample[place[place >= 0]]
        return np.zeros(0, np.int64)

    def _find_near(self) -> NearImages:
        if self._near is None:
            assert self._sources.search is not None
            self._near = self._sources.search()
        return self._near

    def _name(self, row: int) -> str:
        """Return what a sample of the split is called."""
        return str(self._samples.first_uids[int(self._chosen[row])].as_py())

    def _tell(self, sample: int) -> str:
        sets = self._samples.sets
        concepts = sets.indices[sets.indptr[sample] : sets.indptr[sample + 1]]
        return ", ".join(self._sources.vocabulary.names[number] for number in concepts) or "nothing"

    def _tell_pair(self, row: int, silent: np.ndarray, rows: IntArray, where: list[str]) -> str:
        """Name a pair of a sample that is together, and a row of the corpus that it is in."""
        mine = self._which_pair[self._of == row]
        shown = mine[~silent[mine]]
        if not len(shown):
            return f"sample {self._name(row)} shows no pair"
        pair = int(shown[0])
        names = self._sources.vocabulary.names
        told = " and ".join(names[number] for number in divmod(int(self._pairs[pair]), self._width))
        firsts = [self._scanned(place).first[rows[pair]] for place in where]
        seen = next((uid for uid in firsts if uid is not None), "an image near to a test image")
        return f"{told}, of sample {self._name(row)}, are together in row {seen}"


def _is_measurable(ends: NDArray[np.integer], counts: IntArray, row: int) -> bool:
    here = counts[ends[row] : ends[row + 1]]
    return len(here) > 1 and bool(here.all())
