import dataclasses

import numpy as np
import pytest

from oddpair.eval.composing.objects import ObjectSamples, code_sets

NAN = np.nan


def make_samples(**changed):
    given = {
        "model": np.array(["m", "m", "m", "m"]),
        "corpus": np.array(["c", "c", "c", "c"]),
        "sample": np.array(["1", "2", "3", "4"]),
        "objects": (("cat", "Dog"), ("dog", "cat"), ("tree",), ("cat", "dog", "tree")),
        "correct": np.array([1.0, 0.0, 0.5, 1.0]),
        "counts": np.array([9.0, 99.0, 99.0, 9.0, 5.0, 9.0, 99.0, 5.0]),
        "count_set": np.array([2.0, 2.0, 5.0, 0.0]),
        "pmi": np.array([0.5, 0.5, NAN, NAN]),
        "corpus_size": np.full(4, 1000.0),
    }
    return ObjectSamples(**{**given, **changed})


def test_a_set_is_one_whatever_the_order_and_spelling_of_its_objects():
    samples = make_samples()
    assert samples.key.tolist() == ["cat;dog", "cat;dog", "tree", "cat;dog;tree"]
    codes, members = code_sets(samples)
    assert codes.tolist() == [0, 0, 2, 1]
    assert members.toarray().tolist() == [[1, 1, 0], [1, 1, 1], [0, 0, 1]]


def test_unseen_is_a_set_of_two_or_more_that_is_known_to_be_nowhere():
    samples = make_samples()
    assert samples.unseen.tolist() == [False, False, False, True]
    assert samples.seen.tolist() == [True, True, False, False]
    unknown = make_samples(count_set=np.array([NAN, 2.0, 5.0, NAN]))
    assert unknown.usable.tolist() == [False, True, False, False]
    assert not unknown.unseen.any()


def test_a_count_that_nobody_made_is_no_count_of_0():
    counts = make_samples().counts.copy()
    counts[0] = NAN
    assert make_samples(counts=counts).usable.tolist() == [False, True, False, True]


def test_rows_are_taken_with_their_own_counts():
    rows = make_samples().take(np.array([3, 0]))
    assert rows.objects == (("cat", "dog", "tree"), ("cat", "Dog"))
    assert rows.counts.tolist() == [9, 99, 5, 9, 99]
    assert rows.smallest.tolist() == [5, 9]
    masked = make_samples().take(np.array([False, False, True, False]))
    assert (masked.objects, masked.counts.tolist()) == ((("tree",),), [5])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"objects": ()}, "no rows"),
        ({"pmi": np.zeros(3)}, r"pmi has shape \(3,\), there are 4 rows"),
        ({"counts": np.zeros(7)}, r"counts have shape \(7,\), there are 8 objects"),
        (
            {"objects": (("cat", "CAT"), ("dog", "cat"), ("tree",), ("cat", "dog", "tree"))},
            r"row 0 has the objects \['cat', 'CAT'\], needed one or more, each once",
        ),
        (
            {"objects": (("cat", "Dog"), ("dog", "cat"), ("..",), ("cat", "dog", "tree"))},
            "row 2 has the objects",
        ),
        ({"correct": np.array([1.0, 1.5, 0.0, 0.0])}, "row 1: correct is 1.5"),
        ({"correct": np.array([1.0, 1.0, 0.0, NAN])}, "row 3 does not say what is correct"),
        (
            {"count_set": np.array([10.0, 2.0, 5.0, 0.0])},
            "row 0: an object has the count 9, less than all objects",
        ),
        (
            {"corpus_size": np.full(4, 50.0)},
            "row 0: an object has the count 99, more than its corpus has samples",
        ),
        (
            {"corpus_size": np.array([1000.0, 999.0, 1000.0, NAN])},
            "corpus 'c' has 999 samples in one row, 1000",
        ),
        ({"sample": np.array(["1", "2", "1", "4"])}, r"row 2 repeats \(model, sample\) \('m', '1'\)"),
        ({"corpus": np.array(["c", "c", "d", "c"])}, "model 'm' has rows of 2 corpora"),
    ],
)
def test_what_is_no_sample_is_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        make_samples(**changed)


def test_the_same_sample_may_come_once_for_every_model():
    samples = make_samples(model=np.array(["a", "a", "a", "b"]), sample=np.array(["1", "2", "3", "1"]))
    assert (samples.models, samples.corpora) == (("a", "b"), ("c",))
    assert dataclasses.replace(samples, pmi=np.zeros(4)).pmi.tolist() == [0, 0, 0, 0]
