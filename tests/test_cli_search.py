"""``oddpair search``: every kind of query, thresholds, ties, answers line by line, JSON and the page."""

import itertools
import json
import re
import sys

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from oddpair import cli, files
from oddpair.commands import search_page
from oddpair.commands.queries import Query, read_queries
from oddpair.commands.search import Wanted, find_hits
from oddpair.errors import Refusal
from oddpair.retrieval.embed_layout import part_path
from oddpair.retrieval.embeddings import load_embeddings
from oddpair.retrieval.encoder import load_encoder
from oddpair.retrieval.stored import open_stored


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("reference")


@pytest.fixture(scope="module")
def pictures(noise, as_bytes):
    """Files by name; four of them show the same, and are other bytes."""
    found = {f"{number:02d}.png": as_bytes(noise(number)) for number in range(8)}
    return found | {f"same-{level}.png": as_bytes(noise(0), compress_level=level) for level in (0, 1, 3)}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, write_folder, pictures):
    captions = [f"a {('cat', 'dog', 'cow')[number % 3]} and barn {number}" for number in range(len(pictures))]
    return write_folder(tmp_path_factory.mktemp("searched") / "farm", pictures, captions)


@pytest.fixture(scope="module")
def embeddings(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "embeddings"
    options = ["--embeddings", str(folder), "--workers", "1", "--json"]
    result = CliRunner().invoke(cli.app, ["search", str(corpus), "a cat", *options], catch_exceptions=False)
    assert result.exit_code == 0
    return folder


@pytest.fixture
def search(corpus, embeddings, tmp_path, monkeypatch):
    """Run the verb; a refusal is raised."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, stdin="", where=corpus):
        command = ["search", where, *arguments, "--embeddings", embeddings]
        result = CliRunner().invoke(cli.app, list(map(str, command)), input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result

    return run


def hits_of(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def slow_hits(embeddings, row, kind="image"):
    """All rows by score, then uid: products in float64, added in index order."""
    found = load_embeddings(embeddings)
    hits = []
    for uid, caption, stored in zip(found.uids, found.captions, getattr(found, kind), strict=True):
        score = 0.0
        for left, right in zip(row.tolist(), stored.tolist(), strict=True):
            score += left * right
        hits.append((-float(np.float32(score)), uid, caption))
    return [
        {"place": place, "score": float(str(np.float32(-score))), "uid": uid, "caption": caption}
        for place, (score, uid, caption) in enumerate(sorted(hits), start=1)
    ]


def test_texts_pictures_and_vectors_are_searched_in_one_run_in_their_order(
    search, encoder, embeddings, pictures, tmp_path
):
    (tmp_path / "new.png").write_bytes(pictures["03.png"])
    np.save(tmp_path / "rows.npy", np.random.default_rng(3).normal(size=(2, encoder.dimension)))
    queries = ["a brown cow", "new.png", "rows.npy"]
    found = hits_of(search(*queries, "--json", "-k", 4))
    asked = read_queries(encoder, queries)
    assert [query.name for query in asked] == ["a brown cow", "new.png", "rows.npy row 0", "rows.npy row 1"]
    expected = [
        {"query": query.name, **hit} for query in asked for hit in slow_hits(embeddings, query.row)[:4]
    ]
    assert found == expected


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("none.npy", "none.npy does not exist: check the path of the vectors"),
        ("none.PNG", "none.PNG does not exist: check the path of the picture"),
        ("\t", "the query is empty"),
        ("a \udcff cat", "is not UTF-8"),
    ],
)
def test_a_bad_query_among_good_ones_is_refused_before_anything_is_made(corpus, tmp_path, query, message):
    arguments = ["search", str(corpus), "a cat", query, "--out", str(tmp_path / "new" / "page.html")]
    result = CliRunner().invoke(cli.app, arguments)
    assert isinstance(result.exception, Refusal)
    assert message in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_above_gives_all_that_is_larger_and_nothing_that_is_equal(search, encoder, embeddings):
    expected = slow_hits(embeddings, read_queries(encoder, ["a cat"])[0].row)
    scores = [hit["score"] for hit in expected]
    limit = scores[6]
    found = hits_of(search("a cat", "--json", "--above", repr(limit)))
    larger = [hit for hit in expected if hit["score"] > limit]
    assert 0 < len(larger) < 7
    assert found == [{"query": "a cat", **hit} for hit in larger]
    just_below = float(np.nextafter(np.float32(limit), np.float32(-2)))
    more = hits_of(search("a cat", "--json", "--above", repr(just_below)))
    assert [hit["score"] for hit in more] == [score for score in scores if score >= limit]


def test_k_and_above_together_give_the_best_of_those_above(search, encoder, embeddings):
    expected = slow_hits(embeddings, read_queries(encoder, ["a cat"])[0].row)
    limit = expected[6]["score"]
    larger = [hit["uid"] for hit in expected if hit["score"] > limit]
    few = hits_of(search("a cat", "--json", "--above", repr(limit), "-k", 2))
    assert [hit["uid"] for hit in few] == larger[:2]
    many = hits_of(search("a cat", "--json", "--above", repr(limit), "-k", 100))
    assert [hit["uid"] for hit in many] == larger


def test_a_threshold_that_nothing_passes_is_said_and_is_no_error(search, tmp_path):
    result = search("a cat", "--above", 0.999, "--out", "page.html")
    assert result.stdout.splitlines() == ["      nothing above 0.999", "contact sheet: page.html"]
    assert "Nothing is that near." in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize("options", [("-k", 6), ("--above", -1)], ids=["49-top", "49-above"])
def test_equal_scores_stand_in_the_order_of_their_uids_for_any_number_of_workers(
    search, pictures, tmp_path, options
):
    (tmp_path / "same.png").write_bytes(pictures["00.png"])
    one = hits_of(search("same.png", "--json", *options, "--workers", 1))
    tied = [hit["uid"] for hit in one if hit["score"] == one[0]["score"]]
    assert len(tied) == 4
    assert tied == sorted(tied)
    assert hits_of(search("same.png", "--json", *options, "--workers", 4)) == one
    # Only two of the four have room, and these are the two of the smaller uids.
    two = hits_of(search("same.png", "--json", "-k", 2, "--workers", 4))
    assert [hit["uid"] for hit in two] == tied[:2]


def test_a_uid_that_is_stored_twice_is_found_once(tmp_path):
    rows = np.eye(4, dtype=np.float16)[[0, 1, 0, 2]]
    files.write_array(part_path(tmp_path, "img_emb", 0, 1), rows)
    table = pa.table({"uid": ["b", "c", "b", "a"], "caption": ["one", "two", "three", "four"]})
    files.write_table(part_path(tmp_path, "metadata", 0, 1), table)
    manifest = {"rows": [4], "dimensions": {"img_emb": 4}, "encoder_sha256": ""}
    files.write_json(tmp_path / "manifest.json", manifest)
    query = Query(name="first axis", row=np.eye(4, dtype=np.float32)[0])
    for wanted in (Wanted(k=4, above=None), Wanted(k=None, above=-1.0)):
        (hits,) = find_hits(open_stored(tmp_path), [query], wanted, threads=1)
        assert [(hit.place, hit.uid, hit.score) for hit in hits] == [
            (1, "b", 1.0),
            (2, "a", 0.0),
            (3, "c", 0.0),
        ]
        assert hits[0].caption == "one"


def test_an_answer_does_not_depend_on_the_queries_beside_it(search):
    texts = [f"a {colour} {thing}" for colour, thing in itertools.product(("red", "blue"), ("cow", "car"))]
    together = hits_of(search(*texts, "--json", "-k", 3))
    alone = [hit for text in texts for hit in hits_of(search(text, "--json", "-k", 3))]
    for left, right in zip(together, alone, strict=True):
        assert (left["query"], left["uid"]) == (right["query"], right["uid"])
        assert left["score"] == pytest.approx(right["score"], abs=1e-6)


def test_json_prints_hits_and_nothing_else_and_writes_a_page_only_where_one_is_asked_for(search, tmp_path):
    result = search("a cat", "--json")
    assert [hit["place"] for hit in hits_of(result)] == list(range(1, 11))
    assert all(list(hit) == ["query", "place", "score", "uid", "caption"] for hit in hits_of(result))
    assert list(tmp_path.iterdir()) == []
    result = search("a cat", "--json", "--out", "page.html")
    assert len(hits_of(result)) == 10
    assert "contact sheet: page.html" in result.stderr
    assert (tmp_path / "page.html").is_file()


def test_the_table_names_the_queries_where_there_are_several(search):
    lines = search("a cat", "a dog", "-k", 1).stdout.splitlines()
    assert [bool(re.match(r"   1  [01]\.\d{4}  [0-9a-f]{32}  a ", line)) for line in lines] == [
        False,
        True,
        False,
        True,
        False,
    ]
    assert lines[::2] == ["a cat", "a dog", "contact sheet: work/search.html"]


def test_a_file_of_queries_gives_one_a_line(search, tmp_path, pictures):
    (tmp_path / "new.png").write_bytes(pictures["01.png"])
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbfa dog\r\n\r\n # a cow \nnew.png\n")
    found = hits_of(search("a cat", "--queries", "list.txt", "--json", "-k", 1))
    assert [hit["query"] for hit in found] == ["a cat", "a dog", "# a cow", "new.png"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"\n \n", "holds no query"), (b"\xff\xfe", "it is not UTF-8"), (None, "No such file")],
)
def test_a_file_that_holds_no_queries_is_refused(search, tmp_path, content, message):
    if content is not None:
        (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(Refusal, match=rf"list.txt .*{message}"):
        search("--queries", "list.txt")


def test_piped_lines_are_answered_one_by_one_and_a_bad_one_is_told_and_passed_over(
    search, tmp_path, pictures
):
    (tmp_path / "new.png").write_bytes(pictures["01.png"])
    result = search("-k", 1, "--out", "page.html", stdin="a cat\n\nnone.png\nnew.png\n")
    lines = result.stdout.splitlines()
    assert [lines[0], lines[2], lines[4]] == ["a cat", "new.png", "contact sheet: page.html"]
    assert len(lines) == 5
    (told,) = [line for line in result.stderr.splitlines() if line.startswith("oddpair: ")]
    assert told == "oddpair: none.png does not exist: check the path of the picture"
    # The latest answer stands first on the page; its query's picture and one hit each are shown.
    page = (tmp_path / "page.html").read_text()
    assert re.findall(r"<h2>(.*)</h2>", page) == ["new.png", "a cat"]
    assert page.count("<img") == 3


def test_lines_of_json_go_on_after_a_bad_line_too(search):
    found = hits_of(search("--json", "-k", 2, stdin="a cat\nnone.npy\na dog"))
    assert [hit["query"] for hit in found] == ["a cat", "a cat", "a dog", "a dog"]


def test_no_line_at_all_is_no_error_and_leaves_no_page(search, tmp_path):
    assert search("--out", "page.html").stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_a_terminal_is_prompted_and_ends_with_the_end_of_input(search, monkeypatch, capsys):
    from oddpair.commands.search_run import typed_lines

    prompts = []

    def answer(prompt):
        prompts.append(prompt)
        line = next(typed, None)
        if line is None:
            raise EOFError
        return line

    monkeypatch.setattr("builtins.input", answer)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    for is_terminal, prompt in ((True, "> "), (False, "")):
        monkeypatch.setattr(sys.stdout, "isatty", lambda there=is_terminal: there)
        typed = iter(["a cat", "", " a dog "])
        assert list(typed_lines()) == ["a cat", "a dog"]
        assert prompts == [prompt] * 4
        prompts.clear()
    assert capsys.readouterr().out == ""


def test_on_a_terminal_it_is_said_how_to_ask_and_answers_do_not_repeat_the_query(
    corpus, embeddings, encoder, tmp_path, monkeypatch, capsys
):
    from oddpair.commands import search_run
    from oddpair.retrieval.corpus import open_corpus

    monkeypatch.setattr(search_run, "typed_lines", lambda: ["a cat", "none.png", "a cow"])
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    session = search_run.Session(
        corpus=open_corpus(corpus),
        stored=open_stored(embeddings),
        index=None,
        wanted=Wanted(k=1, above=None),
        threads=1,
        page=tmp_path / "page.html",
        as_json=False,
    )
    search_run.answer_lines(session, encoder)
    said = capsys.readouterr()
    assert [line[:6] for line in said.out.splitlines()] == ["   1  "] * 2
    assert said.err.splitlines() == [
        f"farm: 11 rows; a query a line, Ctrl-D ends, the latest answer first in {tmp_path}/page.html",
        "oddpair: none.png does not exist: check the path of the picture",
    ]
    assert [answer.query.name for answer in session.answers] == ["a cow", "a cat"]
    assert session.thumbnails.keys() == {hit.uid for answer in session.answers for hit in answer.hits}


def test_captions_are_searched_instead_of_pictures(search, encoder, embeddings):
    found = hits_of(search("a cow and barn 2", "--captions", "--json", "-k", 3))
    (query,) = read_queries(encoder, ["a cow and barn 2"])
    assert found == [{"query": query.name, **hit} for hit in slow_hits(embeddings, query.row, "text")[:3]]
    assert found[0]["caption"] == "a cow and barn 2"


def test_an_index_answers_in_place_of_the_exact_search_and_its_recall_is_told(search, embeddings, tmp_path):
    from oddpair.retrieval.index_build import build_index

    # In one list, which every search looks through, nothing is missed.
    index = build_index(open_stored(embeddings), tmp_path / "index", lists=1, sample=11)
    asked = ("a cat", "a cow", "--index", tmp_path / "index")
    result = search(*asked, "--json", "-k", 5, "--out", "page.html")
    assert hits_of(result) == hits_of(search("a cat", "a cow", "--json", "-k", 5))
    above = ("--above", 0.1, "--json")
    assert hits_of(search(*asked, *above)) == hits_of(search("a cat", "a cow", *above))
    told = (
        f"an index that looks through 1 of 1 lists (asked pictures: {index.card.recall['img_emb']}; asked captions: "
        f"{index.card.recall['text_emb']})"
    )
    assert f"searched by {told}" in result.stderr
    page = (tmp_path / "page.html").read_text()
    assert f"among 11 by {told}." in page
    assert "exact" not in page


def test_an_index_of_pictures_does_not_answer_for_captions(search, embeddings, tmp_path):
    from oddpair.retrieval.index_build import build_index

    build_index(open_stored(embeddings), tmp_path / "index", lists=1, sample=11)
    with pytest.raises(Refusal, match=r"index is no index of .*kind img_emb, needed text_emb"):
        search("a cat", "--captions", "--index", tmp_path / "index")
    with pytest.raises(Refusal, match=r"none.index.json does not exist"):
        search("a cat", "--index", tmp_path / "none")


def test_the_page_shows_the_query_and_its_hits_with_score_caption_and_uid(search, tmp_path, pictures):
    (tmp_path / "new.png").write_bytes(pictures["02.png"])
    hits = hits_of(search("new.png", "a <b> cat", "--json", "-k", 4, "--out", "page.html"))
    page = (tmp_path / "page.html").read_text()
    first, second = page.split("<section")[1:]
    assert first.count("<img") == 5
    assert second.count("<img") == 4
    assert "<h2>a &lt;b&gt; cat</h2>" in second
    assert "The 4 pictures of farm nearest to each of 2 queries, among 11 by exact search." in page
    for hit, part in zip(hits, [first] * 4 + [second] * 4, strict=True):
        assert f"{hit['score']:.3f} {hit['caption']}" in part
        assert f"<td>{hit['uid']}</td>" in part


def test_queries_of_one_anchor_have_sections_of_their_own(search, tmp_path):
    search("A cat!", "a cat", "☃", "!", "-k", 1, "--out", "page.html")
    page = (tmp_path / "page.html").read_text()
    assert re.findall(r"<h2>(.*)</h2>", page) == ["A cat!", "a cat", "☃", "!"]
    assert re.findall(r'href="#(.*?)"', page) == re.findall(r'<section id="(.*?)"', page)


def test_what_the_page_leaves_out_is_said_and_the_table_has_all(search, tmp_path, monkeypatch):
    monkeypatch.setattr(search_page, "QUERY_HITS", 4)
    monkeypatch.setattr(search_page, "PAGE_HITS", 6)
    result = search("a cat", "a dog", "a cow", "--above", -1, "--out", "page.html")
    assert len(result.stdout.splitlines()) == 3 * 12 + 1
    page = (tmp_path / "page.html").read_text()
    parts = page.split("<section")[1:]
    assert [part.count("<img") for part in parts] == [4, 2]
    assert [re.findall(r"The first (\d+) of 11 hits", part) for part in parts] == [["4"], ["2"]]
    assert "near to each of 3 queries, above a similarity of -1" in page


def test_a_session_holds_the_latest_answers_that_fit_its_page(
    corpus, embeddings, encoder, tmp_path, monkeypatch
):
    from oddpair.commands import search_run
    from oddpair.retrieval.corpus import open_corpus

    monkeypatch.setattr(search_page, "PAGE_HITS", 6)
    monkeypatch.setattr(search_run, "typed_lines", lambda: ["a cat", "a dog", "a cow", "a pig"])
    session = search_run.Session(
        corpus=open_corpus(corpus),
        stored=open_stored(embeddings),
        index=None,
        wanted=Wanted(k=4, above=None),
        threads=1,
        page=tmp_path / "page.html",
        as_json=False,
    )
    search_run.answer_lines(session, encoder)
    assert [(one.query.name, len(one.hits)) for one in session.answers] == [("a pig", 4), ("a cow", 2)]
    page = (tmp_path / "page.html").read_text()
    assert page.count("<section") == 2
    assert "nearest to each of 4 queries" in page
    assert " 2 of them are left out: a page has " in page


def test_pictures_are_read_from_the_shards_that_hold_a_hit_and_from_no_other(drawn, tmp_path, monkeypatch):
    from oddpair.retrieval.corpus import Corpus

    opened = []

    def note(corpus, uids):
        opened.append(corpus.shards)
        return {}

    monkeypatch.setattr(Corpus, "find_pictures", note)
    folder = tmp_path / "embeddings"
    options = ["--embeddings", str(folder), "--workers", "1", "-k", "1", "--out", str(tmp_path / "page.html")]
    result = CliRunner().invoke(cli.app, ["search", str(drawn), "a cat", *options], catch_exceptions=False)
    (uid,) = re.findall(r"[0-9a-f]{32}", result.stdout)
    stored = open_stored(folder)
    row = stored.uids(np.arange(stored.shape[0])).index(uid)
    assert opened == [(f"0000{row // 100}",)]


def test_no_more_of_a_corpus_is_held_than_a_block_of_its_rows(search, embeddings, monkeypatch):
    from oddpair.retrieval import embeddings as held

    def refuse(*arguments):
        raise AssertionError("all embeddings were loaded")

    monkeypatch.setattr(held, "_load_rows", refuse)
    assert len(hits_of(search("a cat", "--json"))) == 10
