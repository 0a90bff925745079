import pickle
import socket
import ssl
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from oddpair.retrieval import fetch
from oddpair.retrieval.fetch import BadFetch, Fetcher, is_public, resolve

TLS = Path(__file__).parent / "tls"
PICTURE = bytes(range(256)) * 700


def anywhere(address):
    return True


def loopback(host, port):
    return ("127.0.0.1",)


FETCHER = Fetcher(lookup=loopback, allow=anywhere, max_seconds=5.0)


def answer(body=b"", *headers, status="200 OK", length=True):
    lines = [f"HTTP/1.1 {status}", *headers, *([f"Content-Length: {len(body)}"] if length else [])]
    return "\r\n".join([*lines, "", ""]).encode() + body


@contextmanager
def serve(reply, context=None):
    """A server on loopback that reads one request a connection and replies; gives its port and the requests."""
    requests = []
    errors = []

    def talk(connection):
        try:
            with connection if context is None else context.wrap_socket(connection, server_side=True) as wire:
                wire.settimeout(10)
                request = b""
                while not request.endswith(b"\r\n\r\n"):
                    received = wire.recv(4096)
                    if not received:
                        return
                    request += received
                requests.append(request.decode())
                found = reply(requests) if callable(reply) else reply
                for part in [found] if isinstance(found, bytes) else found:
                    wire.sendall(part)
        except OSError:
            # The client hangs up as soon as it has seen enough.
            connection.close()
        except BaseException as error:
            errors.append(error)
            raise

    def listen():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            thread = threading.Thread(target=talk, args=(connection,), daemon=True)
            threads.append(thread)
            thread.start()

    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepting = threading.Thread(target=listen, daemon=True)
        accepting.start()
        try:
            yield server.getsockname()[1], requests
        finally:
            server.shutdown(socket.SHUT_RDWR)
            accepting.join(5)
            for thread in threads:
                thread.join(5)
    assert not errors


def reason(fetcher, url):
    with pytest.raises(BadFetch) as caught:
        fetcher.fetch(url)
    return str(caught.value)


def test_a_picture_is_fetched_with_a_plain_request_that_says_who_asks():
    with serve(answer(PICTURE)) as (port, requests):
        assert FETCHER.fetch(f"http://pictures.test:{port}/a b/\u00e9.jpg?q=1&r=%20#part") == PICTURE
    lines = requests[0].split("\r\n")
    assert lines[0] == "GET /a%20b/%C3%A9.jpg?q=1&r=%20 HTTP/1.1"
    assert {line.partition(":")[0].lower() for line in lines[1:] if line} == {
        "host",
        "user-agent",
        "accept",
        "accept-encoding",
        "connection",
    }
    assert {f"Host: pictures.test:{port}", "User-Agent: oddpair", "Accept-Encoding: identity"} < set(lines)


@pytest.mark.parametrize(
    "reply",
    [
        answer(PICTURE, length=False),
        answer(b"2bc00\r\n" + PICTURE + b"\r\n0\r\n\r\n", "Transfer-Encoding: chunked", length=False),
        b"HTTP/1.1 100 Continue\r\n\r\n" + answer(PICTURE, "Content-Encoding: identity"),
        answer(PICTURE, "X-Robots-Tag: otherbot: noai", "X-Robots-Tag: nofollow"),
    ],
    ids=["until-the-end", "chunked", "continued", "others-unwanted"],
)
def test_answers_come_in_several_ways(reply):
    assert len(PICTURE) == 0x2BC00
    with serve(reply) as (port, _):
        assert FETCHER.fetch(f"http://pictures.test:{port}/") == PICTURE


def test_redirects_are_followed_and_looked_up_one_by_one():
    asked = []

    def lookup(host, port):
        asked.append(host)
        return ("127.0.0.1",)

    def reply(requests):
        if len(requests) == 1:
            return answer(b"", f"Location: http://second.test:{port}/a/b", status="302 Found")
        if len(requests) == 2:
            return answer(b"", "Location: ../\u00e9", status="308 Permanent Redirect")
        return answer(PICTURE)

    with serve(reply) as (port, requests):
        fetcher = Fetcher(lookup=lookup, allow=anywhere)
        assert fetcher.fetch(f"http://first.test:{port}/") == PICTURE
    assert asked == ["first.test", "second.test", "second.test"]
    assert requests[2].startswith("GET /%C3%A9 ")


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
        *(
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "192.0.0.8",
            "192.88.99.1",
            "198.18.0.1",
            "203.0.113.1",
        ),
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff0e::1", "fec0::1", "2001:db8::1", "100::1"),
        *(
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::7f00:1",
            "64:ff9b::7f00:1",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
        ),
        *("2002:7f00:1::", "2001::1", "5f00::1"),
    ],
)
def test_addresses_that_are_not_of_the_open_internet_are_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:2800:220:1::1", "2a00:1450::1"]
)
def test_addresses_of_the_open_internet_are_public(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/a.jpg",
        "https://127.0.0.1/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://localhost/",
        "http://LOCALHOST./",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/latest/meta-data/",
    ],
    ids=lambda url: f"59-{url}",
)
def test_urls_that_lead_inside_are_refused_before_a_connection(url, monkeypatch):
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("a connection was opened"))
    assert "is no public address" in reason(Fetcher(), url)


@pytest.mark.parametrize(
    "addresses",
    [("93.184.216.34", "127.0.0.1"), ("2606:2800:220:1::1", "::ffff:10.0.0.1")],
    ids=["59-v4", "59-v6"],
)
def test_one_private_address_among_public_ones_is_enough_to_refuse(addresses, monkeypatch):
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("a connection was opened"))
    assert (
        reason(Fetcher(lookup=lambda *_: addresses), "http://rebind.test/")
        == f"{addresses[1]} is no public address"
    )


def test_the_address_that_was_looked_at_is_the_one_connected_to__59():
    answers = iter([("127.0.0.2",), ("127.0.0.1",)])
    looked_at = []

    def allow(address):
        looked_at.append(address)
        return True

    with serve(answer(PICTURE)) as (port, requests):
        fetcher = Fetcher(lookup=lambda *_: next(answers), allow=allow, max_seconds=5.0)
        # A second look-up would have found the server, which does not listen at the first address.
        assert reason(fetcher, f"http://rebind.test:{port}/").startswith("no connection")
    assert (looked_at, requests) == (["127.0.0.2"], [])


def test_another_address_is_tried_when_one_does_not_answer():
    with serve(answer(PICTURE)) as (port, _):
        fetcher = Fetcher(lookup=lambda *_: ("127.0.0.2", "127.0.0.1"), allow=anywhere)
        assert fetcher.fetch(f"http://pictures.test:{port}/") == PICTURE


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("http://127.0.0.1:{port}/", "127.0.0.1 is no public address"),
        ("//169.254.169.254/latest", "169.254.169.254 is no public address"),
        ("file:///etc/passwd", "file scheme, needed https or http"),
        ("http://me:word@public.test/", "password in the URL"),
        ("http://[::1", "redirect to no URL"),
        ("http://a:99999/", "no URL"),
        ("", "redirect to nowhere"),
    ],
    ids=lambda text: f"59-{text.split(':')[0] or 'nowhere'}" if "is no" not in text else None,
)
def test_what_a_redirect_leads_to_is_judged_as_any_url(place, expected):
    public = Fetcher(
        lookup=lambda host, port: ("127.0.0.3",) if host == "public.test" else resolve(host, port),
        allow=lambda address: address == "127.0.0.3",
    )
    connect = socket.create_connection

    def fill(requests):
        return place.replace("{port}", requests[0].split("public.test:")[1].split("\r\n")[0])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            socket, "create_connection", lambda to, timeout: connect(("127.0.0.1", to[1]), timeout=timeout)
        )
        with serve(lambda found: answer(b"", f"Location: {fill(found)}", status="301 Moved")) as (
            port,
            requests,
        ):
            assert reason(public, f"http://public.test:{port}/") == expected
    assert len(requests) == 1


def test_a_loop_of_redirects_is_left__59():
    with serve(lambda _: answer(b"", "Location: /again", status="302 Found")) as (port, requests):
        assert reason(FETCHER, f"http://pictures.test:{port}/") == "more than 5 redirects"
    assert len(requests) == 6


def endless(part, start=b""):
    yield start
    while True:
        yield part


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (answer(b"x", "Content-Length: 20000001", length=False), "more than 20,000,000 bytes"),
        (lambda _: [answer(length=False), bytes(20_000_001)], "more than 20,000,000 bytes"),
        (lambda _: endless(bytes(1 << 16), answer(length=False)), "more than 20,000,000 bytes"),
        (lambda _: endless(b"A: b\r\n", b"HTTP/1.1 200 OK\r\n"), "broken HTTP (HTTPException)"),
        (lambda _: endless(b"x" * 4096), "broken HTTP (LineTooLong)"),
        (lambda _: endless(b"x" * 4096, b"HTTP/1.1 200 OK\r\nA: "), "broken HTTP (LineTooLong)"),
        (answer(b"1000000000\r\nabc", "Transfer-Encoding: chunked", length=False), "broken HTTP (IncompleteRead)"),
        (answer(b"zz\r\nabc", "Transfer-Encoding: chunked", length=False), "broken HTTP (IncompleteRead)"),
        (answer(b"abc", "Content-Length: 4", length=False), "3 bytes of 4"),
        (answer(b""), "empty answer"),
        (answer(b"", length=False), "empty answer"),
        (b"<html>", "broken HTTP (BadStatusLine)"),
        (b"", "broken HTTP (RemoteDisconnected)"),
        (answer(b"gone", status="404 Not Found"), "status 404"),
        (answer(b"x", "Content-Encoding: gzip"), "compressed answer"),
        (answer(b"x", "X-Robots-Tag: nofollow, NoAI"), "not to be collected, says its site"),
        (answer(b"x", "X-Robots-Tag: oddpair: noindex"), "not to be collected, says its site"),
    ],
    ids=[
        *("59-declared-too-long", "59-too-long", "59-endless", "59-endless-headers", "59-endless-line", "59-huge-header"),
        *("59-chunk-too-long", "chunk-without-size", "cut", "empty", "nothing", "no-http", "no-answer", "gone"),
        *("compressed", "unwanted", "unwanted-by-us"),
    ],
)  # fmt: skip
def test_an_answer_that_is_no_picture_or_never_ends_is_bad(reply, expected):
    with serve(reply) as (port, _):
        assert (
            reason(
                Fetcher(lookup=loopback, allow=anywhere, max_seconds=20.0), f"http://pictures.test:{port}/"
            )
            == expected
        )


def drip(start, part):
    yield start
    for _ in range(100):
        time.sleep(0.05)
        yield part


@pytest.mark.parametrize(
    "reply",
    [
        lambda _: drip(answer(length=False), b"x"),
        lambda _: drip(b"HTTP/1.1 200 OK\r\nA: ", b"x"),
        lambda _: drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        lambda _: drip(answer(b"", "Transfer-Encoding: chunked", length=False), b"1\r\nx\r\n"),
    ],
    ids=["59-body", "59-header", "59-continue", "59-chunks"],
)
def test_a_slow_drip_ends_when_the_time_of_the_picture_does(reply):
    with serve(reply) as (port, _):
        fetcher = Fetcher(lookup=loopback, allow=anywhere, max_seconds=0.3)
        assert reason(fetcher, f"http://pictures.test:{port}/") == "more than 0.3 s"


def test_time_runs_over_redirects_and_over_a_look_up_that_hangs():
    def slow(requests):
        time.sleep(0.15)
        return answer(b"", "Location: /again", status="302 Found")

    with serve(slow) as (port, requests):
        fetcher = Fetcher(lookup=loopback, allow=anywhere, max_seconds=0.4)
        assert reason(fetcher, f"http://pictures.test:{port}/") == "more than 0.4 s"
        assert len(requests) < 6
    hanging = threading.Event()
    fetcher = Fetcher(lookup=lambda *_: (hanging.wait(10), ())[1], max_seconds=0.1)
    assert reason(fetcher, "http://pictures.test/") == "more than 0.1 s"
    hanging.set()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", "no scheme, needed https or http"),
        ("a.jpg", "no scheme, needed https or http"),
        ("ftp://a/b.jpg", "ftp scheme, needed https or http"),
        ("data:image/png;base64,AAAA", "data scheme, needed https or http"),
        ("javascript:alert(1)", "javascript scheme, needed https or http"),
        ("pipe:id", "pipe scheme, needed https or http"),
        ("http://", "no URL"),
        ("http://a:99999/", "no URL"),
        ("http://a:b/", "no URL"),
        ("http://a:0/", "no URL"),
        ("http://[::1", "no URL"),
        ("http://me:word@a/", "password in the URL"),
        ("http://\u00e9.." + "x" * 70, "no URL"),
        ("http://a\udcff/", "no URL"),
        ("http://a..b/", "unknown host"),
        ("http://a\x00b/", "unknown host"),
        ("http://" + "x" * 70 + "/", "unknown host"),
    ],
)
def test_what_is_no_url_of_a_picture_is_bad(url, expected, monkeypatch):
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("a connection was opened"))
    assert reason(Fetcher(), url) == expected


def test_hosts_may_be_written_in_any_script():
    asked = []

    def lookup(host, port):
        asked.append((host, port))
        return ()

    fetcher = Fetcher(lookup=lookup)
    assert reason(fetcher, "https://B\u00fccher.Test/") == "unknown host"
    assert asked == [("xn--bcher-kva.test", 443)]


def test_a_header_cannot_be_smuggled_into_a_request():
    with serve(answer(PICTURE)) as (port, requests):
        FETCHER.fetch(f"http://pictures.test:{port}/a\r\nX-Evil: 1\r\n\r\nb?c\r\nd")
        FETCHER.fetch(f"http://pictures.test:{port}/%0d%0aX-Evil:%201")
    assert not any("\nX-Evil" in request for request in requests)


@pytest.fixture
def server_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "server.pem")
    return context


@pytest.fixture
def trusted(monkeypatch):
    context = ssl.create_default_context(cafile=str(TLS / "authority.pem"))
    monkeypatch.setattr(fetch, "_trust", lambda: context)


def test_https_is_fetched_from_a_host_that_proves_its_name(server_context, trusted):
    with serve(answer(PICTURE), server_context) as (port, _):
        assert FETCHER.fetch(f"https://pictures.test:{port}/") == PICTURE


def test_https_of_another_name_or_an_unknown_authority_is_bad__59(server_context, monkeypatch):
    with serve(answer(PICTURE), server_context) as (port, requests):
        assert reason(FETCHER, f"https://pictures.test:{port}/").startswith("bad certificate (unable to get")
        context = ssl.create_default_context(cafile=str(TLS / "authority.pem"))
        monkeypatch.setattr(fetch, "_trust", lambda: context)
        assert reason(FETCHER, f"https://other.test:{port}/").startswith("bad certificate (Hostname mismatch")
    assert requests == []


def test_https_to_a_server_that_speaks_none_is_bad__59():
    def talk():
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"220 mail.test\r\n")
            connection.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=talk)
        thread.start()
        assert reason(FETCHER, f"https://pictures.test:{server.getsockname()[1]}/") == "broken TLS"
        thread.join()


def test_a_redirect_from_https_to_http_is_bad(server_context, trusted):
    reply = answer(b"", "Location: http://pictures.test/", status="302 Found")
    with serve(reply, server_context) as (port, _):
        assert reason(FETCHER, f"https://pictures.test:{port}/") == "redirect from https to http"


def test_nothing_of_the_environment_changes_where_a_request_goes(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with serve(answer(PICTURE)) as (port, _):
        assert FETCHER.fetch(f"http://pictures.test:{port}/") == PICTURE


def test_a_fetcher_can_be_sent_to_another_process():
    assert pickle.loads(pickle.dumps(Fetcher(max_bytes=7))) == Fetcher(max_bytes=7)
