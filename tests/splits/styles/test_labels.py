import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.splits.style_data import plant, write_pictures

from oddpair import files
from oddpair.errors import Refusal
from oddpair.splits.pool import pool_of_stored, pool_of_uids
from oddpair.splits.styles.labels import (
    StyleLabels,
    draw_labels,
    hold_out,
    labels_of_column,
    labels_of_file,
    read_texts,
)

MEANING = {"natural": ["photo"], "ambiguous": ["ambiguous"]}
CODE = {"photo": 0, "sketch": 1, "ambiguous": 2, "": -1}


def labels_of(codes, random=None):
    pool = pool_of_uids([f"{row:04d}" for row in range(len(codes))])
    return StyleLabels(
        pool=pool, codes=np.asarray(codes, dtype=np.int8), random=random, source="the column 'style'"
    )


def test_a_column_is_read_as_classes_by_uid(tmp_path):
    image, texture, styles, uids = plant(60)
    styles = [None if row % 7 == 0 else "" if row % 7 == 1 else style for row, style in enumerate(styles)]
    pictures = write_pictures(tmp_path, (image, texture, styles, uids))
    pool = pool_of_stored(pictures.stored)
    found = labels_of_column(pictures.corpus, "style", pool, **MEANING)
    expected = [CODE[style or ""] for _, style in sorted(zip(uids, styles, strict=True))]
    assert found.codes.tolist() == expected
    assert found.random is None


def test_a_column_without_any_value_labels_nothing(tmp_path):
    image, texture, styles, uids = plant(20)
    pictures = write_pictures(tmp_path, (image, texture, [None] * len(styles), uids))
    found = labels_of_column(pictures.corpus, "style", pool_of_stored(pictures.stored), **MEANING)
    assert (found.codes == -1).all()


def test_a_column_that_is_missing_or_no_text_is_refused(tmp_path):
    image, texture, _, uids = plant(20)
    pictures = write_pictures(tmp_path, (image, texture, list(range(20)), uids))
    pool = pool_of_stored(pictures.stored)
    with pytest.raises(Refusal, match="has a column 'style' of type int64, labels are text: name another"):
        labels_of_column(pictures.corpus, "style", pool, **MEANING)
    with pytest.raises(Refusal, match="has no column 'look'"):
        labels_of_column(pictures.corpus, "look", pool, **MEANING)


def test_two_rows_of_one_picture_may_not_be_labelled_in_two_ways(tmp_path):
    image, texture, styles, uids = plant(20)
    styles[3], styles[11], uids[11] = "photo", "sketch", uids[3]
    image[11] = image[3]
    pictures = write_pictures(tmp_path, (image, texture, styles, uids))
    pool = pool_of_stored(pictures.stored)
    with pytest.raises(Refusal, match=f"labels uid {uids[3]} in two ways in the column 'style'"):
        labels_of_column(pictures.corpus, "style", pool, **MEANING)


def write_labels(path, **columns):
    files.write_table(path, pa.table(columns))
    return path


def test_a_table_is_read_as_classes_and_how_rows_were_drawn(tmp_path):
    pool = pool_of_uids(list("abcdef"))
    path = write_labels(
        tmp_path / "labels.parquet", uid=list("eca"), label=["photo", "oil", "ambiguous"],
        drawn=["random", "enriched", "random"],
    )  # fmt: skip
    found = labels_of_file(path, pool, **MEANING)
    assert found.codes.tolist() == [2, -1, 1, -1, 0, -1]
    assert found.random is not None
    assert found.random.tolist() == [True, False, False, False, True, False]
    plain = write_labels(tmp_path / "plain.parquet", uid=["a"], label=["photo"])
    assert labels_of_file(plain, pool, **MEANING).random is None


def test_labels_of_another_corpus_are_refused(tmp_path):
    path = write_labels(tmp_path / "labels.parquet", uid=["a", "nowhere"], label=["photo", "photo"])
    with pytest.raises(
        Refusal, match="1 labelled uids are not in the corpus, such as 'nowhere': give the labels of"
    ):
        labels_of_file(path, pool_of_uids(["a"]), **MEANING)


@given(
    counts=st.lists(st.integers(5, 60), min_size=3, max_size=3),
    styles=st.sampled_from([["natural"], ["rendition"], ["natural", "rendition"]]),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=30, deadline=None)
def test_tests_are_taken_out_and_every_class_is_thinned_alike(counts, styles, seed):
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.repeat([0, 1, 2, -1], [*counts, 30]))
    random = rng.random(len(codes)) < 0.5
    labels = labels_of(codes, random)
    rest, taken = hold_out(labels, styles, 0.2, np.random.default_rng(seed))
    assert list(taken) == styles
    for style, places in taken.items():
        assert (codes[places] == ("natural", "rendition").index(style)).all()
    gone = np.concatenate(list(taken.values()))
    uids = labels.pool.uids.to_numpy(zero_copy_only=False)
    assert rest.pool.uids.to_pylist() == np.delete(uids, gone).tolist()
    assert rest.random is not None
    assert rest.random.tolist() == np.delete(random, gone).tolist()
    for code, count in enumerate(counts):
        assert rest.count(code) == count - round(0.2 * count)
    # What keeps a label keeps its own.
    left = np.delete(codes, gone)
    assert ((rest.codes == left) | (rest.codes == -1)).all()


def test_a_style_with_too_few_labels_to_make_a_test_is_refused_with_its_source():
    for codes, style in (([1] * 20, "natural"), ([0] * 20, "rendition")):
        with pytest.raises(
            Refusal, match=rf"0 rows are labelled {style}, too few to hold out 20% .*check the column 'style'"
        ):
            hold_out(labels_of(codes), ["natural", "rendition"], 0.2, np.random.default_rng(0))


def test_only_so_many_labels_are_looked_at():
    codes = np.random.default_rng(0).integers(-1, 3, 300)
    drawn = draw_labels(labels_of(codes), 50, np.random.default_rng(1))
    known = drawn.codes >= 0
    assert known.sum() == 50
    assert (drawn.codes[known] == codes[known]).all()
    labels = labels_of(codes)
    assert draw_labels(labels, None, np.random.default_rng(1)) is labels
    with pytest.raises(Refusal, match="no row has a label in the column 'style': label some rows by hand"):
        draw_labels(labels_of([-1, -1]), None, np.random.default_rng(0))


def test_a_column_that_a_test_set_may_lack_is_read_where_it_is(tmp_path):
    image, texture, styles, uids = plant(20)
    classes = [None if row == 4 else f"class {row % 3}" for row in range(20)]
    pictures = write_pictures(
        tmp_path, (image, texture, styles, uids), **{"class": classes, "number": list(range(20))}
    )
    expected = {uid: name for uid, name in zip(uids, classes, strict=True) if name}
    assert read_texts(pictures.corpus, "class") == expected
    assert read_texts(pictures.corpus, "wnid") == {}
    assert read_texts(pictures.corpus, "number") == {}
    assert read_texts(None, "class") == {}
