import math
from itertools import combinations

import numpy as np
import pytest
from scipy import sparse
from tests.retrieval.counting.counted import VOCABULARY, counted, counted_among

from oddpair.eval.composing.pmi_texts import CONTROLS, find_concepts, measure_texts, rows_of_texts
from oddpair.eval.composing.pmi_texts_file import TextSamples
from oddpair.retrieval.concepts import build_vocabulary, nested_pairs
from oddpair.retrieval.counting.pmi_variants import published_pmi
from oddpair.retrieval.mentions.matcher import Matcher

NAMES = VOCABULARY.names
CAPTIONS = np.random.default_rng(0).random((200, len(NAMES))) < [0.5, 0.3, 0.05, 0.4, 0.0]


@pytest.fixture(scope="module")
def counts():
    return counted(CAPTIONS)


def texts_of(*sets):
    """Mentions of texts that name some concepts."""
    rows = [[name in names for name in NAMES] for names in sets]
    return sparse.csr_array(np.array(rows, dtype=np.bool_).reshape(-1, len(NAMES)))


def slow_pmi(names, variant):
    """Mean PMI of a set by reading every caption for every pair; nested concepts are no pair."""
    ids = sorted(NAMES.index(name) for name in names)
    values = []
    for a, b in combinations(ids, 2):
        if (a, b) in nested_pairs(VOCABULARY):
            continue
        pair = int((CAPTIONS[:, a] & CAPTIONS[:, b]).sum())
        if variant == "smoothed":
            expected = CAPTIONS[:, a].sum() * CAPTIONS[:, b].sum() / len(CAPTIONS)
            values.append(math.log((pair + 0.5) / (expected + 0.5)))
        else:
            marginals = []
            for own in (a, b):
                partners = [c for c in range(len(NAMES)) if c != own]
                partners = [c for c in partners if tuple(sorted((own, c))) not in nested_pairs(VOCABULARY)]
                marginals.append(sum(int((CAPTIONS[:, own] & CAPTIONS[:, c]).sum()) for c in partners))
            values.append(
                math.log(1.0000000003125 * (pair + 1) / ((marginals[0] + 1e3) * (marginals[1] + 1e3)))
            )
    return np.mean(values) if values else math.nan


@pytest.mark.parametrize("variant", ["smoothed", "published"])
def test_the_mean_pmi_is_that_of_reading_every_caption(counts, variant):
    sets = [names for size in range(len(NAMES) + 1) for names in combinations(NAMES, size)]
    found = measure_texts(texts_of(*sets), counts)
    expected = [slow_pmi(names, variant) for names in sets]
    assert found.pmi[variant] == pytest.approx(np.array(expected), nan_ok=True)
    assert found.known.tolist() == [not math.isnan(value) for value in expected]
    assert found.concepts.tolist() == [len(names) for names in sets]


def test_the_published_form_hits_its_test_vectors():
    found = published_pmi(np.array([10, 0]), np.array([100_000, 0]), np.array([200_000, 0]))
    assert found == pytest.approx([-21.336041, -13.815511], abs=1e-6)


def test_nested_concepts_are_no_pair_but_the_rest_of_the_text_counts(counts):
    found = measure_texts(texts_of(("tree", "pine tree"), ("tree", "pine tree", "cat")), counts)
    assert found.known.tolist() == [False, True]
    assert found.pairs.tolist() == [0, 2]
    assert found.uncounted.tolist() == [1, 1]


def test_pairs_of_rare_concepts_that_were_not_counted_are_left_out_and_told():
    members = np.sort(np.argsort(-CAPTIONS.sum(axis=0), kind="stable")[:3])
    partial = counted_among(CAPTIONS, None, members, [])
    names = [NAMES[place] for place in members]
    whole = measure_texts(texts_of(names, [*names, "bird"]), partial)
    assert whole.pairs.tolist() == [3, 3]
    assert whole.uncounted.tolist() == [0, 3]
    assert whole.pmi["smoothed"][0] == whole.pmi["smoothed"][1] == pytest.approx(slow_pmi(names, "smoothed"))


def test_a_concept_that_no_caption_names_is_no_evidence(counts):
    found = measure_texts(texts_of(("cat", "bird"), ("cat", "dog")), counts)
    assert found.pmi["smoothed"][0] == 0
    assert found.least_log_count[0] == 0
    cat, dog = (math.log10(1 + CAPTIONS[:, NAMES.index(name)].sum()) for name in ("cat", "dog"))
    assert found.mean_log_count[1] == pytest.approx((cat + dog) / 2)
    assert found.least_log_count[1] == pytest.approx(min(cat, dog))


def test_texts_of_one_set_share_its_number(counts):
    found = measure_texts(texts_of(("cat", "dog"), (), ("dog", "cat"), ("cat",)), counts)
    assert found.sets[0] == found.sets[2]
    assert len(set(found.sets.tolist())) == 3


def test_no_concept_spans_a_question_and_its_answer_and_yes_is_kept():
    finder = Matcher(build_vocabulary(["yes", "no", "hot dog", "dog"]))
    found = find_concepts([["Is it hot", "no dog?"], ["dog", "Yes."]], finder)
    assert found.toarray().tolist() == [[False, False, False, True], [True, True, False, True]]


def test_columns_of_other_lengths_and_other_concepts_are_refused(counts):
    with pytest.raises(ValueError, match=r"columns of text have \[1, 2\] rows"):
        find_concepts([["a"], ["b", "c"]], Matcher(VOCABULARY))
    with pytest.raises(ValueError, match="texts of 2 concepts, counts of 5"):
        measure_texts(sparse.csr_array(np.ones((1, 2), np.bool_)), counts)


def test_rows_of_a_model_are_its_texts_with_a_mean_pmi(counts):
    texts = measure_texts(texts_of(("cat", "dog"), ("cat",), ("cat", "dog"), ("tree", "dog", "cat")), counts)
    samples = TextSamples(
        model=np.array(["a", "a", "a", "b"]),
        dataset=np.full(4, ""),
        sample=np.array(["1", "2", "3", "1"]),
        parts=(("",) * 4,),
        correct=np.array([1.0, 1, 0, 0.5]),
    )
    rows = rows_of_texts(samples, texts, "a", "smoothed")
    assert rows is not None
    assert rows.samples.tolist() == [2]
    assert rows.accuracy.tolist() == [0.5]
    assert rows.pmi == pytest.approx([slow_pmi(("cat", "dog"), "smoothed")])
    assert rows.names == CONTROLS
    assert rows.controls[0, 2] == pytest.approx(math.log10(2))
    alone = rows_of_texts(samples, measure_texts(texts_of(*[("cat",)] * 4), counts), "b", "published")
    assert alone is None
