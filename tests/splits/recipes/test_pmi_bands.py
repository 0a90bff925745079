import dataclasses
import itertools
import re
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.splits.pair_data import WORDS, count_captions, draw_captions, write_captions, write_pairs

from oddpair.errors import Refusal
from oddpair.retrieval.concepts import build_vocabulary
from oddpair.retrieval.corpus import open_corpus
from oddpair.splits.inputs import Inputs, Pictures
from oddpair.splits.manifest import Claim, read_manifest, write_manifest
from oddpair.splits.recipes.pmi_bands import PmiBandsRecipe, build, verify

RECIPE = PmiBandsRecipe(bands=3, tail=0.1, cell=0.5)


@pytest.fixture(scope="module")
def captions():
    return draw_captions()


@pytest.fixture(scope="module")
def place(tmp_path_factory, captions):
    """Captions, counts of them, and a test set of all pairs."""
    folder = tmp_path_factory.mktemp("bands")
    path = write_captions(folder / "captions.parquet", captions)
    count_captions(path, folder / "counts")
    write_pairs(folder / "tests", itertools.combinations(WORDS, 2))
    return folder


def given(place, *, corpus=None, counts=None, tests="tests"):
    return Inputs(
        corpus=None if corpus is None else Pictures(name="captions", corpus=open_corpus(corpus)),
        counts=counts or place / "counts",
        tests={"made": Pictures(name="made", corpus=open_corpus(place / tests))} if tests else {},
    )


@pytest.fixture(scope="module")
def built(place):
    return build(RECIPE, given(place), place / "work")


def split_of(built, name):
    return next(split for split in built.splits if split.name == f"made-{name}")


def shown_by(place, split):
    """What the pictures of a split show, by the folders that they lie in."""
    corpus = open_corpus(place / "tests")
    keys = {
        uid: key
        for batch in corpus.batches()
        for uid, key in zip(batch.table["uid"].to_pylist(), batch.table["key"].to_pylist(), strict=True)
    }
    return [tuple(keys[uid].split("/")[0].split("__")) for uid in split.uids.to_pylist()]


def judge(checks):
    return {check.text: check.holds for check in checks}


def test_a_split_for_each_band_holds_the_pictures_of_its_pairs(place, built):
    table = built.tables["bands.parquet"].to_pylist()
    assert [split.name for split in built.splits] == [
        *(
            "made-unseen",
            "made-band-1-of-3",
            "made-band-2-of-3",
            "made-band-3-of-3",
            "made-bottom",
            "made-top",
        )
    ]
    for split in built.splits:
        label = split.name.removeprefix("made-")
        wanted = {(row["a"], row["b"]) for row in table if label in (row["band"], row["tail"])}
        assert set(shown_by(place, split)) == wanted
        assert len(split) == 2 * len(wanted)
        assert split.rules[-1] == (split.rules[-1][0], len(split))
        assert split.of == "made"


def test_pairs_of_the_unseen_band_are_in_no_caption_and_the_others_in_one(place, built, captions):
    for split in built.splits:
        together = {
            pair: any(all(f"a {name}" in f"{text} " for name in pair) for text in captions)
            for pair in shown_by(place, split)
        }
        assert set(together.values()) == {split.name != "made-unseen"}


def test_the_card_says_how_far_bands_are_apart_before_matching_and_after(built):
    card = dict(split_of(built, "band-2-of-3").card)
    before, after = (
        value
        for label, value in card.items()
        if re.match(r"largest difference between bands of all pairs in mean log10 single counts", label)
    )
    assert before > after
    assert split_of(built, "band-2-of-3").statement[2].text == (
        "the plain PMI of each pair is in part 2 of 3, from low to high, of the seen pairs of the same single counts, "
        "within 0.5 decades"
    )


def test_every_claim_of_every_split_holds_with_counts_alone_and_counted_again(place, built, tmp_path):
    for number, split in enumerate(built.splits):
        assert all(check.holds for check in verify(split, RECIPE, given(place), tmp_path / f"a{number}"))
        again = given(place, corpus=place / "captions.parquet")
        checks = verify(split, RECIPE, again, tmp_path / f"b{number}")
        assert all(check.holds for check in checks)
        assert "counted again in the corpus" in checks[-1].found


def test_the_order_of_the_captions_and_cuts_into_files_change_nothing(place, built, captions, tmp_path):
    order = np.random.default_rng(1).permutation(len(captions)).tolist()
    for part, rows in enumerate((order[:1000], order[1000:])):
        write_captions(tmp_path / "parts" / f"part-{part}.parquet", captions, order=rows)
    counts = count_captions(tmp_path / "parts", tmp_path / "counts")
    again = build(RECIPE, given(place, counts=counts), tmp_path / "work")
    for one, other in zip(built.splits, again.splits, strict=True):
        assert one.uids.equals(other.uids)
        assert one.statement == other.statement
        assert one.card == other.card
    assert built.tables["bands.parquet"].equals(again.tables["bands.parquet"])


@pytest.mark.parametrize("label", ["band-1-of-3", "unseen", "top"])
def test_a_picture_of_another_band_breaks_the_claims_on_pairs_place_and_counts(place, built, label, tmp_path):
    split = split_of(built, label)
    stranger = split_of(built, "band-2-of-3").uids[0].as_py()
    uids = sorted([stranger, *split.uids.to_pylist()[1:]])
    write_manifest(tmp_path / "forged", dataclasses.replace(split, uids=uids))
    forged = read_manifest(tmp_path / "forged")
    checks = verify(forged, RECIPE, given(place), tmp_path / "work")
    broken = [check.text for check in checks if not check.holds]
    assert split.statement[2].text in broken
    assert split.statement[-1].text in broken


def test_a_uid_from_nowhere_and_a_picture_left_out_break_the_claim_on_rows(place, built, tmp_path):
    split = split_of(built, "band-1-of-3")
    for uids in (sorted([*split.uids.to_pylist()[1:], "f" * 32]), split.uids.to_pylist()[1:]):
        forged = dataclasses.replace(split, uids=uids)
        checks = verify(forged, RECIPE, given(place), tmp_path)
        assert not checks[0].holds


def test_a_statement_that_lacks_a_claim_or_says_other_words_does_not_hold(place, built, tmp_path):
    split = split_of(built, "band-1-of-3")
    forged = dataclasses.replace(split, statement=split.statement[:2])
    assert [check.found for check in verify(forged, RECIPE, given(place), tmp_path) if not check.holds] == [
        "nothing about balance"
    ]
    unknown = dataclasses.replace(
        split, statement=(*split.statement, Claim(text="it is unseen", values={"of": "x"}))
    )
    assert judge(verify(unknown, RECIPE, given(place), tmp_path))["it is unseen"] is False


def test_a_band_under_the_name_or_with_the_words_of_another_does_not_hold(place, built, tmp_path):
    split = split_of(built, "band-1-of-3")
    text = split_of(built, "band-3-of-3").statement[2].text
    claims = [
        dataclasses.replace(claim, text=text) if number == 2 else claim
        for number, claim in enumerate(split.statement)
    ]
    for forged in (
        dataclasses.replace(split, name="made-band-3-of-3"),
        dataclasses.replace(split, statement=tuple(claims)),
    ):
        broken = [check.found for check in verify(forged, RECIPE, given(place), tmp_path) if not check.holds]
        assert broken == [f"split {forged.name!r} claims to be 'band-1-of-3', or says it in other words"]


def test_a_tail_whose_partners_are_not_shown_does_not_hold(place, built, tmp_path):
    split = split_of(built, "top")
    shutil.copytree(place / "tests", tmp_path / "tests")
    for pair in set(shown_by(place, split_of(built, "bottom"))):
        shutil.rmtree(tmp_path / "tests" / "__".join(pair))
    inputs = dataclasses.replace(
        given(place), tests={"made": Pictures(name="made", corpus=open_corpus(tmp_path / "tests"))}
    )
    broken = [check.text for check in verify(split, RECIPE, inputs, tmp_path) if not check.holds]
    assert broken == ["the other tail has as many pairs of the same single counts, cell for cell"]
    again = build(RECIPE, inputs, tmp_path / "work")
    assert [part.name for part in again.splits if part.name in ("made-top", "made-bottom")] == []


def test_captions_that_came_later_break_the_claim_on_counts(place, built, captions, tmp_path):
    pair = shown_by(place, split_of(built, "unseen"))[0]
    path = write_captions(tmp_path / "more.parquet", [*captions[:-1], f"a {pair[0]} and a {pair[1]}"])
    checks = verify(split_of(built, "unseen"), RECIPE, given(place, corpus=path), tmp_path / "work")
    broken = [check.found for check in checks if not check.holds]
    assert len(broken) == 1
    assert re.search(rf"counts differ in the corpus, such as captions that name .*'{pair[0]}'", broken[0])


def test_counts_that_were_changed_are_refused(place, tmp_path):
    shutil.copytree(place / "counts", tmp_path / "counts")
    table = pq.read_table(tmp_path / "counts" / "pairs.parquet")
    pq.write_table(table.slice(1), tmp_path / "counts" / "pairs.parquet")
    with pytest.raises(Refusal, match=r"pairs\.parquet has changed since it was counted"):
        build(RECIPE, given(place, counts=tmp_path / "counts"), tmp_path)


def test_counts_of_another_corpus_are_refused(place, captions, tmp_path):
    path = write_captions(tmp_path / "other.parquet", captions[:100])
    with pytest.raises(Refusal, match="counts another corpus: give its own, or count this one"):
        build(RECIPE, given(place, corpus=path), tmp_path)


def test_counts_that_cannot_be_made_again_are_not_compared_with_a_corpus(place, tmp_path):
    shutil.copytree(place / "counts", tmp_path / "counts")
    (tmp_path / "counts" / "vocabulary.txt").unlink()
    inputs = given(place, corpus=place / "captions.parquet", counts=tmp_path / "counts")
    with pytest.raises(Refusal, match=r"holds no vocabulary\.txt: give --vocabulary, or leave --corpus out"):
        build(RECIPE, inputs, tmp_path)
    named = dataclasses.replace(inputs, vocabulary=build_vocabulary(WORDS))
    assert len(build(RECIPE, named, tmp_path).splits) == 6


def test_without_test_sets_there_is_the_table_alone(place, tmp_path):
    made = build(RECIPE, given(place, tests=None), tmp_path)
    assert not made.splits
    assert made.tables["bands.parquet"].num_rows > 100


def test_a_test_set_that_shows_no_pair_of_a_band_is_refused(place, tmp_path):
    write_pairs(tmp_path / "tests", [("dragon", "unicorn")])
    inputs = Inputs(
        counts=place / "counts", tests={"odd": Pictures(name="odd", corpus=open_corpus(tmp_path / "tests"))}
    )
    with pytest.raises(
        Refusal, match=r"test set 'odd': none of its 2 rows shows a pair that is in a band \(2 show no"
    ):
        build(RECIPE, inputs, tmp_path)


def test_a_split_whose_test_set_is_not_given_is_not_verified(place, built, tmp_path):
    with pytest.raises(Refusal, match="is of test set 'made': give --tests made=PATH"):
        verify(built.splits[0], RECIPE, given(place, tests=None), tmp_path)


@pytest.mark.parametrize("variant", ["smoothed", "normalised", "published"])
def test_other_variants_of_pmi_are_verified_too(place, variant, tmp_path):
    recipe = dataclasses.replace(RECIPE, pmi=variant)
    made = build(recipe, given(place), tmp_path)
    assert len(made.splits) == 6
    assert all(
        check.holds for split in made.splits for check in verify(split, recipe, given(place), tmp_path)
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"bands": 1}, "bands is 1: it must be 2 to 100"),
        ({"tail": 0.0}, "tail is 0.0: it must be above 0 and at most 0.5"),
        ({"tail": 0.6}, "tail is 0.6: it must be above 0 and at most 0.5"),
        ({"cell": 0.0}, "cell is 0.0: it must be 0.01 to 10 decades"),
        ({"minimum_count": 0}, "minimum_count is 0: it must be 1 or more"),
        ({"minimum_expected": float("nan")}, "minimum_expected is nan: it must be a number above 0"),
    ],
)
def test_settings_that_make_no_bands_are_refused(settings, said):
    with pytest.raises(Refusal, match=re.escape(said)):
        PmiBandsRecipe(**settings)


@pytest.mark.parametrize("tail", ["bottom", "top"])
def test_a_tail_must_claim_to_be_matched_and_with_the_other_tail(place, built, tmp_path, tail):
    split = split_of(built, tail)
    others = tuple(claim for claim in split.statement if claim.values["of"] != "matched")
    (matched,) = (claim for claim in split.statement if claim not in others)
    bare = dataclasses.replace(split, statement=others)
    broken = [check.found for check in verify(bare, RECIPE, given(place), tmp_path) if not check.holds]
    assert broken == ["nothing about matched"]
    itself = Claim(text=matched.text, values={**matched.values, "other": tail})
    forged = dataclasses.replace(split, statement=(*others, itself))
    broken = [check.found for check in verify(forged, RECIPE, given(place), tmp_path) if not check.holds]
    assert broken == [f"{tail!r} is not the other tail of {tail!r}"]
