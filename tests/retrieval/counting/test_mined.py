import numpy as np
import pytest
from tests.retrieval.counting.count_data import uid_of, write_tables

from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.counting import shard_jobs
from oddpair.retrieval.counting.mined import count_words_of
from oddpair.retrieval.subset import write_subset


@pytest.mark.parametrize("times", [3, 50_000_000])
def test_a_subset_that_repeats_rows_takes_the_text_of_each_once(tmp_path, times):
    # Repeated so often the text would take gigabytes.
    captions = ["a red cat " * 10, "a red dog", "a blue dog"]
    rows = [(uid_of(number), caption) for number, caption in enumerate(captions)]
    write_tables(tmp_path / "corpus", rows)
    write_subset(tmp_path / "subset.npy", [uid for uid, _ in rows], np.array([times, 2, 0]))
    corpus = open_corpus(tmp_path / "corpus", tmp_path / "subset.npy")
    marks, _ = shard_jobs.identify_shards(corpus, threads=1)
    jobs = shard_jobs.plan_jobs(corpus, marks, tmp_path / "out", workers=1, engine=None)
    assert count_words_of(jobs, workers=1, engine=None) == {"red": times + 2, "cat": times, "dog": 2}
