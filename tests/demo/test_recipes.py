"""Recipes carried out by command on a drawn world, beside what was planted in it."""

import numpy as np
import pytest
from tests.command import run

from oddpair.benchmarks.miniature.concepts import CONCEPTS
from oddpair.retrieval.concepts import build_vocabulary, nested_pairs
from oddpair.retrieval.corpus import open_corpus
from oddpair.splits.manifest import read_manifest

MINIMUM = 5


@pytest.fixture(scope="module")
def world(small_run):
    return small_run / "world"


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    path = tmp_path_factory.mktemp("words") / "concepts.txt"
    path.write_text("".join(f"{name}\n" for name in CONCEPTS))
    return path


def read_sets(folder, column):
    """The planted concepts of every row, each uid once."""
    table = open_corpus(folder).metadata([column])
    return dict(zip(table["uid"].to_pylist(), map(frozenset, table[column].to_pylist()), strict=True))


def expect_unseen(world, *, shown):
    """Samples whose things occur often enough in captions, and never all together: by trying every row."""
    named, tagged = read_sets(world / "corpus", "named"), read_sets(world / "corpus", "concepts")
    frequent = {name for name in CONCEPTS if sum(name in names for names in named.values()) >= MINIMUM}
    seen = [*named.values(), *(tagged.values() if shown else ())]
    words = build_vocabulary(CONCEPTS)
    nested = {frozenset(words.concepts[one].name for one in pair) for pair in nested_pairs(words)}
    return {
        uid
        for uid, things in read_sets(world / "pairs", "named").items()
        if len(things) == 2
        and things not in nested
        and things <= frequent
        and not any(things <= names for names in seen)
    }


@pytest.mark.parametrize("shown", [False, True], ids=["captions", "captions-and-tags"])
def test_exactly_the_samples_that_were_planted_unseen_are_found(world, vocabulary, tmp_path, shown):
    tags = ("--tags", world / "truth" / "tags.parquet") if shown else ()
    code, said = run(
        *("split", "unseen-pairs", "--corpus", world / "corpus", "--tests", f"pairs={world / 'pairs'}"),
        *("--vocabulary", vocabulary, "--set", f"minimum_count={MINIMUM}", "--out", tmp_path, *tags),
    )
    assert code == 0, said
    split = tmp_path / "splits" / "full-set-unseen"
    found = set(read_manifest(split).uids.to_pylist())
    assert found == expect_unseen(world, shown=shown)
    assert 0 < len(found) < len(read_sets(world / "pairs", "named"))
    assert run("verify", split)[0] == 0


def test_the_leak_of_a_strict_split_is_within_what_it_states(small_run, world, tmp_path):
    code, said = run(
        *("split", "style-strict", "--corpus", world / "corpus"),
        *("--embeddings", small_run / "embeddings" / "corpus"),
        *("--tests", f"natural={world / 'natural'}", "--tests", f"rendition={world / 'rendition'}"),
        *("--set", "natural_tests=[natural]", "--set", "rendition_tests=[rendition]"),
        *("--set", "precision=0.8", "--set", "labelled=800", "--out", tmp_path, "--workers", 1),
    )
    assert code == 0, said
    table = open_corpus(world / "corpus").metadata(["style"])
    style = dict(zip(table["uid"].to_pylist(), table["style"].to_pylist(), strict=True))
    for name, is_other in (
        ("natural-strict", lambda found: found not in ("photo", "ambiguous")),
        ("rendition-strict", lambda found: found == "photo"),
    ):
        split = read_manifest(tmp_path / "splits" / name)
        leak = np.mean([is_other(style[uid]) for uid in split.uids.to_pylist()])
        bound = next(claim.values["at_most"] for claim in split.statement if claim.values["claim"] == "leak")
        assert leak <= bound
        assert run("verify", tmp_path / "splits" / name)[0] == 0
