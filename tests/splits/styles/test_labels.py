from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.splits.style_data import plant, write_pictures

from oddpair import files
from oddpair.errors import Refusal
from oddpair.splits.labelling.origin import Origin, describe_corpus, write_origin
from oddpair.splits.pool import pool_of_stored, pool_of_uids
from oddpair.splits.styles.labels import (
    StyleLabels,
    draw_labels,
    labels_of_column,
    labels_of_file,
    read_texts,
)

MEANING: dict[str, Any] = {"natural": ["photo"], "ambiguous": ["ambiguous"]}
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


def test_labels_of_another_corpus_are_refused_and_those_of_a_few_lost_rows_are_left_out(tmp_path):
    pool = pool_of_uids([f"{row:02d}" for row in range(30)])
    for lost, uids in ((1, ["00", "nowhere"]), (4, [*map("{:02d}".format, range(30)), *"wxyz"])):
        path = write_labels(tmp_path / f"{lost}.parquet", uid=uids, label=["photo"] * len(uids))
        with pytest.raises(
            Refusal,
            match=rf"{lost} of {len(uids)} labelled uids are not in the corpus .*, more than 10%: give",
        ):
            labels_of_file(path, pool, **MEANING)
    uids = [*map("{:02d}".format, range(0, 30, 2)), "lost"]
    drawn = ["random" if row % 3 else None for row in range(16)]
    path = write_labels(
        tmp_path / "few.parquet", uid=uids, label=["oil"] * 16, drawn=pa.array(drawn, pa.string())
    )
    found = labels_of_file(path, pool, **MEANING)
    assert found.strange == 1
    assert found.random is not None
    assert found.unmarked is not None
    assert found.codes.tolist() == [1, -1] * 15
    assert np.flatnonzero(found.random).tolist() == [row * 2 for row in range(15) if row % 3]
    assert np.flatnonzero(found.unmarked).tolist() == [row * 2 for row in range(15) if not row % 3]


def test_labels_that_name_another_corpus_are_refused(tmp_path):
    planted = plant(20)
    pictures = write_pictures(tmp_path, planted)
    pool = pool_of_stored(pictures.stored)
    for known, refused in ((describe_corpus(pictures.corpus), False), ("21 rows in 1 shards (npy)", True)):
        metadata = write_origin(Origin(corpus=known))
        table = pa.table({"uid": planted[3], "label": ["photo"] * 20}).replace_schema_metadata(metadata)
        files.write_table(tmp_path / "labels.parquet", table)
        if refused:
            with pytest.raises(
                Refusal, match=r"has labels of a corpus of 21 rows in 1 shards .* has 20 rows in"
            ):
                labels_of_file(tmp_path / "labels.parquet", pool, **MEANING, corpus=pictures.corpus)
        else:
            found = labels_of_file(tmp_path / "labels.parquet", pool, **MEANING, corpus=pictures.corpus)
            assert found.count(0) == 20


def test_some_of_the_rows_keep_what_is_known_of_them():
    codes, random = np.array([0, 1, -1, 2, 0]), np.array([True, False, False, True, False])
    labels = replace(labels_of(codes, random), unmarked=~random, left_open={2: "random", 4: ""})
    some = labels.among(np.array([False, True, True, True, False]))
    assert some.pool.uids.to_pylist() == ["0001", "0002", "0003"]
    assert (some.codes.tolist(), some.random.tolist()) == ([1, -1, 2], [False, False, True])
    assert (some.unmarked.tolist(), some.left_open) == ([True, True, False], {1: "random"})


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
