"""Case 59: a list of URLs is anybody's; none leads inside, and no answer is without an end."""

from __future__ import annotations

import functools
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.retrieval.fault_matrix.corpora import ROWS, write_laion, write_parquet
from tests.retrieval.fault_matrix.runs import (
    read_made,
    require_counts,
    require_refusal,
    run,
)

from oddpair.retrieval import fetched
from oddpair.retrieval.fetch import Fetcher, is_public
from oddpair.retrieval.fetched import open_fetched

# Names that a stranger would give to what is inside; the server alone stands for the open internet.
ADDRESSES = {
    "pictures.test": "127.0.0.1",
    "inner.test": "10.0.0.7",
    "cloud.test": "169.254.169.254",
}
CAP = 100_000


class Handler(BaseHTTPRequestHandler):
    """Gives a picture, an answer without end, or a redirect inside."""

    def do_GET(self) -> None:
        self.send_response(302 if self.path.startswith("/away") else 200)
        if self.path.startswith("/away"):
            self.send_header("Location", "http://cloud.test/latest/meta-data")
        self.end_headers()
        try:
            while self.path == "/endless":
                self.wfile.write(bytes(4096))
        except OSError:
            return
        if self.path.startswith("/picture"):
            self.wfile.write(ROWS[0].picture)

    def log_message(self, *arguments: object) -> None:
        """Stay silent."""


@contextmanager
def serving() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


CONNECT, LOOK_UP = socket.socket.connect, socket.getaddrinfo


def lookup(host: str, port: int) -> tuple[str, ...]:
    return (ADDRESSES.get(host, host),)


def is_outside(address: str) -> bool:
    return address == "127.0.0.1" or is_public(address)


URLS = {
    "59-picture": ("http://pictures.test:{port}/picture", None),
    "59-loopback": ("http://127.0.0.2/a.jpg", "127.0.0.2 is no public address"),
    "59-loopback-v6": ("http://[::1]/a.jpg", "::1 is no public address"),
    "59-metadata": ("http://169.254.169.254/latest", "169.254.169.254 is no public address"),
    "59-name-that-leads-inside": ("http://inner.test/a.jpg", "10.0.0.7 is no public address"),
    "59-redirect-inside": ("http://pictures.test:{port}/away", "169.254.169.254 is no public address"),
    "59-endless-body": ("http://pictures.test:{port}/endless", "more than 100,000 bytes"),
    "59-file": ("file:///etc/passwd", "file scheme, needed https or http"),
}


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server on loopback, the only place that a connection may be made to."""
    with serving() as port:

        def connect(self: socket.socket, address: Any) -> None:
            assert address == ("127.0.0.1", port), address
            CONNECT(self, address)

        monkeypatch.setattr(socket.socket, "connect", connect)
        monkeypatch.setattr(socket, "getaddrinfo", LOOK_UP)
        fetcher = Fetcher(lookup=lookup, allow=is_outside, max_bytes=CAP, max_seconds=10.0)
        monkeypatch.setattr(fetched, "open_fetched", functools.partial(open_fetched, fetcher=fetcher))
        yield port


@pytest.mark.parametrize(("url", "reason"), URLS.values(), ids=list(URLS))
def test_a_url_that_leads_inside_or_without_end_is_set_aside(
    tmp_path: Path, port: int, url: str, reason: str | None
) -> None:
    """Both http and https are followed, otherwise than planned: half of LAION is http, and addresses are checked."""
    good = f"http://pictures.test:{port}/picture"
    urls = [good, url.format(port=port), good]
    columns = {"URL": urls, "TEXT": ["a cat", "a dog", "a cow"], "uid": ["0", "1", "2"]}
    write_parquet(tmp_path / "corpus" / "part-00000.parquet", columns)
    outcome = run("embed", tmp_path / "corpus", "--fetch", "--out", tmp_path / "out", "--workers", 1)
    assert outcome.status == (3 if reason else 0), outcome
    made = read_made(tmp_path / "out")
    require_counts(made)
    assert made.table["uid"] == (["0", "2"] if reason else ["0", "1", "2"])
    assert [(line["uid"], line["reason"]) for line in made.quarantine] == (
        [("1", f"not fetched: {reason}")] if reason else []
    )


def test_59_nothing_is_fetched_that_was_not_asked_for(tmp_path: Path) -> None:
    write_laion(tmp_path / "corpus", ROWS)
    require_refusal(tmp_path / "corpus", tmp_path / "out", "is metadata without pictures: add --fetch")
