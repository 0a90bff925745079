from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.splits.style_data import STYLES, plant, plant_tests, write_inputs, write_pictures

from oddpair.errors import Refusal
from oddpair.eval.auditing.asked import Asked, Material
from oddpair.eval.auditing.styles import find_styles
from oddpair.splits.recipe_file import KINDS
from oddpair.splits.recipes.style_strict import build
from oddpair.splits.similar.search import search_corpus

ASKED = Asked(precision=0.8)
CLASS = dict(zip(STYLES, ("natural", "rendition", "ambiguous"), strict=True))


def gather(inputs, work, asked=ASKED):
    """What the parts of an audit of the one test set are given."""
    (name,) = inputs.tests
    searched = search_corpus(inputs, work / "search", deduplicate=None, sampled=0, seed=0)
    return Material(asked=asked, inputs=inputs, name=name, searched=searched, table=None, work=work)


def ask(material, **changes):
    return find_styles(replace(material, asked=replace(material.asked, **changes)))


@pytest.fixture(scope="module")
def planted():
    return plant()


@pytest.fixture(scope="module")
def material(planted, tmp_path_factory):
    tests = {"sketches": plant_tests()["sketches"]}
    folder = tmp_path_factory.mktemp("audited")
    return gather(write_inputs(folder / "given", planted, tests=tests), folder / "work")


@pytest.fixture(scope="module")
def found(material):
    return ask(material, style="rendition")


def labelled_test(folder, planted, labels):
    """The sketches with labels of their own."""
    image, texture, _, uids = plant_tests()["sketches"]
    inputs = write_inputs(folder, planted)
    tests = {"sketches": write_pictures(folder, (image, texture, labels(len(uids)), uids), name="sketches")}
    return replace(inputs, tests=tests)


def carry_out(removal_found, material, work):
    """Split by the settings that are written down, read as ``oddpair split`` reads them."""
    settings = {key: tuple(value) if isinstance(value, list) else value
                for key, value in removal_found.recipe.items()}  # fmt: skip
    recipe = KINDS[removal_found.removal.kind].recipe(**settings)
    built = build(recipe, material.inputs, work)
    return {manifest.name: set(manifest.uids.to_pylist()) for manifest in built.splits}


@pytest.mark.parametrize("style", ["rendition", "natural"])
@pytest.mark.parametrize("labelled", [None, 500])
def test_what_is_left_is_the_split_that_the_recipe_makes(material, tmp_path, style, labelled):
    result = ask(material, style=style, labelled=labelled)
    removal, rows = result.removal.removal, result.removal.rows
    assert removal.split == {"rendition": "natural-strict", "natural": "rendition-strict"}[style]
    gone = rows["uid"].to_pylist()
    assert gone == sorted(set(gone))
    everything = set(material.searched.corpus.pool.uids.to_pylist())
    assert everything - set(gone) == carry_out(result.removal, material, tmp_path)[removal.split]
    assert removal.gone == len(gone) == sum(count for _, count in removal.why)
    assert removal.gone + removal.left == removal.rows == len(everything)
    told = rows["reason"].to_pylist()
    assert {reason: told.count(reason) for reason in told} == {why: n for why, n in removal.why if n}


def test_shares_of_a_whole_labelled_corpus_are_the_planted_counts(planted, found):
    counts = {share.style: (share.corpus.part, share.corpus.n) for share in found.styles.classes}
    assert counts == {CLASS[word]: (planted[2].count(word), len(planted[2])) for word in STYLES}
    finer = {share.style: share.corpus.part for share in found.styles.finer}
    assert finer == {word: planted[2].count(word) for word in STYLES}
    assert [share.style for share in found.styles.finer] == sorted(STYLES, key=lambda word: -finer[word])


def test_planted_shares_lie_in_the_intervals_of_labels_drawn_from_them(planted, material):
    hits = total = 0
    for seed in range(12):
        styles = ask(material, style="rendition", labelled=150, precision=0.5, seed=seed).styles
        assert styles.corpus.n == 150
        assert styles.corpus == styles.classes[1].corpus
        assert styles.corpus.value < styles.at_most < styles.corpus.high
        for share in styles.classes:
            word = next(word for word, name in CLASS.items() if name == share.style)
            hits += share.corpus.low <= planted[2].count(word) / len(planted[2]) <= share.corpus.high
            total += 1
    assert hits / total >= 0.9


def test_the_report_on_untouched_labels_says_how_good_the_classifier_is(found):
    styles = found.styles
    assert styles.precision.part == styles.recall.part
    assert 0.8 < styles.precision.value <= 1
    assert 0 < styles.leak_bound < 0.2
    assert styles.unsorted == found.why == ""


def test_rows_that_are_sorted_otherwise_than_labelled_are_confusions(planted, found):
    style = dict(zip(planted[3], planted[2], strict=True))
    lines = [line for line in found.confusions.to_pylist() if line["side"] == "corpus"]
    assert lines
    assert [line["uid"] for line in lines] == sorted(line["uid"] for line in lines)
    for line in lines:
        assert line["label"] == style[line["uid"]]
        assert line["sorted"] != CLASS[line["label"]]


def test_in_domain_rows_are_those_of_the_style_of_the_test(planted, found):
    style = dict(zip(planted[3], planted[2], strict=True))
    uids = found.in_domain.to_pylist()
    assert uids == sorted(uids)
    assert sum(style[uid] == "sketch" for uid in uids) > 0.9 * len(uids)
    gone = [
        line["uid"]
        for line in found.removal.rows.to_pylist()
        if line["reason"].startswith("of the test's style")
    ]
    assert gone == uids
    assert len(uids) == found.styles.sorted["rendition"]


def test_the_option_outranks_labels_and_labels_outrank_the_classifiers(planted, material, tmp_path):
    assert ask(material, style="natural").styles.told_by == "option"
    by_classifier = ask(material).styles
    assert (by_classifier.style, by_classifier.told_by, by_classifier.shares_by) == (
        "rendition",
        "classifier",
        "classifier",
    )
    inputs = labelled_test(tmp_path / "given", planted, lambda n: ["photo"] * (n - 9) + ["oil"] * 8 + [""])
    result = ask(gather(inputs, tmp_path / "work"))
    styles = result.styles
    assert (styles.style, styles.told_by, styles.shares_by) == ("natural", "labels", "labels")
    n = len(
        inputs.tests["sketches"]
        .need_stored()
        .uids(np.arange(inputs.tests["sketches"].need_stored().shape[0]))
    )
    shares = {share.style: (share.test.part, share.test.n) for share in styles.classes}
    assert shares == {"natural": (n - 9, n - 1), "rendition": (8, n - 1), "ambiguous": (0, n - 1)}
    finer = {share.style: share for share in styles.finer}
    assert (finer["oil"].test.part, finer["oil"].corpus.part) == (8, 0)
    # Sketches that somebody calls photos: the classifiers do not agree.
    confused = [line for line in result.confusions.to_pylist() if line["side"] == "test"]
    assert len(confused) > 0.5 * n
    assert {(line["label"], line["sorted"]) for line in confused} >= {("photo", "rendition")}


def test_a_natural_test_is_found_to_be_natural_by_the_classifiers(planted, tmp_path):
    inputs = write_inputs(tmp_path / "given", planted, tests={"val": plant_tests()["val"]})
    result = ask(gather(inputs, tmp_path / "work"))
    assert (result.styles.style, result.styles.told_by) == ("natural", "classifier")
    assert result.removal.removal.split == "rendition-strict"
    test = {share.style: share.test for share in result.styles.classes}
    assert test["natural"].n == len(plant_tests()["val"][3])
    assert test["natural"].value > 0.7


def test_every_test_image_has_a_line_with_its_class_and_its_label(material, found):
    lines = found.images.to_pylist()
    assert found.images.column_names == ["uid", "style", "label"]
    assert [line["uid"] for line in lines] == sorted(plant_tests()["sketches"][3])
    assert {line["label"] for line in lines} == {None}
    assert sum(line["style"] == "rendition" for line in lines) > 0.7 * len(lines)


def test_a_corpus_without_labels_is_told_how_to_get_some(planted, tmp_path):
    image, texture, _, uids = planted
    inputs = write_inputs(tmp_path / "a", (image, texture, [""] * len(uids), uids),
                          tests={"sketches": plant_tests()["sketches"]})  # fmt: skip
    bare = gather(inputs, tmp_path / "work")
    for each in (
        ask(bare),
        ask(bare, style_column="kind"),
        ask(replace(bare, inputs=replace(inputs, corpus=replace(inputs.corpus, corpus=None)))),
    ):
        assert (each.styles, each.removal, each.in_domain) == (None, None, None)
        assert "oddpair label CORPUS --out labels" in each.why
        assert "\n" not in each.why
        assert each.images.column_names == ["uid", "style", "label"]
        assert each.confusions.num_rows == 0


def test_labels_of_a_file_serve_embeddings_that_come_without_a_corpus(planted, material, found, tmp_path):
    path = tmp_path / "labels.parquet"
    pq.write_table(pa.table({"uid": planted[3], "label": planted[2]}), path)
    (test,) = material.inputs.tests.values()
    inputs = replace(
        material.inputs,
        corpus=replace(material.inputs.corpus, corpus=None),
        tests={material.name: replace(test, corpus=None)},
        labels=path,
    )
    alone = ask(replace(material, inputs=inputs), style="rendition")
    assert alone.styles == found.styles
    assert alone.removal.rows.equals(found.removal.rows)


def test_a_test_without_textures_has_its_corpus_sorted_as_far_as_its_own_labels_go(planted, tmp_path):
    given = write_inputs(tmp_path / "given", planted)
    image, texture, _, uids = plant_tests()["sketches"]

    def write(name, labels):
        pictures = write_pictures(
            tmp_path / name, (image, texture, labels, uids), name="sketches", textured=False
        )
        return gather(replace(given, tests={"sketches": pictures}), tmp_path / name / "work")

    labelled = ask(write("labelled", ["oil"] + [""] * (len(uids) - 1)))
    assert (labelled.styles.style, labelled.styles.told_by) == ("rendition", "labels")
    assert labelled.removal.removal.gone > 0
    assert {line["style"] for line in labelled.images.to_pylist()} == {"rendition", None}
    bare = write("bare", [""] * len(uids))
    told = ask(bare, style="rendition")
    assert told.removal.rows.equals(labelled.removal.rows)
    assert {share.test for share in told.styles.classes} == {told.styles.shares_by} == {None}
    unknown = ask(bare)
    assert unknown.styles is None
    assert "--style" in unknown.why
    assert "has no textures" in unknown.why


def test_only_rows_drawn_at_random_count_for_shares(planted, material, tmp_path):
    path = tmp_path / "labels.parquet"
    drawn = ["random" if row % 2 else "by-class" for row in range(len(planted[3]))]
    pq.write_table(pa.table({"uid": planted[3], "label": planted[2], "drawn": drawn}), path)
    styles = ask(
        replace(material, inputs=replace(material.inputs, labels=path)), style="rendition", precision=0.6
    ).styles
    at_random = planted[2][1::2]
    assert (styles.corpus.part, styles.corpus.n) == (at_random.count("sketch"), len(at_random))


def test_a_file_that_is_no_labels_is_refused(material, tmp_path):
    path = tmp_path / "labels.parquet"
    pq.write_table(pa.table({"uid": ["a"], "label": ["photo"]}), path)
    with pytest.raises(Refusal, match="1 of 1 labelled uids are not in the corpus"):
        ask(replace(material, inputs=replace(material.inputs, labels=path)))


def test_too_few_labels_to_certify_still_give_shares_of_the_corpus(planted, material):
    result = ask(material, style="rendition", labelled=60, precision=0.98)
    styles = result.styles
    assert styles.corpus.n == 60
    assert styles.corpus.low <= planted[2].count("sketch") / len(planted[2]) <= styles.corpus.high
    assert (styles.precision, styles.recall, styles.leak_bound, styles.threshold) == (None,) * 4
    assert not styles.sorted
    assert (result.removal, result.in_domain) == (None, None)
    assert "label more" in result.why
    assert result.why == styles.unsorted
    unknown = ask(material, labelled=60, precision=0.98)
    assert unknown.styles is None
    assert "--style" in unknown.why


def test_images_of_the_test_that_the_corpus_holds_have_to_go(planted, tmp_path):
    tests = plant_tests()["sketches"]
    both = tuple(
        np.concatenate([one, other[:5]]) if isinstance(one, np.ndarray) else [*one, *other[:5]]
        for one, other in zip(planted, tests, strict=True)
    )
    material = gather(write_inputs(tmp_path / "given", both, tests={"sketches": tests}), tmp_path / "work")
    result = ask(material, style="rendition")
    gone = set(result.removal.rows["uid"].to_pylist())
    assert gone >= set(tests[3][:5])
    left = set(material.searched.corpus.pool.uids.to_pylist()) - gone
    assert left == carry_out(result.removal, material, tmp_path / "split")["natural-strict"]


def test_the_same_corpus_in_other_shards_and_another_order_gives_the_same(planted, found, tmp_path):
    order = np.random.default_rng(3).permutation(len(planted[3]))
    tests = {"sketches": plant_tests()["sketches"]}
    inputs = write_inputs(tmp_path / "given", planted, tests=tests, order=order, sizes=[200, 700])
    other = ask(gather(inputs, tmp_path / "work"), style="rendition")
    assert other.styles == found.styles
    for one, two in zip(
        (found.images, found.confusions, found.removal.rows),
        (other.images, other.confusions, other.removal.rows),
        strict=True,
    ):
        assert one.equals(two)


def test_a_uid_that_comes_twice_and_has_its_label_once_is_counted_by_its_label(planted, tmp_path):
    image, texture, styles, uids = planted
    twice = (
        np.concatenate([image, image[:20]]),
        np.concatenate([texture, texture[:20]]),
        [*styles, *[""] * 20],
        [*uids, *uids[:20]],
    )
    tests = {"sketches": plant_tests()["sketches"]}
    result = ask(
        gather(write_inputs(tmp_path / "given", twice, tests=tests), tmp_path / "work"), style="rendition"
    )
    counts = {share.style: share.corpus.part for share in result.styles.classes}
    assert counts == {CLASS[word]: styles.count(word) for word in STYLES}
