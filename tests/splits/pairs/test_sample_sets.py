import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from tests.splits.unseen_data import NAMES, VOCABULARY, named, pictures, uid, write_corpus, write_tags

from oddpair.errors import Refusal
from oddpair.retrieval.concepts import Concept, Vocabulary, build_vocabulary
from oddpair.retrieval.counting.tags import open_tags
from oddpair.retrieval.mentions.find import find_mentions
from oddpair.splits.pairs.sample_sets import Columns, drop_implied, find_implied, read_samples


def read(folder, mode="captions", tags=None, columns=None):
    opened = None if tags is None else open_tags(tags, VOCABULARY)
    return read_samples(pictures(folder), VOCABULARY, columns or Columns(), mode=mode, tags=opened)


def sets_of(samples):
    names = VOCABULARY.names
    return [
        {names[number] for number in samples.sets.indices[start:stop]}
        for start, stop in zip(samples.sets.indptr, samples.sets.indptr[1:], strict=False)
    ]


def test_a_sample_has_the_concepts_of_its_caption_without_names_inside_other_names(tmp_path):
    write_corpus(tmp_path / "t", ["a cat and a pine tree", "Dogs!", "nothing"])
    samples = read(tmp_path / "t")
    assert sets_of(samples) == [{"cat", "pine tree"}, {"dog"}, set()]
    assert samples.pool.uids.to_pylist() == [uid(0), uid(1), uid(2)]
    assert samples.sample.tolist() == [0, 1, 2]


@pytest.mark.parametrize("images", [["7", "8", "7", None], [7, 8, 7, None]], ids=["texts", "numbers"])
def test_rows_of_one_image_are_one_sample_with_the_concepts_of_all_captions(tmp_path, images):
    write_corpus(tmp_path / "t", ["cat", "dog", "van", "kite"], image=images)
    samples = read(tmp_path / "t")
    assert sets_of(samples) == [{"cat", "van"}, {"dog"}, {"kite"}]
    assert samples.sample.tolist() == [0, 1, 0, 2]
    assert samples.first_uids.to_pylist() == [uid(0), uid(1), uid(3)]
    assert samples.keep(np.array([True, False, False])).to_pylist() == [uid(0), uid(2)]
    assert samples.count_rows(np.array([True, False, True])) == 3


def test_rows_of_one_uid_are_one_sample_wherever_they_are(tmp_path):
    write_corpus(tmp_path / "t", ["cat", "van", "dog"], uids=[uid(5), uid(1), uid(5)], shards=3)
    samples = read(tmp_path / "t")
    assert sets_of(samples) == [{"van"}, {"cat", "dog"}]
    assert samples.pool.uids.to_pylist() == [uid(1), uid(5)]


def test_a_column_of_pictures_under_the_name_of_the_image_groups_nothing(tmp_path):
    write_corpus(tmp_path / "t", ["cat", "dog"], image=[{"bytes": b"x"}, {"bytes": b"x"}])
    assert len(read(tmp_path / "t")) == 2


def test_content_is_read_from_lists_and_from_texts_and_unknown_names_are_counted(tmp_path):
    write_corpus(tmp_path / "lists", ["van", "van"], concepts=[["Cat", "dogs", "unicorn"], None])
    write_corpus(tmp_path / "texts", ["van", "van"], concepts=["cat; dog;unicorn", None])
    for folder in ("lists", "texts"):
        assert sets_of(read(tmp_path / folder, "images")) == [{"cat", "dog"}, set()]
        assert sets_of(read(tmp_path / folder, "both")) == [{"cat", "dog", "van"}, {"van"}]
        assert read(tmp_path / folder, "images").unknown == 1


def test_without_a_column_of_content_the_tags_of_the_test_images_tell(tmp_path):
    write_corpus(tmp_path / "t", ["van", "van"])
    tags = write_tags(tmp_path / "tags.parquet", [("cat", "dog"), ()])
    assert sets_of(read(tmp_path / "t", "images", tags)) == [{"cat", "dog"}, set()]
    with pytest.raises(Refusal, match="has no column 'concepts', and no tags were given: name a column"):
        read(tmp_path / "t", "images")


def test_a_column_of_content_that_is_no_text_is_refused(tmp_path):
    write_corpus(tmp_path / "t", ["van", "van"], concepts=[3, 4])
    with pytest.raises(Refusal, match="column 'concepts' is int64, needed lists of texts"):
        read(tmp_path / "t", "images")


def test_a_test_set_without_captions_is_refused_where_they_are_read(noise, as_bytes, tmp_path):
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "a.png").write_bytes(as_bytes(noise(1)))
    with pytest.raises(Refusal, match="test set test has no captions: set count_in to images"):
        read(tmp_path / "t")


def test_of_two_concepts_with_the_same_forms_the_first_stays():
    twins = Vocabulary(concepts=tuple(Concept(name=name, forms=("crane",)) for name in ("bird", "machine")))
    assert find_implied(twins).toarray().tolist() == [[0, 1], [0, 0]]
    assert drop_implied(csr_array(np.array([[True, True], [False, True]])), twins).toarray().tolist() == [
        [True, False],
        [False, True],
    ]


def test_a_concept_with_a_form_of_its_own_is_not_left_out():
    found = find_implied(build_vocabulary([("pine tree", "pine"), "tree", "cat"]))
    assert not found.nnz


@given(st.lists(st.lists(st.sampled_from(NAMES), max_size=5, unique=True), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_what_is_left_out_changes_no_count_of_captions(rows):
    captions = [" and ".join(row) for row in rows]
    every = find_mentions(VOCABULARY, captions)
    left = drop_implied(every, VOCABULARY)
    for caption, before, after in zip(captions, every.toarray(), left.toarray(), strict=True):
        assert {NAMES[number] for number in np.flatnonzero(before)} == named(caption)
        holding = [other.all() for other in every.toarray()[:, before]]
        assert holding == [other.all() for other in every.toarray()[:, after]]
        assert not {"pine tree", "tree"} <= {NAMES[number] for number in np.flatnonzero(after)}
