"""``oddpair embed --fetch`` on metadata like LAION's, whose URLs lead to a server on loopback."""

import functools
import hashlib
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oddpair import cli, files
from oddpair.errors import Refusal
from oddpair.retrieval import fetched
from oddpair.retrieval.corpus import Corpus, open_corpus
from oddpair.retrieval.embed import EmbedTask, embed_corpora, read_records
from oddpair.retrieval.embed_shard import Tower
from oddpair.retrieval.embeddings import load_embeddings
from oddpair.retrieval.encoder import load_encoder
from oddpair.retrieval.fetch import Fetcher, is_public
from oddpair.retrieval.fetched import open_fetched
from oddpair.retrieval.pictures import decode_pixels

# The machine itself, its network, a cloud's metadata and no address at all: none may be asked.
INSIDE = [
    "http://127.0.0.2/{}.png",
    "http://[::1]/{}.png",
    "http://169.254.169.254/latest/{}.png",
    "http://10.0.0.1/{}.png",
    "http://0.0.0.0/{}.png",
    "file:///etc/{}.png",
]


@contextmanager
def serve(pictures):
    """Serve files by name on loopback, and a redirect inside for ``/away``; give the address and what was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if self.path == "/away":
                self.send_response(302)
                self.send_header("Location", "http://169.254.169.254/latest/meta-data")
                self.end_headers()
                return
            data = pictures.get(self.path.lstrip("/"))
            if data is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def pictures(noise, as_bytes):
    return {f"{number}.png": as_bytes(noise(number)) for number in range(5)}


def write_metadata(folder, urls):
    folder.mkdir()
    texts = [f"picture {row}" for row in range(len(urls))]
    table = pa.table({"URL": urls, "TEXT": texts, "hash": pa.array(range(len(urls)), pa.int64())})
    pq.write_table(table, folder / "part-00000.parquet")
    return folder


def embed(folder, out, *options):
    """Run the command line in this process; return its exit status."""
    with pytest.raises(SystemExit) as ended:
        cli.app(
            ["embed", str(folder), "--fetch", "--out", str(out), "--workers", "1", *options],
            prog_name="oddpair",
            standalone_mode=True,
        )
    return ended.value.code


def allow_this_server(monkeypatch):
    """Let the command line ask 127.0.0.1, beside what is public."""
    fetcher = Fetcher(allow=lambda address: address == "127.0.0.1" or is_public(address), max_seconds=5.0)
    monkeypatch.setattr(fetched, "open_fetched", functools.partial(open_fetched, fetcher=fetcher))


def test_urls_that_lead_inside_are_refused_row_by_row__59(tmp_path, pictures, monkeypatch, capsys):
    allow_this_server(monkeypatch)
    with serve(pictures) as (address, asked):
        inside = [url.format(row) for row, url in enumerate(INSIDE)]
        urls = [f"{address}/0.png", *inside, f"{address}/away", f"{address}/gone.png", f"{address}/3.png"]
        folder = write_metadata(tmp_path / "laion", urls)
        assert embed(folder, tmp_path / "out") == 3
        # Only what may be asked was: the redirect was not followed.
        assert sorted(asked) == ["/0.png", "/3.png", "/away", "/gone.png"]
    (record,) = read_records(tmp_path / "out")
    assert (record.seen, record.kept) == (len(urls), 2)
    assert record.kept + sum(line.rows for line in record.bad) == record.seen
    assert [line.reason for line in record.bad] == [
        "not fetched: 127.0.0.2 is no public address",
        "not fetched: ::1 is no public address",
        "not fetched: 169.254.169.254 is no public address",
        "not fetched: 10.0.0.1 is no public address",
        "not fetched: 0.0.0.0 is no public address",
        "not fetched: file scheme, needed https or http",
        "not fetched: 169.254.169.254 is no public address",
        "not fetched: status 404",
    ]
    assert [line.uid for line in record.bad] == [f"{row:016x}" for row in (1, 2, 3, 4, 5, 6, 7, 8)]
    assert len((tmp_path / "out" / "quarantine.jsonl").read_text().splitlines()) == 8
    printed = capsys.readouterr()
    assert "2 rows of dimension" in printed.out
    assert "8 of 10 quarantined" in printed.out
    assert "80.00% of the rows are damaged, --max-bad is 0.001" in printed.err


def test_bad_urls_within_the_limit_end_well__59(tmp_path, pictures, monkeypatch):
    allow_this_server(monkeypatch)
    with serve(pictures) as (address, _):
        folder = write_metadata(tmp_path / "laion", [f"{address}/1.png", "http://127.0.0.2/0.png"])
        assert embed(folder, tmp_path / "out", "--max-bad", "0.5") == 0


def test_where_every_url_leads_inside_the_refusal_says_so__59(tmp_path, pictures):
    with serve(pictures) as (address, asked):
        urls = [f"{address}/{name}" for name in pictures]
        folder = write_metadata(tmp_path / "laion", ["http://169.254.169.254/", *urls])
        expected = (
            r"laion: none of its 6 rows can be embedded \(5 of them, as in part-00000[^:]*: not fetched: 127\.0\.0\.1 is "
            r"no public address\): "
        )
        with pytest.raises(Refusal, match=expected):
            cli.app(
                ["embed", str(folder), "--fetch", "--out", str(tmp_path / "out"), "--workers", "1"],
                standalone_mode=False,
            )
        assert not asked


def test_fetched_pictures_are_embedded_as_those_on_disk(tmp_path, pictures):
    with serve(pictures) as (address, _):
        folder = write_metadata(tmp_path / "laion", [f"{address}/{name}" for name in pictures])
        source = open_fetched(open_corpus(folder).source, Fetcher(allow=lambda address: True))
        task = EmbedTask(corpus=Corpus(source=source), out=tmp_path / "out", tower=Tower(model="reference"))
        embed_corpora([task], workers=1)
    found, encoder = load_embeddings(tmp_path / "out"), load_encoder("reference")
    image, _ = encoder.encode_pictures([decode_pixels(data) for data in pictures.values()])
    assert found.captions == tuple(f"picture {row}" for row in range(len(pictures)))
    assert found.uids == tuple(f"{row:016x}" for row in range(len(pictures)))
    assert (found.image == image.astype("float16").astype("float32")).all()
    manifest = files.read_json(tmp_path / "out" / "manifest.json")
    assert (manifest["seen"], manifest["quarantined"]) == (5, 0)
    digest = hashlib.sha256((folder / "part-00000.parquet").read_bytes()).hexdigest()
    assert manifest["files"] == {"part-00000.parquet": digest}
