"""What a worker keeps from one job to the next, and what it refuses to go on with."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.retrieval.counting.count_data import write_tables

from oddpair.errors import Refusal
from oddpair.retrieval.concepts import build_vocabulary
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.counting import jobs, shard_jobs
from oddpair.retrieval.counting.finding import Finding
from oddpair.retrieval.counting.jobs import count_corpus
from oddpair.retrieval.counting.plan import CountPlan, TagFile

VOCABULARY = build_vocabulary(["cat", "dog"])
ROWS = [("a" * 32, "felines"), ("b" * 32, "felines"), ("c" * 32, "a dog")]


@pytest.fixture
def corpus(tmp_path):
    return open_corpus(write_tables(tmp_path / "corpus", ROWS))


def write_tags(path, uids, concept="cat"):
    lines = [{"uid": uid * 32, "concept": concept, "score": 0.9} for uid in uids]
    pq.write_table(pa.Table.from_pylist(lines), path)


def test_lemmas_that_were_rewritten_are_those_of_the_next_count(tmp_path, corpus):
    lemmas = tmp_path / "lemmas.tsv"
    plan = CountPlan(vocabulary=VOCABULARY, finding=Finding(rules="words", lemmas=lemmas))
    lemmas.write_text("felines\tcat\n")
    # One folder: nothing but the content of the file tells the two counts apart.
    assert count_corpus(corpus, tmp_path / "out", plan).counts.text.tolist() == [2, 1]
    (tmp_path / "out").rename(tmp_path / "before")
    lemmas.write_text("felines\tdog\n")
    assert count_corpus(corpus, tmp_path / "out", plan).counts.text.tolist() == [0, 3]


def test_stop_words_that_were_rewritten_are_those_of_the_next_count(tmp_path, corpus):
    stops = tmp_path / "stops.txt"
    plan = CountPlan(vocabulary=VOCABULARY, finding=Finding(rules="words", stop_words=stops))
    stops.write_text("the\n")
    assert count_corpus(corpus, tmp_path / "out", plan).counts.text.tolist() == [0, 1]
    (tmp_path / "out").rename(tmp_path / "before")
    stops.write_text("dog\n")
    assert count_corpus(corpus, tmp_path / "out", plan).counts.text.tolist() == [0, 0]


def test_tags_that_were_rewritten_are_those_of_the_next_count(tmp_path, corpus):
    tags = tmp_path / "tags.parquet"
    plan = CountPlan(vocabulary=VOCABULARY, tags=TagFile(path=tags))
    write_tags(tags, "ab")
    found = count_corpus(corpus, tmp_path / "out", plan).counts.image
    assert found is not None
    assert found.tolist() == [2, 0]
    (tmp_path / "out").rename(tmp_path / "before")
    write_tags(tags, "abc", "dog")
    found = count_corpus(corpus, tmp_path / "out", plan).counts.image
    assert found is not None
    assert found.tolist() == [0, 3]


@pytest.mark.parametrize("changed", ["lemmas.tsv", "stops.txt", "tags.parquet"])
def test_a_file_that_changes_on_the_way_is_refused(tmp_path, corpus, monkeypatch, changed):
    (tmp_path / "lemmas.tsv").write_text("felines\tcat\n")
    (tmp_path / "stops.txt").write_text("the\n")
    write_tags(tmp_path / "tags.parquet", "ab")
    plan = CountPlan(
        vocabulary=VOCABULARY,
        finding=Finding(rules="words", lemmas=tmp_path / "lemmas.tsv", stop_words=tmp_path / "stops.txt"),
        tags=TagFile(path=tmp_path / "tags.parquet"),
    )
    run = shard_jobs.run_shard_jobs

    def change_then_run(*arguments, **options):
        if changed == "tags.parquet":
            write_tags(tmp_path / changed, "c")
        else:
            (tmp_path / changed).write_text("felines\tdog\n" if changed == "lemmas.tsv" else "dog\n")
        return run(*arguments, **options)

    monkeypatch.setattr(jobs, "run_shard_jobs", change_then_run)
    with pytest.raises(
        Refusal, match=rf"{changed}.* changed while it was counted: delete .*out and run again"
    ):
        count_corpus(corpus, tmp_path / "out", plan)
    assert not (tmp_path / "out").exists()
