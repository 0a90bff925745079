"""What a browser does with the server of ``oddpair label``, without one."""

import http.client
import json
import threading
from contextlib import contextmanager

from oddpair.commands.label import prepare_labels
from oddpair.commands.label_page import make_report
from oddpair.commands.label_pictures import Pictures
from oddpair.commands.label_server import Server
from oddpair.commands.label_session import Session
from oddpair.splits.labelling.journal import open_journal
from oddpair.splits.labelling.labels import read_folder


class Client:
    """Asks a server, each time on a connection of its own."""

    def __init__(self, port, token):
        self.port = port
        self.token = token

    def ask(self, method, path, body=None, **headers):
        """Return status, headers and body; ``path`` is whole, headers have ``_`` for ``-``."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, {"Connection": "close", **sent})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def get(self, path):
        status, _, body = self.ask("GET", f"/{self.token}/{path}")
        assert status == 200, body
        return body

    def post(self, path, body, status=200):
        found, _, answer = self.ask(
            "POST", f"/{self.token}/{path}", json.dumps(body), Content_Type="application/json"
        )
        assert found == status, answer
        return json.loads(answer) if status == 200 else answer.decode()

    def page(self, size=25, passed=()):
        return self.post("page", {"size": size, "passed": list(passed)})

    def label(self, items, label):
        return self.post("label", {"said": [{"entry": item["entry"], "label": label} for item in items]})


# Kept here, since tests put something else in its place.
SERVE = Server.serve_forever


@contextmanager
def serving(server):
    """Serve in another thread."""
    thread = threading.Thread(target=SERVE, args=(server, 0.01))
    thread.start()
    try:
        yield Client(server.server_port, server.token)
    finally:
        server.shutdown()
        thread.join()


@contextmanager
def labelling(corpus, out, annotator="ann", *, review=False, classes=None, **draw):
    """Draw, open a session and serve it, as the verb does."""
    opened, plan = prepare_labels(str(corpus), out, draw, review=review, classes=classes)
    with open_journal(out / "annotators" / annotator / "labels.jsonl", annotator) as journal:
        session = Session(out, plan, journal, review=review)
        pictures = Pictures(opened, session.uids, plan.rows["shard"].to_pylist(), session.set_aside)
        server = Server(session, pictures, lambda: make_report(read_folder(out), plan))
        try:
            with serving(server) as client:
                client.session = session
                yield client
        finally:
            server.server_close()
            pictures.close()
