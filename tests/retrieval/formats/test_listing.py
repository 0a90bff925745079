import csv

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.errors import Refusal
from oddpair.retrieval.formats.listing import open_listing, read_block


def write(folder, *lines, name="list.csv"):
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def rows(path, **options):
    listing = open_listing(path, **{"outside": False, **options})
    return [row for block in range(len(listing.blocks)) for row in read_block(path, listing, block)]


@pytest.mark.parametrize(
    ("data", "kind", "cells"),
    [
        (
            b'\xef\xbb\xbffile,caption\r\na.jpg,"a, ""b"""\r\n',
            ("file", "caption", ","),
            [("a.jpg", 'a, "b"')],
        ),
        (b"caption,file\nx,a.jpg", ("file", "caption", ","), [("x", "a.jpg")]),
        (b"filepath\ttitle\na.jpg\ta, b\n", ("filepath", "title", "\t"), [("a.jpg", "a, b")]),
        (b"n,filepath,title\n1,a.jpg,b\n", ("filepath", "title", ","), [("1", "a.jpg", "b")]),
        (
            b"file\tcaption\na.jpg\tb\n\n\nc.jpg\td\n",
            ("file", "caption", "\t"),
            [("a.jpg", "b"), ("c.jpg", "d")],
        ),
        (b"file,caption\n=cmd,<b>\n", ("file", "caption", ","), [("=cmd", "<b>")]),
    ],
    ids=["mark-and-quotes", "any-order", "open_clip", "open_clip-with-commas", "blank-lines", "34-formula"],
)
def test_listings_are_read_in_either_notation(tmp_path, data, kind, cells):
    path = tmp_path / "list.csv"
    path.write_bytes(data)
    listing = open_listing(path, outside=False)
    assert (listing.file, listing.caption, listing.delimiter) == kind
    assert (listing.rows, listing.size) == (len(cells), len(data))
    assert [tuple(row.cells) for row in rows(path)] == cells


@settings(max_examples=40, deadline=None)
@given(
    captions=st.lists(st.text(st.sampled_from('a ,"\r\n\t\0é\u2028'), max_size=8), min_size=1, max_size=9),
    end=st.sampled_from(["\n", "\r\n"]),
    size=st.integers(1, 4),
)
def test_blocks_read_alone_are_the_rows_of_the_whole_file(tmp_path_factory, captions, end, size):
    path = tmp_path_factory.mktemp("blocks") / "list.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator=end, quoting=csv.QUOTE_ALL)
        writer.writerows([("file", "caption"), *((f"{row}.jpg", text) for row, text in enumerate(captions))])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("oddpair.retrieval.formats.listing.ROWS_PER_BLOCK", size)
        listing = open_listing(path, outside=False)
        assert len(listing.blocks) == -(-len(captions) // size)
        found = [
            row
            for block in reversed(range(len(listing.blocks)))
            for row in list(read_block(path, listing, block))[::-1]
        ]
    assert [row.cells for row in reversed(found)] == [
        [f"{row}.jpg", text] for row, text in enumerate(captions)
    ]
    assert [row.number for row in reversed(found)] == list(range(len(captions)))


def test_text_that_is_not_utf8_comes_as_surrogates__31(tmp_path):
    path = tmp_path / "list.csv"
    path.write_bytes(b"file,caption\na.jpg,caf\xe9\n")
    assert rows(path)[0].cells == ["a.jpg", "caf\udce9"]


def test_a_caption_of_ten_megabytes_is_read__32(tmp_path):
    path = write(tmp_path, "file,caption", "a.jpg," + "x" * 10_000_000, "b.jpg,y")
    assert [len(row.cells[1]) for row in rows(path)] == [10_000_000, 1]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["file,caption", "../up.png,a"], r"list\.csv line 2 names '\.\./up\.png', which is outside"),
        (["file,caption", "x.png,a", "/etc/hostname,a"], "line 3 names '/etc/hostname', which is outside"),
        (["file,caption", "s3://bucket/a.jpg,a"], "which is outside"),
        (["file,caption", ",a"], "line 2 names '', which is outside"),
        (["file,caption", "a\0b,a"], r"line 2 names 'a\\x00b', which is no path"),
        (["file,caption", "0.png,a,b"], "line 2 has 3 cells, the header 2: quote captions that hold a comma"),
        (["filepath\ttitle", "0.png"], "line 2 has 1 cells, the header 2: quote captions that hold a tab"),
        (["file,caption", '0.png,"a'], "line 2 is no csv"),
        (["file,caption", '0.png,"a"b'], "line 2 is no csv"),
        (['file,caption,"'], "line 1 is no csv"),
        (["file,caption", "a.png," + "x" * (1 << 24)], "line 2 is longer than 16 MiB"),
        (["file,caption", '"' + "x\n" * (1 << 23)], r"line \d+ is no csv \(field larger"),
        (
            ["file,text", "0.png,a"],
            r"has the columns \['file', 'text'\], needed 'file' and 'caption', or 'filepath'",
        ),
        (["file,caption,file", "0.png,a,b"], "names a column twice"),
        (["file,caption,shard", "0.png,a,b"], "has a column 'shard', a name that oddpair gives itself"),
        (["filepath,title,caption", "0.png,a,b"], "has a column 'caption'"),
        (["uid,file,caption", ",0.png,a"], "line 2 has an empty uid"),
        (["file,caption"], "lists no picture"),
        ([], "needed 'file' and 'caption'"),
    ],
)
def test_a_listing_that_cannot_be_followed_is_refused_with_its_line(tmp_path, lines, message):
    with pytest.raises(Refusal, match=message):
        rows(write(tmp_path, *lines))


def test_paths_may_lead_outside_only_where_that_is_allowed(tmp_path):
    path = write(tmp_path, "file,caption", "/far/a.png,a", "../b.png,b")
    assert [row.cells[0] for row in rows(path, outside=True)] == ["/far/a.png", "../b.png"]


def test_a_header_that_is_not_utf8_and_a_missing_table_are_refused(tmp_path):
    path = tmp_path / "list.csv"
    path.write_bytes("file,caption\na,b\n".encode("utf-16"))
    with pytest.raises(Refusal, match=r"list\.csv is not UTF-8 at byte 0: save it as UTF-8"):
        rows(path)
    with pytest.raises(Refusal, match=r"none\.csv does not exist"):
        rows(tmp_path / "none.csv")


def test_a_listing_that_has_changed_since_it_was_opened_is_refused(tmp_path):
    path = write(tmp_path, "file,caption", "a.png,a")
    listing = open_listing(path, outside=False)
    write(tmp_path, "file,caption", "ab.png,a")
    with pytest.raises(Refusal, match="has changed since the run began: run again"):
        list(read_block(path, listing, 0))
