import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.retrieval.counting.count_data import VOCABULARY, draw_captions, uid_of, write_tables

from oddpair.errors import Refusal
from oddpair.retrieval.concepts import build_vocabulary
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.counting.jobs import count_corpus
from oddpair.retrieval.counting.plan import CountPlan
from oddpair.retrieval.subset import write_subset
from oddpair.splits.curation.long_tail import balance, can_recount, find_candidates, read_tail, recount


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    rows = [(uid_of(n), caption) for n, caption in enumerate(draw_captions(0, 300))]
    return open_corpus(write_tables(tmp_path_factory.mktemp("tail") / "corpus", rows, parts=2))


@pytest.fixture(scope="module")
def counts(corpus, tmp_path_factory):
    out = tmp_path_factory.mktemp("tail") / "counts"
    count_corpus(corpus, out, CountPlan(vocabulary=VOCABULARY))
    return out


def write_set(folder, **columns):
    folder.mkdir()
    n = len(next(iter(columns.values())))
    table = {"uid": [uid_of(number) for number in range(n)], "text": ["a picture"] * n, **columns}
    pq.write_table(pa.table(table), folder / "part-000.parquet")
    return open_corpus(folder)


def test_the_tail_is_the_rarest_concepts_and_those_that_are_nowhere_belong_to_it(corpus, counts):
    tail = read_tail(counts, None, size=3, kind="text")
    captions = [caption or "" for caption in corpus.metadata()["caption"].to_pylist()]
    from oddpair.retrieval.mentions.find import find_mentions

    found = find_mentions(VOCABULARY, captions).toarray().sum(axis=0)
    ranked = sorted(zip(found.tolist(), VOCABULARY.names, strict=True))
    assert list(zip(tail.counts.tolist(), tail.names, strict=True)) == ranked[:3]
    assert tail.names[0] == "emu"  # no caption names it
    assert (tail.counts[0], tail.n_concepts, tail.tied) == (0, len(VOCABULARY), 0)
    assert [tail.names[place] for place in tail.of_vocabulary if place >= 0] == [
        name for name in VOCABULARY.names if name in tail.names
    ]


def test_of_equal_counts_the_names_that_sort_first_are_taken_and_the_others_told(tmp_path):
    rows = [(uid_of(n), f"a {name}") for n, name in enumerate(["dog", "cat", "emu", "car", "car", "car"])]
    corpus = open_corpus(write_tables(tmp_path / "corpus", rows))
    vocabulary = build_vocabulary(["dog", "cat", "emu", "car"])
    count_corpus(corpus, tmp_path / "counts", CountPlan(vocabulary=vocabulary))
    tail = read_tail(tmp_path / "counts", None, size=2, kind="text")
    assert (tail.names, tail.tied) == (("cat", "dog"), 1)


def test_a_vocabulary_that_was_counted_in_part_is_refused_and_a_part_of_it_is_not(counts):
    tail = read_tail(counts, build_vocabulary(["cat", "emu", "dog"]), size=2, kind="text")
    assert tail.names[0] == "emu"
    assert tail.n_concepts == 3
    with pytest.raises(Refusal, match=r"does not count 'zebra' \(1 of 2 concepts\)"):
        read_tail(counts, build_vocabulary(["cat", "zebra"]), size=1, kind="text")
    with pytest.raises(Refusal, match="concepts is 3: of a vocabulary of 3 concepts that leaves no head"):
        read_tail(counts, build_vocabulary(["cat", "emu", "dog"]), size=3, kind="text")
    with pytest.raises(Refusal, match="counts captions alone, count_in is 'image'"):
        read_tail(counts, None, size=2, kind="image")


def test_the_recount_is_the_count_with_repeated_rows_and_subsets(corpus, counts, tmp_path):
    assert can_recount(counts, "text")
    assert not can_recount(counts, "joint")
    uids = [uid_of(n) for n in range(0, 300, 3)]
    write_subset(tmp_path / "subset.npy", sorted(uids), [1 + n % 3 for n in range(len(uids))])
    limited = open_corpus(corpus.root, tmp_path / "subset.npy")
    counted = count_corpus(limited, tmp_path / "limited", CountPlan(vocabulary=VOCABULARY))
    assert recount(limited, VOCABULARY).tolist() == counted.counts.text.tolist()
    whole = count_corpus(corpus, tmp_path / "whole", CountPlan(vocabulary=VOCABULARY))
    assert recount(corpus, VOCABULARY).tolist() == whole.counts.text.tolist()


def test_candidates_show_one_concept_of_the_tail(counts, tmp_path):
    tail = read_tail(counts, None, size=3, kind="text")
    rare, other, head = tail.names[0], tail.names[1], next(n for n in VOCABULARY.names if n not in tail.names)
    shown = [rare.upper(), f"{rare}s", head, f"{rare},{other}", None, "unheard of", other, f"{head},{other}"]
    lists = pa.array([value and value.split(",") for value in shown], pa.list_(pa.string()))
    corpus = write_set(tmp_path / "set", concepts=lists)
    found = find_candidates(corpus, tail, concept_from="column", column="concepts")
    number = {uid_of(n): n for n in range(len(shown))}
    assert {
        number[uid]: tail.names[place]
        for uid, place in zip(found.uids.to_pylist(), found.concepts, strict=True)
    } == {
        0: rare,
        1: rare,
        6: other,
        7: other,
    }
    assert found.uids.to_pylist() == sorted(found.uids.to_pylist())
    rules = dict(found.rules)
    assert rules == {
        "rows of the set": 8,
        "damaged": 0,
        "with the uid of another row": 0,
        "show no concept of the tail": 3,
        "show several of them": 1,
    }
    assert {uid for uids in found.shards.values() for uid in uids} == set(found.uids.to_pylist())


def test_rows_without_a_concept_of_the_tail_are_counted_once_each(counts, tmp_path):
    tail = read_tail(counts, None, size=3, kind="text")
    rare, head = tail.names[0], next(name for name in VOCABULARY.names if name not in tail.names)
    uids = [uid_of(n) for n in (0, 0, 1, 1, 2, 3, 3)]
    corpus = write_set(tmp_path / "set", uid=uids, concepts=[head, rare, head, None, None, rare, rare])
    found = find_candidates(corpus, tail, concept_from="column", column="concepts")
    assert found.uids.to_pylist() == [uid_of(0), uid_of(3)]
    assert dict(found.rules) == {
        "rows of the set": 7,
        "damaged": 0,
        "with the uid of another row": 3,
        "show no concept of the tail": 2,
        "show several of them": 0,
    }


def test_a_caption_shows_the_longest_of_concepts_that_overlap(counts, tmp_path):
    vocabulary = build_vocabulary(["dog", "hot dog", "car"])
    rows = [
        (uid_of(n), caption) for n, caption in enumerate(["a car"] * 9 + ["a dog"] * 3 + ["a hot dog"] * 2)
    ]
    count_corpus(
        open_corpus(write_tables(tmp_path / "corpus", rows)),
        tmp_path / "counts",
        CountPlan(vocabulary=vocabulary),
    )
    tail = read_tail(tmp_path / "counts", None, size=2, kind="text")
    captions = ["one hot dog", "two dogs", "a dog with a hot dog", "a car"]
    corpus = open_corpus(write_tables(tmp_path / "set", [(uid_of(n), c) for n, c in enumerate(captions)]))
    found = find_candidates(corpus, tail, concept_from="caption", column="")
    number = {uid_of(n): n for n in range(4)}
    assert {
        number[uid]: tail.names[place]
        for uid, place in zip(found.uids.to_pylist(), found.concepts, strict=True)
    } == {
        0: "hot dog",
        1: "dog",
    }


def test_a_folder_names_its_class(counts, tmp_path, noise, as_bytes):
    for number, name in enumerate(["emu/a.png", "Pine_Tree/b.png", "emu/deep/c.png"]):
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(as_bytes(noise(number)))
    tail = read_tail(counts, None, size=7, kind="text")
    found = find_candidates(open_corpus(tmp_path / "set"), tail, concept_from="folder", column="")
    assert sorted(tail.names[place] for place in found.concepts) == ["emu", "pine tree"]
    flat = write_set(tmp_path / "flat", label=["a"])
    with pytest.raises(Refusal, match="lies in no folder of a class: name a column"):
        find_candidates(flat, tail, concept_from="folder", column="")
    numbers = write_set(tmp_path / "numbers", label=[3])
    with pytest.raises(Refusal, match="column 'label' holds int64, needed names of concepts"):
        find_candidates(numbers, tail, concept_from="column", column="label")


@given(seed=st.integers(0, 10**6), n=st.integers(1, 60), least=st.integers(1, 6), more=st.integers(0, 8))
@settings(max_examples=60, deadline=None)
def test_every_concept_keeps_between_least_and_most_or_none(seed, n, least, more):
    most = least + more
    concepts = np.random.default_rng(seed).integers(0, 6, n)
    keep = balance(concepts, 7, np.random.default_rng(seed), least=least, most=most)
    for concept in range(7):
        there, kept = int((concepts == concept).sum()), int(keep[concepts == concept].sum())
        assert kept == (min(there, most) if there >= least else 0)


def test_rows_of_a_concept_are_drawn_equally_often():
    concepts, hits = np.array([0] * 8 + [1] * 3), np.zeros(11)
    for seed in range(400):
        hits += balance(concepts, 2, np.random.default_rng(seed), least=1, most=4)
    assert hits[8:].tolist() == [400] * 3
    assert np.abs(hits[:8] - 200).max() < 4.5 * np.sqrt(400 * 0.25)
