"""The labelling page: who may ask it, what it answers, and that a label is on disk before it is called saved."""

import errno
import io
import json
import os
import re

import pytest
from PIL import Image
from tests.label_client import labelling

from oddpair import files
from oddpair.commands import label_pictures
from oddpair.commands.label import report_labels
from oddpair.commands.label_pictures import Pictures
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.pictures import BadPicture
from oddpair.splits.labelling.labels import read_folder, read_labels, read_labels_table, read_looks

HOSTILE = '<script>alert(1)</script> &amp; =cmd|x \x1b[2J \u202etxet\u2066 "quoted"'


def said(out, annotator="ann"):
    return {
        (look.uid, look.kind): look.label
        for look in read_looks(out / "annotators" / annotator / "labels.jsonl")
    }


@pytest.fixture
def out(tmp_path):
    return tmp_path / "labels"


def test_a_label_is_on_disk_when_the_answer_comes(drawn, out):
    with labelling(drawn, out, sample=30, recheck=0) as client:
        page = client.page(5)
        assert (page["done"], page["left"], page["annotator"]) == (0, 30, "ann")
        assert page["classes"] == ["natural", "rendition", "ambiguous"]
        first = page["items"][0]
        answer = client.label([first], "rendition")
        assert answer == {"order": 1, "done": 1, "left": 29, "unseen": 0}
        assert said(out) == {(client.session.uids[first["entry"][0]], "first"): "rendition"}
        # Labelled again, the last word counts.
        client.label([first], "natural")
        assert list(said(out).values()) == ["natural"]
        client.label([first], "")
        assert said(out) == {}


def test_it_goes_on_where_it_was(drawn, out):
    with labelling(drawn, out, sample=30, recheck=0) as client:
        page = client.page(4)["items"]
        client.label(page[:3], "natural")
    with labelling(drawn, out) as client:
        again = client.page(4)
        assert again["done"] == 3
        assert again["items"][0] == page[3]


def test_what_is_left_without_a_label_comes_back_at_the_end(drawn, out):
    with labelling(drawn, out, sample=6, recheck=0) as client:
        page = client.page(4)["items"]
        client.label(page[1:], "natural")
        after = client.page(4, [page[0]["entry"]])["items"]
        assert [item["uid"] for item in after][-1] == page[0]["uid"]
        client.label(after, "natural")
        assert client.page(4)["items"] == []


def test_what_was_passed_over_and_not_labelled_later_is_told_in_every_table(drawn, out):
    with labelling(drawn, out, sample=6, recheck=0) as client:
        page = client.page(4)["items"]
        client.label(page[2:], "natural")
        after = client.page(4, [item["entry"] for item in page[:2]])["items"]
        assert read_labels_table(out).left_open() == {item["uid"]: "random" for item in page[:2]}
        client.label([item for item in after if item["uid"] != page[0]["uid"]], "natural")
    report_labels(out)
    for path in (out, out / "labels.parquet"):
        found = read_labels_table(path)
        assert found.left_open() == {page[0]["uid"]: "random"}
        assert found.origin.corpus == files.read_json(out / "plan.json")["corpus"]


def test_undo_takes_back_a_whole_step_and_shows_it_next(drawn, out):
    with labelling(drawn, out, sample=12, recheck=0) as client:
        page = client.page(4)["items"]
        client.label(page[:1], "natural")
        client.label(page[1:], "rendition")
        assert client.post("undo", {})["taken"] == [item["entry"] for item in page[1:]]
        assert list(said(out).values()) == ["natural"]
        assert client.page(4)["items"][:3] == page[1:]
    with labelling(drawn, out) as client:
        assert client.post("undo", {}) == {"taken": [page[0]["entry"]], "done": 0, "left": 12, "unseen": 0}
        assert client.post("undo", {})["taken"] == []


def test_two_people_meet_in_the_overlap_alone_and_know_what_the_other_did(drawn, out):
    with labelling(drawn, out, sample=120, overlap=20, recheck=0) as client:
        ann = client.page(25)["items"]
        client.label(ann, "natural")
    with labelling(drawn, out, "bob") as client:
        assert client.page(1)["left"] == 115
        bob = client.page(100)["items"]
        shared = [item["uid"] for item in bob[:20]]
        assert sorted(shared) == sorted(item["uid"] for item in ann[:20])
        assert not {item["uid"] for item in bob[20:]} & {item["uid"] for item in ann}
        client.label(bob[:2], "rendition")
        client.label(bob[2:20], "natural")
        report = client.get("report").decode()
    assert "18 of 20 alike (90.0%" in report
    assert "ann and bob" in report
    merged = read_labels(out)
    assert len(merged) == 18 + 5
    assert bob[0]["uid"] not in merged


def test_a_row_labelled_by_another_meanwhile_is_passed_over(drawn, out):
    with labelling(drawn, out, sample=60, overlap=0, recheck=0) as ann, labelling(drawn, out, "bob") as bob:
        theirs = bob.page(25)["items"]
        bob.label(theirs, "natural")
        assert ann.page(1)["left"] == 35
        assert not {item["uid"] for item in ann.page(60)["items"]} & {item["uid"] for item in theirs}


def test_what_is_shown_again_measures_one_person(drawn, out):
    with labelling(drawn, out, sample=20, overlap=20, recheck=4) as client:
        assert client.page(1)["left"] == 24
        seen = []
        while items := client.page(1)["items"]:
            seen.append(tuple(items[0]["entry"]))
            client.label(items, "natural" if len(seen) % 3 else "rendition")
        report = client.get("report").decode()
    again = [entry for entry in seen if entry[1] == "again"]
    assert len(seen) == 24
    assert sorted(row for row, _ in again) == [0, 1, 2, 3]
    assert all(seen.index((row, "first")) + 5 < seen.index((row, "again")) for row, _ in again)
    assert "ann, looking twice" in report


def test_a_review_shows_disputes_alone_with_who_said_what_and_settles_them(drawn, out):
    for who, label in (("ann", "natural"), ("bob", "rendition")):
        with labelling(drawn, out, who, **({"sample": 8, "recheck": 0} if who == "ann" else {})) as client:
            page = client.page(8)["items"]
            client.label(page[:3], label)
            client.label(page[3:], "natural")
    assert len(read_labels(out)) == 5
    with labelling(drawn, out, "cy", review=True) as client:
        page = client.page(25)
        assert page["review"]
        assert [item["entry"][1] for item in page["items"]] == ["review"] * 3
        assert {item["said"] for item in page["items"]} == {"ann: natural, bob: rendition"}
        client.label(page["items"][:2], "ambiguous")
        assert len(client.page(25)["items"]) == 1
        # A review takes back reviews alone.
        assert len(client.post("undo", {})["taken"]) == 2
        assert client.post("undo", {})["taken"] == []
        client.label(page["items"][:2], "ambiguous")
    merged = read_labels(out)
    assert len(merged) == 7
    assert merged[page["items"][0]["uid"]] == "ambiguous"


def test_pictures_come_small_and_large_as_jpeg(drawn, out):
    with labelling(drawn, out, sample=5) as client:
        for item in client.page(5)["items"]:
            for size, most in (("small", 320), ("large", 1024)):
                picture = Image.open(io.BytesIO(client.get(f"{size}/{item['entry'][0]}")))
                assert picture.format == "JPEG"
                assert 0 < max(picture.size) <= most


def test_a_picture_that_cannot_be_shown_is_said_to_be_so_and_not_asked_for_again(
    write_folder, as_bytes, noise, tmp_path, out
):
    files = {f"{row}.png": as_bytes(noise(row)) if row else b"<html>" for row in range(4)}
    corpus = write_folder(tmp_path / "corpus", files, ["x"] * 4, uid=[f"u{row}" for row in range(4)])
    with labelling(corpus, out, sample=4, recheck=0) as client:
        (row,) = (item["entry"][0] for item in client.page(4)["items"] if item["uid"] == "u0")
        status, headers, body = client.ask("GET", f"/{client.token}/small/{row}")
        assert (status, body) == (422, b"not a picture")
        assert headers["Content-Type"] == "text/plain; charset=utf-8"
        page = client.page(4)
        assert (page["unseen"], page["left"]) == (1, 3)
        assert "u0" not in {item["uid"] for item in page["items"]}
        client.session.end()
    assert read_folder(out).left_open() == {"u0": "random"}


@pytest.fixture
def two(write_folder, as_bytes, noise, tmp_path):
    files = {f"{row}.png": as_bytes(noise(row)) for row in range(2)}
    return open_corpus(write_folder(tmp_path / "corpus", files, ["x"] * 2, uid=["a", "b"]))


def test_a_row_that_left_the_corpus_is_said_to_have_left_it(two):
    told = []
    pictures = Pictures(two, ["a", "gone"], [two.shards[0]] * 2, lambda *found: told.append(found))
    assert pictures.get(0).small[:2] == b"\xff\xd8"
    with pytest.raises(BadPicture, match="it is not in the corpus any more"):
        pictures.get(1)
    assert told == [(1, "it is not in the corpus any more")]
    pictures.close()


def test_a_shard_that_has_changed_is_the_reason_why_its_pictures_are_not_shown(two):
    (two.root / "list.csv").write_text("changed")
    told: dict[int, str] = {}
    pictures = Pictures(two, ["a", "b"], [two.shards[0]] * 2, told.__setitem__)
    pictures.want([0, 1])
    for row in (0, 1):
        with pytest.raises(BadPicture, match=r"list\.csv"):
            pictures.get(row)
    assert sorted(told) == [0, 1]
    pictures.close()


def test_no_more_pictures_are_kept_than_some(drawn, out, monkeypatch):
    monkeypatch.setattr(label_pictures, "_MOST", 6)
    with labelling(drawn, out, sample=20) as client:
        for row in range(20):
            client.get(f"small/{row}")
        assert len(client.session.uids) == 20
        assert client.get("small/0")[:2] == b"\xff\xd8"


def test_a_full_disk_is_told_and_nothing_counts_as_saved(drawn, out, monkeypatch):
    with labelling(drawn, out, sample=5, recheck=0) as client:
        items = client.page(5)["items"]
        client.label(items[:1], "natural")
        before = said(out)

        def refuse(descriptor, data):
            raise OSError(errno.ENOSPC, "No space left on device")

        real = os.write
        # The page is served from memory by sockets, which do not write to files.
        monkeypatch.setattr(os, "write", refuse)
        body = {"said": [{"entry": items[1]["entry"], "label": "natural"}]}
        assert "No space left on device" in client.post("label", body, status=500)
        monkeypatch.setattr(os, "write", real)
        assert said(out) == before
        assert client.page(5)["done"] == 1


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/", {}, 404),
        ("GET", "/wrong/", {}, 404),
        ("GET", "/wrong/label.js", {}, 404),
        ("GET", "/TOKEN", {}, 404),
        ("GET", "/TOKEN/nothing", {}, 404),
        ("GET", "/TOKEN/../label.py", {}, 404),
        ("GET", "/TOKEN/label.py", {}, 404),
        ("GET", "/TOKEN/small/5", {}, 404),
        ("GET", "/TOKEN/small/" + "5" * 5000, {}, 404),
        ("GET", "/TOKEN/small/-1", {}, 404),
        ("GET", "/TOKEN/small/", {}, 404),
        ("GET", "/TOKEN/small/0/../../x", {}, 404),
        ("GET", "/TOKEN/page", {}, 404),
        ("GET", "/TOKEN/", {"Host": "evil.example"}, 403),
        ("GET", "/TOKEN/", {"Host": "127.0.0.1:1"}, 403),
        ("GET", "/TOKEN/", {"Host": "evil.example:PORT"}, 403),
        ("GET", "/TOKEN/", {"Host": "localhost:PORT"}, 200),
        ("GET", "/TOKEN/", {"Origin": "http://evil.example"}, 403),
        ("GET", "/TOKEN/", {"Origin": "null"}, 403),
        ("GET", "/TOKEN/", {"Origin": "http://127.0.0.1:PORT"}, 200),
        ("HEAD", "/TOKEN/", {}, 501),
        ("PUT", "/TOKEN/label", {}, 501),
        ("DELETE", "/TOKEN/", {}, 501),
        ("OPTIONS", "/TOKEN/label", {}, 501),
        ("POST", "/TOKEN/label", {"Content-Type": "text/plain"}, 415),
        ("POST", "/TOKEN/label", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ("POST", "/TOKEN/label", {"Content-Type": "application/json", "Origin": "http://evil.example"}, 403),
        ("POST", "/wrong/label", {"Content-Type": "application/json"}, 404),
        ("POST", "/TOKEN/label", {"Content-Type": "application/json", "Content-Length": "9999999"}, 413),
        ("POST", "/TOKEN/label", {"Content-Type": "application/json", "Content-Length": "x"}, 413),
        ("POST", "/TOKEN/label", {"Content-Type": "application/json", "Content-Length": "9" * 5000}, 413),
        ("POST", "/TOKEN/label", {"Content-Type": "application/json"}, 400),
    ],
)
def test_only_the_page_itself_may_ask_and_only_what_it_asks(drawn, out, method, path, headers, status):
    with labelling(drawn, out, sample=5) as client:
        names = {"TOKEN": client.token, "PORT": str(client.port)}
        path, *values = (
            re.sub("TOKEN|PORT", lambda found: names[found[0]], text) for text in (path, *headers.values())
        )
        found, answered, body = client.ask(method, path, **dict(zip(headers, values, strict=True)))
        assert found == status
        assert client.token.encode() not in body
        if status != 501:
            assert answered["X-Content-Type-Options"] == "nosniff"
            assert "default-src 'none'" in answered["Content-Security-Policy"]
        assert said(out) == {}


@pytest.mark.parametrize(
    "body",
    [
        "[" * 100_000,
        "{}",
        '{"said": [{"entry": [99, "first"], "label": "natural"}]}',
        '{"said": [{"entry": [0, "third"], "label": "natural"}]}',
        '{"said": [{"entry": [0, "review"], "label": "natural"}]}',
        '{"said": [{"entry": ["0", "first"], "label": "natural"}]}',
        '{"said": [{"entry": [0, "first"], "label": "cat"}]}',
        '{"said": [{"entry": [0, "first"], "label": "natural"}, {"entry": [0], "label": "natural"}]}',
        '{"said": 7}',
        "7",
        b"\xff",
    ],
)
def test_a_body_that_the_page_does_not_send_changes_nothing(drawn, out, body):
    with labelling(drawn, out, sample=5) as client:
        status, _, _ = client.ask("POST", f"/{client.token}/label", body, Content_Type="application/json")
        assert status == 400
        assert said(out) == {}
        assert client.page(5)["done"] == 0


@pytest.mark.parametrize("hostile", [HOSTILE], ids=["34-hostile-captions"])
def test_what_others_wrote_stays_text(write_folder, as_bytes, noise, tmp_path, out, hostile):
    uids = [f"{hostile} {row}" for row in range(2)]
    files = {f"{row}.png": as_bytes(noise(row)) for row in range(2)}
    corpus = write_folder(tmp_path / "corpus", files, [hostile] * 2, uid=uids)
    for who in ("ann", "bob"):
        with labelling(corpus, out, who, **({"sample": 2, "recheck": 0} if who == "ann" else {})) as client:
            raw = client.ask(
                "POST", f"/{client.token}/page", '{"size": 2, "passed": []}', Content_Type="application/json"
            )
            items = json.loads(raw[2])["items"]
            for item in items:
                assert item["caption"].isprintable()
                assert item["uid"].isprintable()
            assert raw[1]["Content-Type"] == "application/json; charset=utf-8"
            client.label(items, "natural" if who == "ann" else "rendition")
            report = client.get("report").decode()
    assert set(read_looks(out / "annotators" / "ann" / "labels.jsonl")[0].uid) >= {"\x1b", "\u202e"}
    assert "<script>" not in report
    assert "&lt;script&gt;" in report
    assert "\x1b" not in report
    assert "\u202e" not in report


def test_the_page_asks_nothing_of_anybody_else(drawn, out):
    with labelling(drawn, out, sample=5) as client:
        status, headers, page = client.ask("GET", f"/{client.token}/")
        script, style = client.get("label.js"), client.get("label.css")
    assert status == 200
    policy = headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "http" not in policy
    for text in (page, script, style):
        assert not re.search(rb"https?://|//[a-z]+\.", text)
    assert b"innerHTML" not in script
    assert not re.search(rb"<script>|\son[a-z]+=|style=", page)
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "oddpair" in headers["Server"]
    assert "Python" not in headers["Server"]
