import numpy as np
import pytest

from oddpair.errors import Refusal
from oddpair.eval.published.agreement import compare_column
from oddpair.eval.published.corpora import reproduce_corpora
from oddpair.eval.published.decades import reproduce_decades
from oddpair.eval.published.defects import find_published_defects
from oddpair.eval.published.layout import read_published
from oddpair.eval.published.sensitivity import reproduce_sensitivity

REPRODUCERS = {reproduce_decades: 186, reproduce_sensitivity: 147, reproduce_corpora: 18}


@pytest.mark.parametrize("reproduce", REPRODUCERS)
def test_the_small_tables_are_those_of_hand_arithmetic(layout, reproduce):
    found, agreements = reproduce(read_published(layout()))
    assert len(found) in (1, 3)
    assert [one for one in agreements if not one.holds] == []


@pytest.mark.parametrize(("reproduce", "rows"), REPRODUCERS.items())
def test_every_row_of_the_published_tables_is_made_again(published_tables, reproduce, rows):
    found, agreements = reproduce(published_tables)
    assert len(found) == rows
    assert [one for one in agreements if not one.holds] == []


def test_a_decade_starts_at_its_count_and_ends_before_the_next(layout):
    found, _ = reproduce_decades(read_published(layout()))
    assert [(one.label, one.n, one.mean) for one in found] == [
        ("0", 1, 90),
        ("[1,10)", 1, 10),
        ("[10,100)", 2, 20),
    ]
    assert found[2].error == pytest.approx(10 / np.sqrt(2))


def test_r_without_the_last_bin_and_weighted_by_concepts(layout):
    (found,), _ = reproduce_sensitivity(read_published(layout()))
    assert found.r == pytest.approx(-35 / np.sqrt(4375))
    assert found.r_without_last == pytest.approx(0.5)
    assert found.r_weighted == pytest.approx(-32 / np.sqrt(6.8 * 880))
    assert (found.n_filled, found.fewest) == (4, 1)


def test_a_concept_with_two_counts_is_taken_once_and_told(layout):
    # Retrieval knows the bee 50 times in d, the sets before it 10 times.
    published = read_published(layout({"concept_counts.csv": {10: "coco,bee,1,1,1,50"}}))
    (found,), _ = reproduce_corpora(published)
    assert (found.n, found.n_disagreeing) == (9, 1)
    assert found.pearson == pytest.approx(1)


@pytest.mark.parametrize(
    ("reproduce", "name", "row", "message"),
    [
        (reproduce_decades, "acc_by_frequency_decade.csv", "M,c,lemmatized,ten,1,1,1", "freq_bin is 'ten'"),
        (reproduce_decades, "acc_by_frequency_decade.csv", 'M,c,lemmatized,"[2,3)",1,1,1', "no concept has a count"),
        (reproduce_decades, "acc_by_frequency_decade.csv", "N,c,lemmatized,0,1,1,1", "no scores of N"),
        (reproduce_sensitivity, "binning_sensitivity_zeroshot_ensemble.csv", "M,c,lemmatized,,4,1,1,1,1", "n_bins is nan"),
        (reproduce_sensitivity, "binning_sensitivity_zeroshot_ensemble.csv", "M,c,lemmatized,4,4,1,1,1,1", "3 bins are filled"),
        (reproduce_corpora, "frequency_correlations_aligned.csv", "rampp0.7,c,e,9,1,1,1", "no counts rampp0.7 of e"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_made_again_are_refused_by_line(layout, reproduce, name, row, message):
    with pytest.raises(Refusal, match=f"{name} line 2: .*{message}"):
        reproduce(read_published(layout({name: {1: row}})))


def test_numbers_that_only_one_side_has_never_agree():
    found = compare_column(
        "t.csv", "r", [np.nan, np.nan, 1.0], [np.nan, 1.0, 1.0], tolerance=1, rows=["a", "b", "c"]
    )
    assert (found.largest, found.where, found.holds) == (np.inf, "b", False)
    with pytest.raises(ValueError, match="2 rows"):
        compare_column("t.csv", "r", [1.0], [1.0], tolerance=1, rows=["a", "b"])


def test_defects_of_the_counts_are_told(layout):
    folder = layout({"concept_counts.csv": {
        0: "downstream,concept,c|lemmatized,c|rampp0.7,c|integrated_tlemmatized_i0.7,c|rampp0.5",
        2: "cifar10,bee,,1,1,0",
        9: "coco,,0,0,0,0",
        10: "coco,bee,1,2,1,20",
    }})  # fmt: skip
    text = (folder / "concept_counts.csv").read_text().splitlines(keepends=True)
    (folder / "concept_counts.csv").write_text("".join([*text, "imagenet,Elk,100,100,100,1000\n"]))
    assert find_published_defects(read_published(folder)) == (
        "c: image counts of bee rise with the threshold of the tagger, where they can only fall",
        "c|rampp0.7: the counts of 1 concepts differ from test set to test set",
        "c|rampp0.5: the counts of 1 concepts differ from test set to test set",
        "imagenet and imagenet-sketch share 1 names: figures of image and joint counts hold them twice",
        "1 of 7 concepts of zeroshot have no count in c|lemmatized, and are left out",
    )


def test_the_known_defects_of_the_published_counts_are_told(published_tables):
    told = find_published_defects(published_tables)
    assert "cc12m: image counts of beagle, boxer, chihuahua, pomeranian rise" in told[0]
    differing = {one.split(":")[0]: int(one.split()[4]) for one in told if "differ from" in one}
    joint = {name: n for name, n in differing.items() if "integrated" in name and "aesthetics" not in name}
    assert sorted(joint.values()) == [41, 75, 78]
    assert (
        "imagenet and imagenet-sketch share 1,000 names: figures of image and joint counts hold them twice"
        in told
    )
