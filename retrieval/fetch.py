"""One picture by URL, from strangers: only from public addresses, in bounded time and bounded size.

A list of URLs is written by anybody, so that a URL must not reach the machine itself, its network or a
cloud's metadata, and no answer may hold a worker or its memory.
"""

from __future__ import annotations

import functools
import http.client
import io
import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, quote, urljoin, urlsplit

_MAX_REDIRECTS = 5
_CHUNK = 1 << 16
_REDIRECTS = (301, 302, 303, 307, 308)
_PORTS = {"http": 80, "https": 443}
# What may stand in a request as it is; all else is written in percent.
_SAFE = "/?%:@!$&'()*+,;=~-._[]"
# A site says by these that it does not want its pictures collected.
_UNWANTED = {"noai", "noimageai", "noindex", "noimageindex"}
_OUR_NAME = "oddpair"
_SPECIAL = tuple(ipaddress.IPv4Network(network) for network in ("192.0.0.0/24", "192.88.99.0/24"))
_UNICAST = ipaddress.IPv6Network("2000::/3")


class BadFetch(ValueError):  # noqa: N818
    """A picture that could not be had; the text is the reason for the quarantine."""


def resolve(host: str, port: int) -> tuple[str, ...]:
    """Look up the addresses of a host, as the system does.

    Raises:
        OSError: If it has none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


def is_public(address: str) -> bool:
    """Say whether an address is one of the open internet: not of a machine, a network, a tunnel or a group.

    Of IPv6 only global unicast, without the ranges that carry an IPv4 address (6to4, Teredo, NAT64, mapped).

    >>> [is_public(one) for one in ("8.8.8.8", "2606:4700::1111")]
    [True, True]
    >>> [is_public(one) for one in ("127.0.0.1", "169.254.169.254", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "2002:7f00:1::")]
    [False, False, False, False, False]
    """
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv4Address):
        special = any(found in network for network in _SPECIAL)
        return found.is_global and not found.is_multicast and not found.is_reserved and not special
    return found.is_global and found in _UNICAST and found.sixtofour is None and found.teredo is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetcher:
    """How pictures are fetched.

    Both https and http are followed, for more than half of LAION's URLs are http: what http lacks is the word
    of a certificate that nobody on the way has put another picture there, and a picture of the open web is
    not trusted either way. A redirect from https to http is refused.

    Attributes:
        max_bytes: Longest picture, in bytes.
        max_seconds: Longest time for one picture, from the look-up of its host to its last byte.
        lookup: Gives the addresses of a host and port.
        allow: Says whether an address may be connected to; all of a host's must be.
    """

    max_bytes: int = 20_000_000
    max_seconds: float = 10.0
    lookup: Callable[[str, int], tuple[str, ...]] = resolve
    allow: Callable[[str], bool] = is_public

    def fetch(self, url: str) -> bytes:
        """Fetch a picture, without cookies, proxies, passwords or compression, over five redirects at most.

        Args:
            url: Where it is.

        Returns:
            The body of the answer, not yet judged.

        Raises:
            BadFetch: If it cannot be had, and why.
        """
        deadline = time.monotonic() + self.max_seconds
        for _ in range(_MAX_REDIRECTS + 1):
            try:
                answer = self._ask(_split(url), deadline)
            except TimeoutError as error:
                raise BadFetch(f"more than {self.max_seconds:g} s") from error
            except ssl.SSLCertVerificationError as error:
                raise BadFetch(f"bad certificate ({error.verify_message})") from error
            except ssl.SSLError as error:
                raise BadFetch("broken TLS") from error
            except http.client.HTTPException as error:
                raise BadFetch(f"broken HTTP ({type(error).__name__})") from error
            except OSError as error:
                raise BadFetch(f"no connection ({error.strerror or type(error).__name__})") from error
            if isinstance(answer, bytes):
                return answer
            if url.lower().startswith("https:") and answer.lower().startswith("http:"):
                raise BadFetch("redirect from https to http")
            url = answer
        raise BadFetch(f"more than {_MAX_REDIRECTS} redirects")

    def _ask(self, url: SplitResult, deadline: float) -> bytes | str:
        """Send one request; return the body of the answer, or the URL that it redirects to."""
        host = _encode_host(url)
        port = url.port or _PORTS[url.scheme]
        wire = self._connect(host, port, deadline)
        try:
            if url.scheme == "https":
                wire.encrypt(_trust(), host)
            connection = http.client.HTTPConnection(host, port)
            # With a socket it has, it looks nothing up and connects to nothing itself.
            connection.sock = wire
            target = quote(url.path or "/", safe=_SAFE) + (
                f"?{quote(url.query, safe=_SAFE)}" if url.query else ""
            )
            shown = f"[{host}]" if ":" in host else host
            connection.request(
                "GET",
                target,
                headers={
                    "Host": shown if port == _PORTS[url.scheme] else f"{shown}:{port}",
                    "User-Agent": _OUR_NAME,
                    "Accept": "image/*",
                    "Accept-Encoding": "identity",
                    "Connection": "close",
                },
            )
            with connection.getresponse() as response:
                if response.status in _REDIRECTS:
                    # Headers are bytes that Python shows as Latin-1.
                    place = response.headers.get("Location", "").encode("latin-1")
                    if not place:
                        raise BadFetch("redirect to nowhere")
                    try:
                        return urljoin(url.geturl(), quote(place, safe=_SAFE + "#"))
                    except ValueError as error:
                        raise BadFetch("redirect to no URL") from error
                return self._read(response)
        finally:
            wire.end()

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        if response.status != 200:
            raise BadFetch(f"status {response.status}")
        if response.headers.get("Content-Encoding", "identity").lower() not in ("identity", ""):
            raise BadFetch("compressed answer")
        if _is_unwanted(response.headers.get_all("X-Robots-Tag") or []):
            raise BadFetch("not to be collected, says its site")
        length = response.length or 0
        if length > self.max_bytes:
            raise BadFetch(f"more than {self.max_bytes:,} bytes")
        data = bytearray()
        while chunk := response.read(_CHUNK):
            data += chunk
            if len(data) > self.max_bytes:
                raise BadFetch(f"more than {self.max_bytes:,} bytes")
        if len(data) < length:
            raise BadFetch(f"{len(data):,} bytes of {length:,}")
        if not data:
            raise BadFetch("empty answer")
        return bytes(data)

    def _connect(self, host: str, port: int, deadline: float) -> _Wire:
        addresses = _look_up(self.lookup, host, port, deadline)
        # One private address among public ones is how a name is made to lead inside.
        private = next((address for address in addresses if not self.allow(address)), None)
        if private is not None:
            raise BadFetch(f"{private} is no public address")
        failure = OSError("no address")
        for address in addresses:
            try:
                # The address itself: a second look-up could answer otherwise.
                return _Wire(socket.create_connection((address, port), timeout=_left(deadline)), deadline)
            except OSError as error:
                failure = error
        raise failure


class _Wire:
    """A socket for http.client of which every send and every receive ends when the time of the picture does."""

    def __init__(self, plain: socket.socket, deadline: float) -> None:
        self._socket = plain
        self._deadline = deadline

    def encrypt(self, context: ssl.SSLContext, host: str) -> None:
        self._socket.settimeout(_left(self._deadline))
        self._socket = context.wrap_socket(self._socket, server_hostname=host)

    def sendall(self, data: bytes) -> None:
        self._socket.settimeout(_left(self._deadline))
        self._socket.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Incoming(self._socket, self._deadline), _CHUNK)

    def close(self) -> None:
        """Do nothing: http.client closes its side before it has read the answer."""

    def end(self) -> None:
        self._socket.close()


class _Incoming(io.RawIOBase):
    def __init__(self, source: socket.socket, deadline: float) -> None:
        self._source = source
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._source.settimeout(_left(self._deadline))
        return self._source.recv_into(buffer)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _look_up(
    lookup: Callable[[str, int], tuple[str, ...]], host: str, port: int, deadline: float
) -> tuple[str, ...]:
    # The system's look-up knows no time limit; a thread that is left behind ends when the system gives up.
    found: queue.SimpleQueue[tuple[str, ...]] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found.put(lookup(host, port))
        except (OSError, ValueError):
            found.put(())

    threading.Thread(target=ask, daemon=True).start()
    try:
        addresses = found.get(timeout=_left(deadline))
    except queue.Empty:
        raise TimeoutError from None
    if not addresses:
        raise BadFetch("unknown host")
    return addresses


def _split(url: str) -> SplitResult:
    try:
        url.encode()
        split = urlsplit(url)
        port = split.port
    except ValueError as error:
        raise BadFetch("no URL") from error
    if split.scheme not in _PORTS:
        raise BadFetch(f"{split.scheme or 'no'} scheme, needed https or http"[:80])
    if not split.hostname or port == 0:
        raise BadFetch("no URL")
    if "@" in split.netloc:
        raise BadFetch("password in the URL")
    return split


def _encode_host(url: SplitResult) -> str:
    host = (url.hostname or "").rstrip(".")
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode()
    except UnicodeError as error:
        raise BadFetch("no URL") from error


def _is_unwanted(lines: list[str]) -> bool:
    words = [word.strip().lower() for line in lines for word in line.split(",")]
    # "robot: word" speaks to one robot, a bare word to all.
    asked = {word.rpartition(":")[2].strip() for word in words if word.partition(":")[0] in (word, _OUR_NAME)}
    return not asked.isdisjoint(_UNWANTED)


@functools.cache
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()
