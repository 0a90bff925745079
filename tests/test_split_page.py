"""The page of a recipe's splits: claims, rules, panels and pictures, safe whatever they say."""

import re

import numpy as np
import pyarrow as pa
import pytest

from oddpair.commands.split_page import write_page
from oddpair.retrieval.concepts import build_vocabulary
from oddpair.retrieval.corpus import open_corpus
from oddpair.splits.built import Built, Composition, Histogram, Listing, Panel
from oddpair.splits.inputs import Inputs, Pictures
from oddpair.splits.manifest import Claim, Manifest
from oddpair.splits.recipe_file import load_recipe

LOADED = load_recipe("unseen-pairs", {})


def page_of(path, built, inputs=None):
    write_page(path, LOADED, built, inputs or Inputs())
    return path.read_text()


@pytest.fixture
def manifest():
    return Manifest(
        name="kept",
        recipe="unseen-pairs",
        uids=["a", "b"],
        rules=(("rows of the corpus", 1200), ("rows kept", 2)),
        statement=(Claim(text="no row is <b>near</b>", values={"most": 0.5}),),
        card=(("note", "<script>"),),
    )


def test_claims_rules_and_tables_are_shown_and_nothing_of_them_is_markup(tmp_path, manifest):
    built = Built(splits=(manifest,), tables={"pairs.parquet": pa.table({"a": [1, 2, 3]})})
    text = page_of(tmp_path / "card.html", built)
    assert "no row is &lt;b&gt;near&lt;/b&gt;" in text
    assert "&lt;script&gt;" in text
    assert "1,200" in text
    assert "pairs.parquet, 3 lines" in text
    assert manifest.uids_sha256 in text


def test_a_split_without_a_claim_says_so(tmp_path):
    built = Built(splits=(Manifest(name="bare", recipe="unseen-pairs", uids=["a"]),))
    assert "guarantees nothing" in page_of(tmp_path / "card.html", built)


def test_panels_are_drawn_with_their_groups_and_equal_panels_give_equal_pages(tmp_path, manifest):
    panels: dict[str, list[Panel]] = {
        "kept": [
            Histogram(
                title="Similarity",
                label="cosine",
                edges=np.array([0.0, 0.5, 1.0]),
                counts={"before": np.array([3, 4]), "after": np.array([3, 0])},
                marks={"threshold": 0.5},
            ),
            Composition(title="Styles", counts={"before": {"photo": 5, "sketch": 2}, "after": {"photo": 3}}),
        ],
        "": [Listing(title="Sets", columns=("set", "rows"), rows=[("val", 7)])],
    }
    built = Built(splits=(manifest,), panels=panels)
    text = page_of(tmp_path / "one.html", built)
    assert text == page_of(tmp_path / "two.html", built)
    for words in ("before (n = 7)", "after (n = 3)", "threshold 0.5", "sketch", "Sets: 1 lines"):
        assert words in text


def test_pictures_and_concepts_of_the_corpus_are_shown(tmp_path, write_folder, noise, as_bytes):
    pictures = {f"{number}.png": as_bytes(noise(number)) for number in range(6)}
    corpus = open_corpus(write_folder(tmp_path / "corpus", pictures, ["a cat", "a dog"] * 3))
    uids = [uid for batch in corpus.batches() for uid in batch.table["uid"].to_pylist()]
    cats = Manifest(name="cats", recipe="unseen-pairs", uids=sorted(uids[::2]))
    inputs = Inputs(
        corpus=Pictures(name="corpus", corpus=corpus), shown=build_vocabulary(["cat", "dog", "cow"])
    )
    text = page_of(tmp_path / "card.html", Built(splits=(cats,)), inputs)
    assert len(re.findall("data:image/jpeg", text)) == 3
    assert "Concepts in cats: 1 of 2 are left" in text
