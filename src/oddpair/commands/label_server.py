"""The server of the labelling page: for one person at this machine, and no page of another site."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any, get_args

from oddpair.commands.label_pictures import Pictures
from oddpair.commands.label_session import Entry, Session
from oddpair.errors import Refusal
from oddpair.files import parse_json
from oddpair.html_style import STYLE
from oddpair.progress import visible
from oddpair.retrieval.pictures import BadPicture
from oddpair.splits.labelling.labels import Kind

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# A page made by oddpair.html has its style in it, and no script.
_REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_MOST_BYTES = 1 << 20
_MOST_DIGITS = 18
_LARGEST_PAGE = 100

_FILES = {"": "text/html", "label.css": "text/css", "label.js": "text/javascript"}

Answer = tuple[str, bytes]


class Server(ThreadingHTTPServer):
    """Serves a session on this machine's own address, under a path that nobody can guess.

    Args:
        session: What is labelled.
        pictures: Where its pictures come from.
        make_report: Makes the page of the report.
        port: Where to listen; 0 for any free port.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(
        self, session: Session, pictures: Pictures, make_report: Callable[[], str], port: int = 0
    ) -> None:
        self.session = session
        self.pictures = pictures
        self.make_report = make_report
        self.token = secrets.token_urlsafe(24)
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise Refusal(f"--port {port}: {error.strerror}: choose another, or none") from error

    @property
    def hosts(self) -> tuple[str, str]:
        """What a browser at this machine calls it."""
        return f"127.0.0.1:{self.server_port}", f"localhost:{self.server_port}"

    @property
    def address(self) -> str:
        """Address of the page."""
        return f"http://{self.hosts[0]}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that went away, and everything of other faults."""
        import sys

        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Refused(Exception):  # noqa: N818
    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "oddpair"
    sys_version = ""
    timeout = 120

    def do_GET(self) -> None:
        self._reply(self._get)

    def do_POST(self) -> None:
        self._reply(self._post)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Keep the terminal, and the token in every path, to the user."""

    def _reply(self, answer: Callable[[str], Answer]) -> None:
        status = HTTPStatus.OK
        try:
            kind, body = answer(self._find_path())
        except _Refused as refused:
            status, kind, body = refused.status, "text/plain", str(refused).encode()
        except Refusal as refusal:
            status, kind, body = HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain", str(refusal).encode()
        if status != HTTPStatus.OK:
            # What the request still holds would be taken for the next one.
            self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Type", kind if kind.startswith("image/") else f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "private, max-age=3600" if kind == "image/jpeg" else "no-store")
        for name, value in _HEADERS.items():
            is_report = name == "Content-Security-Policy" and self.path.endswith("/report")
            self.send_header(name, _REPORT_POLICY if is_report else value)
        self.end_headers()
        self.wfile.write(body)

    def _find_path(self) -> str:
        """Return the path below the token; refuse whoever does not know it, or came by another name."""
        if self.headers.get("Host", "") not in self.server.hosts:
            # A name that somebody else's server has pointed here.
            wanted = self.server.hosts[0]
            raise _Refused(
                HTTPStatus.FORBIDDEN, f"ask for {wanted}; a tunnel needs the same port at both ends"
            )
        origin = self.headers.get("Origin")
        if origin is not None and origin not in [f"http://{host}" for host in self.server.hosts]:
            raise _Refused(HTTPStatus.FORBIDDEN, "another site may not ask")
        _, token, *rest = self.path.split("/", 2) if self.path.startswith("/") else ("", "")
        if not rest or not secrets.compare_digest(token.encode(), self.server.token.encode()):
            raise _Refused(HTTPStatus.NOT_FOUND, "not here: open the address that oddpair label printed")
        return rest[0]

    def _get(self, path: str) -> Answer:
        if path in _FILES:
            return _FILES[path], _read_file(path or "label.html")
        if path == "report":
            return "text/html", self.server.make_report().encode()
        size, _, row = path.partition("/")
        if size not in ("small", "large") or not _is_below(row, len(self.server.session.uids)):
            raise _Refused(HTTPStatus.NOT_FOUND, "nothing is here")
        try:
            shown = self.server.pictures.get(int(row))
        except BadPicture as error:
            raise _Refused(HTTPStatus.UNPROCESSABLE_ENTITY, visible(str(error))) from error
        return "image/jpeg", shown.small if size == "small" else shown.large

    def _post(self, path: str) -> Answer:
        value = self._read_body()
        session = self.server.session
        try:
            if path == "page":
                found = self._make_page(int(value["size"]), [_as_entry(one) for one in value["passed"]])
            elif path == "label":
                order = session.label([(_as_entry(one["entry"]), str(one["label"])) for one in value["said"]])
                found = {"order": order, **_count(session)}
            elif path == "undo":
                found = {"taken": session.undo(), **_count(session)}
            else:
                raise _Refused(HTTPStatus.NOT_FOUND, "nothing is here")
        except (KeyError, TypeError, ValueError) as error:
            raise _Refused(HTTPStatus.BAD_REQUEST, f"not what the page sends: {error}") from error
        return "application/json", json.dumps(found).encode("ascii")

    def _read_body(self) -> Any:
        if self.headers.get_content_type() != "application/json":
            # Only a script of this page can send this type without being asked first.
            raise _Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send application/json")
        length = self.headers.get("Content-Length", "")
        if not _is_below(length, _MOST_BYTES + 1):
            raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too much at once")
        try:
            return parse_json(self.rfile.read(int(length)))
        except ValueError as error:
            raise _Refused(HTTPStatus.BAD_REQUEST, "no JSON") from error

    def _make_page(self, size: int, passed: list[Entry]) -> dict[str, Any]:
        session = self.server.session
        page, following = session.next_page(min(max(size, 1), _LARGEST_PAGE), passed)
        self.server.pictures.want([entry.row for entry in (*page, *following)])
        return {
            "annotator": session.annotator,
            "classes": list(session.plan.classes),
            "review": session.review,
            "items": [
                {
                    "entry": list(entry),
                    "caption": visible(session.captions[entry.row]),
                    "said": visible(session.tell(entry.row)),
                    "uid": visible(session.uids[entry.row]),
                }
                for entry in page
            ],
            **_count(session),
        }


def _count(session: Session) -> dict[str, int]:
    done, left = session.count()
    return {"done": done, "left": left, "unseen": len(session.unseen)}


def _is_below(text: str, limit: int) -> bool:
    # Python reads no number of thousands of digits.
    return text.isdecimal() and len(text) <= _MOST_DIGITS and int(text) < limit


def _as_entry(value: Any) -> Entry:
    row, kind = value
    for known in get_args(Kind):
        if type(row) is int and kind == known:
            return Entry(row, known)
    raise ValueError(f"{value!r} is no picture")


def _read_file(name: str) -> bytes:
    data = resources.files("oddpair.commands").joinpath(name).read_bytes()
    return STYLE.encode() + data if name == "label.css" else data
