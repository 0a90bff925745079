import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.retrieval.counting.count_data import (
    VOCABULARY,
    brute_force,
    content,
    draw_captions,
    is_silent,
    listed,
    nonzero,
    quarantine_of,
    uid_of,
    write_tables,
)

from oddpair.errors import Refusal
from oddpair.retrieval.concepts import build_vocabulary
from oddpair.retrieval.corpus import fingerprint, open_corpus
from oddpair.retrieval.counting import jobs, shard_jobs
from oddpair.retrieval.counting.count_shards import count_in_shards
from oddpair.retrieval.counting.counts_file import read_meta
from oddpair.retrieval.counting.finding import Finding
from oddpair.retrieval.counting.jobs import count_corpus, read_counted
from oddpair.retrieval.counting.mined import MinedWords
from oddpair.retrieval.counting.plan import CountPlan, TagFile
from oddpair.retrieval.counting.postings_query import Kind, open_postings
from oddpair.retrieval.counting.rows import share_rows
from oddpair.retrieval.subset import write_subset

CAPTIONS = draw_captions(0, 300)
ROWS = [(uid_of(number), caption) for number, caption in enumerate(CAPTIONS)]
SPOKEN = [caption for caption in CAPTIONS if not is_silent(caption)]
PLAN = CountPlan(vocabulary=VOCABULARY)
# Where the rows lie is no part of a count.
PLACES = ("inputs.json", "done.json", "summary.json", "quarantine.jsonl")


@pytest.fixture(autouse=True)
def small_jobs(monkeypatch):
    monkeypatch.setattr(shard_jobs, "ROWS_PER_JOB", 40)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    count_corpus(open_corpus(write_tables(folder / "corpus", ROWS)), folder / "out", PLAN)
    return folder / "out"


def count(folder, rows, plan=PLAN, *, parts=1, **options):
    corpus = open_corpus(write_tables(folder / "corpus", rows, parts=parts))
    return count_corpus(corpus, folder / "out", plan, **options)


@pytest.mark.parametrize("overlap", ["all", "longest"])
def test_a_count_is_what_brute_force_finds(tmp_path, overlap):
    plan = CountPlan(vocabulary=VOCABULARY, finding=Finding(overlap=overlap))
    found = count(tmp_path, ROWS, plan, parts=3).counts
    singles, pairs = brute_force(SPOKEN, overlap=overlap)
    assert found.n_captions == len(SPOKEN)
    assert found.text.tolist() == singles["text"]
    assert listed(found) == pairs["text"]
    assert found.names == VOCABULARY.names
    assert read_meta(tmp_path / "out")["counting"] == {"rules": "mentions", "overlap": overlap}


@pytest.mark.parametrize("parts", [2, 7, 400])
def test_shards_and_their_order_change_no_byte_of_the_counts(tmp_path, whole, parts):
    shuffled = random.Random(parts).sample(ROWS, len(ROWS))
    count(tmp_path, shuffled, parts=parts)
    assert content(tmp_path / "out", without=PLACES) == content(whole, without=PLACES)


@pytest.mark.parametrize("workers", [2, 3])
@pytest.mark.parametrize("few", [True, False], ids=["here", "in processes"])
def test_workers_change_no_byte(tmp_path, monkeypatch, workers, few):
    count(tmp_path / "one", ROWS, CountPlan(vocabulary=VOCABULARY, pair_concepts=3, postings=True), parts=9)
    monkeypatch.setattr(shard_jobs, "FEW_ROWS", 10_000 if few else 1)
    corpus = open_corpus(tmp_path / "one" / "corpus")
    plan = CountPlan(vocabulary=VOCABULARY, pair_concepts=3, postings=True)
    count_corpus(corpus, tmp_path / "many", plan, workers=workers)
    assert content(tmp_path / "many") == content(tmp_path / "one" / "out")


@pytest.mark.parametrize("threads", [2, 5])
def test_threads_that_share_a_job_change_no_byte(tmp_path, monkeypatch, threads):
    monkeypatch.setattr(shard_jobs, "ROWS_PER_JOB", 1000)
    plan = CountPlan(vocabulary=VOCABULARY, postings=True)
    count(tmp_path, ROWS, plan, parts=50)
    monkeypatch.setattr(shard_jobs, "FEW_ROWS", 1)
    corpus = open_corpus(tmp_path / "corpus")
    marks, made_from = shard_jobs.identify_shards(corpus, threads=2)
    assert made_from == fingerprint(corpus)
    (job,) = shard_jobs.plan_jobs(corpus, marks, tmp_path, workers=threads, engine=None)
    assert job.threads == threads
    count_corpus(corpus, tmp_path / "many", plan, workers=threads)
    assert content(tmp_path / "many") == content(tmp_path / "out")


def test_rows_without_a_caption_are_set_aside_and_kept_and_set_aside_are_all(tmp_path):
    done = count(tmp_path, ROWS, parts=3)
    silent = [uid for uid, caption in ROWS if is_silent(caption)]
    assert [line["uid"] for line in quarantine_of(tmp_path / "out")] == silent
    assert done.quarantined == {"no caption": len(silent)}
    assert done.rows + len(silent) == len(ROWS)
    assert (done.damaged, done.lost) == (0, 0)


def test_pairs_are_counted_among_the_most_frequent_and_where_asked_for(tmp_path):
    (tmp_path / "pairs.txt").write_text("emu\tcat\nred\thot dog\ndog,cat\n")
    plan = CountPlan(vocabulary=VOCABULARY, pair_concepts=3, pairs=tmp_path / "pairs.txt")
    found = count(tmp_path, ROWS, plan, parts=4).counts
    singles, pairs = brute_force(SPOKEN)
    assert found.text.tolist() == singles["text"]
    top = set(np.argsort(-np.array(singles["text"]), kind="stable")[:3].tolist())
    asked = {(0, 6): 0, (5, 7): pairs["text"].get((5, 7), 0), (0, 1): pairs["text"][0, 1]}
    among = {pair: n for pair, n in pairs["text"].items() if set(pair) <= top}
    assert listed(found) == {**among, **asked}
    assert found.pair_concepts == 3


def test_no_pairs_but_those_asked_for(tmp_path):
    (tmp_path / "pairs.txt").write_text("cat\tred\n")
    plan = CountPlan(vocabulary=VOCABULARY, pair_concepts=0, pairs=tmp_path / "pairs.txt")
    found = count(tmp_path, ROWS, plan).counts
    assert listed(found) == {(0, 7): brute_force(SPOKEN)[1]["text"][0, 7]}


def test_more_pairs_than_fit_are_refused():
    with pytest.raises(Refusal, match=r"--pair-concepts is 32,769, needed 0 to 32,768: list further pairs"):
        CountPlan(vocabulary=VOCABULARY, pair_concepts=32_769)


@pytest.mark.parametrize("layout", ["one file", "file a shard"])
def test_tags_are_counted_alone_and_with_captions(tmp_path, layout):
    rng = np.random.default_rng(3)
    tags = [set(np.flatnonzero(rng.random(len(VOCABULARY)) < 0.3).tolist()) for _ in ROWS]
    corpus = open_corpus(write_tables(tmp_path / "corpus", ROWS, parts=3))
    lines = [
        {"uid": uid, "concept": VOCABULARY.names[concept], "score": 0.9 if concept in held else 0.7}
        for (uid, _), held in zip(ROWS, tags, strict=True)
        for concept in range(len(VOCABULARY))
    ]
    (tmp_path / "tags").mkdir()
    if layout == "one file":
        pq.write_table(pa.Table.from_pylist(lines), tmp_path / "tags" / "tags.parquet")
    else:
        for shard in corpus.shards:
            uids = {uid for batch in corpus.scan(shard) for uid in batch.table["uid"].to_pylist()}
            mine = [line for line in lines if line["uid"] in uids]
            pq.write_table(pa.Table.from_pylist(mine), tmp_path / "tags" / f"{shard}.parquet")
    plan = CountPlan(vocabulary=VOCABULARY, tags=TagFile(path=tmp_path / "tags"), postings=True)
    found = count_corpus(corpus, tmp_path / "out", plan).counts
    kept = [held for (_, caption), held in zip(ROWS, tags, strict=True) if not is_silent(caption)]
    singles, pairs = brute_force(SPOKEN, tags=kept)
    columns = {"text": found.text, "image": found.image, "joint": found.joint}
    kinds: tuple[Kind, ...] = ("text", "image", "joint")
    for kind in kinds:
        column = columns[kind]
        assert column is not None
        assert column.tolist() == singles[kind]
        assert nonzero(listed(found, kind)) == pairs[kind]
        assert open_postings(tmp_path / "out").count_each(range(8), kind).tolist() == singles[kind]
    meta = read_meta(tmp_path / "out")
    assert (meta["tags"], meta["tagger"], meta["tag_threshold"]) == (True, None, 0.7)


def test_tags_of_other_pictures_are_refused_and_the_folder_stays_free(tmp_path):
    line = {"uid": "nobody", "concept": "cat", "score": 0.9}
    pq.write_table(pa.Table.from_pylist([line]), tmp_path / "tags.parquet")
    corpus = open_corpus(write_tables(tmp_path / "corpus", ROWS))
    plan = CountPlan(vocabulary=VOCABULARY, tags=TagFile(path=tmp_path / "tags.parquet"), postings=True)
    with pytest.raises(Refusal, match=r"tags none of the \d+ uids of the corpus"):
        count_corpus(corpus, tmp_path / "out", plan)
    assert not (tmp_path / "out").exists()


def test_a_subset_counts_each_row_as_often_as_it_repeats_it(tmp_path):
    copies = np.random.default_rng(5).integers(0, 4, len(ROWS))
    corpus = write_tables(tmp_path / "corpus", ROWS, parts=3)
    write_subset(tmp_path / "subset.npy", [uid for uid, _ in ROWS], copies)
    plan = CountPlan(vocabulary=VOCABULARY, postings=True)
    done = count_corpus(open_corpus(corpus, tmp_path / "subset.npy"), tmp_path / "out", plan)
    taken = [caption for caption, times in zip(CAPTIONS, copies, strict=True) if times]
    repeated = [caption for caption, times in zip(CAPTIONS, copies, strict=True) for _ in range(times)]
    singles, pairs = brute_force([caption for caption in repeated if not is_silent(caption)])
    assert done.counts.n_captions == sum(not is_silent(caption) for caption in repeated)
    assert done.counts.text.tolist() == singles["text"]
    assert listed(done.counts) == pairs["text"]
    assert done.rows == sum(not is_silent(caption) for caption in taken)
    once, _ = brute_force([caption for caption in taken if not is_silent(caption)])
    assert open_postings(tmp_path / "out").count_each(range(8)).tolist() == once["text"]


def test_a_uid_that_comes_twice_counts_twice(tmp_path):
    found = count(tmp_path, [("a" * 32, "a cat"), ("a" * 32, "a cat"), ("b" * 32, "a dog")], parts=2).counts
    assert found.n_captions == 3
    assert found.text.tolist()[:2] == [2, 1]


def test_postings_name_the_rows_of_each_shard(tmp_path):
    count(tmp_path, ROWS, CountPlan(vocabulary=VOCABULARY, postings=True), parts=9)
    corpus = open_corpus(tmp_path / "corpus")
    found = {
        corpus_row
        for shard, rows in open_postings(tmp_path / "out").rows([0, 7])
        for batch in corpus.scan(shard)
        for corpus_row in batch.table["uid"].take(pa.array(rows)).to_pylist()
    }
    hits = {uid for uid, caption in ROWS if caption and brute_force([caption])[1]["text"].get((0, 7))}
    assert found == hits


@pytest.mark.parametrize("parts", [1, 5])
def test_mined_words_are_those_that_enough_captions_use(tmp_path, parts):
    # Of one mind with the rule for captions in memory.
    from oddpair.retrieval.mining import mine_vocabulary

    words = MinedWords(minimum=30, most=4)
    done = count(tmp_path, ROWS, CountPlan(vocabulary=words), parts=parts)
    expected = mine_vocabulary(SPOKEN, 30, most=4)
    assert done.vocabulary == expected
    assert done.counts.text.tolist() == brute_force(SPOKEN, expected)[0]["text"]
    assert read_meta(tmp_path / "out")["mined"] == words.identify()
    assert read_counted(tmp_path / "out").vocabulary.sha256 == expected.sha256


def test_too_few_words_to_mine_leave_the_folder_free(tmp_path):
    with pytest.raises(Refusal, match=r"0 words occur in 9999 captions or more"):
        count(tmp_path, ROWS, CountPlan(vocabulary=MinedWords(minimum=9999)))
    assert not (tmp_path / "out").exists()
    count_corpus(open_corpus(tmp_path / "corpus"), tmp_path / "out", PLAN)


@pytest.mark.parametrize("vocabulary", [VOCABULARY, MinedWords(minimum=1)], ids=["given", "mined"])
def test_a_corpus_without_one_caption_is_refused(tmp_path, vocabulary):
    with pytest.raises(Refusal, match=r"gives not one caption \(the first .*part-000.parquet: no caption\)"):
        count(tmp_path, [(uid_of(0), ""), (uid_of(1), None)], CountPlan(vocabulary=vocabulary))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("rules", ["unigrams", "words"])
def test_the_rules_of_a_paper_are_counted_by_and_written_down(tmp_path, rules):
    vocabulary = build_vocabulary(["cat", "dog", "red", "tree"])
    plan = CountPlan(vocabulary=vocabulary, finding=Finding(rules=rules))
    found = count(tmp_path, ROWS, plan, parts=3).counts
    mentions = plan.finding.make_finder(vocabulary).find(pa.array(SPOKEN))
    assert found.text.tolist() == np.bincount(mentions.concepts, minlength=4).tolist()
    assert read_meta(tmp_path / "out")["counting"]["rules"] == rules


def test_a_pair_that_the_rules_make_nested_is_refused(tmp_path):
    vocabulary = build_vocabulary(["hot dog", "dog hot", "cat"])
    (tmp_path / "pairs.txt").write_text("hot dog\tdog hot\n")
    finding = Finding(rules="unigrams")
    plan = CountPlan(vocabulary=vocabulary, finding=finding, pairs=tmp_path / "pairs.txt")
    with pytest.raises(Refusal, match=r"by the rules 'unigrams' .* 'hot dog' .* 'dog hot' .* are no pair"):
        count(tmp_path, ROWS, plan)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"vocabulary": build_vocabulary(["cat", "dog"])}, "vocabulary="),
        ({"finding": Finding(overlap="longest")}, 'rules.overlap="all"'),
        ({"pair_concepts": 5}, "pairs.concepts=10000"),
        ({"postings": True}, "postings=false"),
    ],
)
def test_a_folder_of_another_count_is_refused_with_what_changed(tmp_path, change, named):
    count(tmp_path, ROWS)
    before = content(tmp_path / "out")
    with pytest.raises(Refusal, match="was made with") as refusal:
        count_corpus(
            open_corpus(tmp_path / "corpus"),
            tmp_path / "out",
            CountPlan(**{"vocabulary": VOCABULARY} | change),
        )
    assert named in str(refusal.value)
    assert content(tmp_path / "out") == before


def test_a_corpus_that_changed_is_refused(tmp_path):
    count(tmp_path, ROWS, parts=2)
    write_tables(tmp_path / "other", ROWS[:-1], parts=1)
    (tmp_path / "other" / "part-000.parquet").replace(tmp_path / "corpus" / "part-000.parquet")
    with pytest.raises(Refusal, match="was made with corpus="):
        count_corpus(open_corpus(tmp_path / "corpus"), tmp_path / "out", PLAN)


def test_a_corpus_that_changes_on_the_way_is_refused(tmp_path, monkeypatch):
    corpus = open_corpus(write_tables(tmp_path / "corpus", ROWS))

    def plan_then_change(*arguments, **options):
        found = shard_jobs.plan_jobs(*arguments, **options)
        path = tmp_path / "corpus" / "part-000.parquet"
        pq.write_table(pq.read_table(path).slice(0, None).replace_schema_metadata({"a": "b"}), path)
        return found

    monkeypatch.setattr(jobs, "plan_jobs", plan_then_change)
    with pytest.raises(Refusal, match=r"part-000.parquet changed while it was counted"):
        count_corpus(corpus, tmp_path / "out", PLAN)


def test_a_second_run_changes_no_file_and_a_lost_one_is_made_again(tmp_path):
    plan = CountPlan(vocabulary=VOCABULARY, postings=True)
    count(tmp_path, ROWS, plan, parts=9)
    corpus, out = open_corpus(tmp_path / "corpus"), tmp_path / "out"
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    before = content(out)
    count_corpus(corpus, out, plan)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == times
    for name in ("pairs.parquet", "postings/text_0002.parquet", "summary.json", "vocabulary.txt"):
        (out / name).unlink()
        count_corpus(corpus, out, plan)
        assert content(out) == before


@pytest.mark.parametrize("lost", ["singles", "pairs", "quarantine", "record"])
def test_a_run_whose_parts_were_lost_counts_those_shards_again(tmp_path, monkeypatch, lost):
    corpus = open_corpus(write_tables(tmp_path / "corpus", ROWS, parts=9))
    count_corpus(corpus, tmp_path / "whole", PLAN)

    def stop(*_arguments, **_options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "write_counts", stop)
        with pytest.raises(KeyboardInterrupt):
            count_corpus(corpus, tmp_path / "out", PLAN)
    (part,) = (tmp_path / "out" / "parts" / lost).glob("*_0003.*")
    part.unlink()
    ran = []

    def note(job):
        ran.append(job.shards.index)
        return count_in_shards(job)

    monkeypatch.setattr(jobs, "count_in_shards", note)
    count_corpus(corpus, tmp_path / "out", PLAN)
    assert ran == [3]
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_who_waits_for_a_job_sees_how_many_rows_it_has_read(tmp_path, monkeypatch):
    monkeypatch.setattr(shard_jobs, "ROWS_PER_JOB", 1000)
    monkeypatch.setattr(shard_jobs, "_SECONDS_BETWEEN_NOTES", 0)
    corpus = open_corpus(write_tables(tmp_path / "corpus", ROWS, parts=3))
    marks, _ = shard_jobs.identify_shards(corpus, threads=1)
    (job,) = shard_jobs.plan_jobs(corpus, marks, tmp_path / "out", workers=1, engine=None)
    assert job.rows_done() == 0
    reader, seen = job.open_rows(named=False), []
    while reader.take() is not None:
        seen.append(job.rows_done())
    assert seen == [100, 200, 300]
    assert sum(reader.kept) + reader.quarantined.total() == 300


def test_an_error_of_one_thread_stops_the_others_and_is_raised(tmp_path, monkeypatch):
    monkeypatch.setattr(shard_jobs, "ROWS_PER_JOB", 1000)
    monkeypatch.setattr(shard_jobs, "FEW_ROWS", 1)
    corpus = open_corpus(write_tables(tmp_path / "corpus", ROWS, parts=60))
    marks, _ = shard_jobs.identify_shards(corpus, threads=3)
    (job,) = shard_jobs.plan_jobs(corpus, marks, tmp_path / "out", workers=3, engine=None)
    reader, taken = job.open_rows(named=False), []

    def take(rows):
        taken.append(rows)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        share_rows(reader, [take] * 3)
    assert len(taken) <= 3
    assert reader.take() is None
