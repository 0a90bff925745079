"""Pictures served from loopback, and the tools that other people wrote, run on them as a user would run them."""

from __future__ import annotations

import csv
import io
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".venv-interop" / "bin"
# What oddpair's own interpreter is given beside what it has, for this alone.
S3 = ROOT / ".venv-interop" / "s3"
HERE = Path(__file__).resolve().parent

SLOW = "00.jpg"
GONE = "gone.jpg"
PAGE = "page.jpg"
CAPTIONS = {
    "00.jpg": "a red apple on a blue plate",
    "01.jpg": "two dogs, one cat",
    "02.jpg": 'the "best" coffee — ever',
    "03.jpg": "Straße in Zürich bei Nacht, in grey",
    "04.jpg": "a picture that lies on its side",
    GONE: "a picture that is no longer there",
    "05.jpg": "猫とりんご",
    "06.png": "a drawing of a house",
    "07.png": "a logo without background",
    PAGE: "a page that says sorry",
    "08.webp": "a bicycle in front of a wall",
    "09.jpg": "   a caption with spaces around   ",
}


def draw_pictures() -> dict[str, bytes]:
    """Draw ten small pictures, by name: JPEG (one grey, one turned by EXIF), PNG (one with alpha), WebP."""
    return {name: _draw(name) for name in CAPTIONS if name not in (GONE, PAGE)}


def _draw(name: str) -> bytes:
    number, kind = int(name[:2]), {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}[name[3:]]
    blocks = np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    picture = Image.fromarray(blocks).resize((32 + 4 * (number % 3), 32), Image.Resampling.NEAREST)
    exif = Image.Exif()
    if number == 3:
        picture = picture.convert("L")
    if number == 4:
        exif[0x0112] = 6
        exif[0x010F] = "Kamera"
    if number == 7:
        picture = picture.convert("RGBA")
        picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    file = io.BytesIO()
    picture.save(file, kind, exif=exif, quality=80)
    return file.getvalue()


@contextmanager
def serve(pictures: Mapping[str, bytes], *, port: int = 0) -> Iterator[str]:
    """Serve pictures on loopback, the first of them late, and a page in place of one; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.lstrip("/")
            if name == SLOW:
                time.sleep(0.3)
            data = b"<html>sorry</html>" if name == PAGE else pictures.get(name)
            if data is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def write_urls(path: Path, address: str) -> None:
    """Write the list that img2dataset downloads: a csv of url and caption."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["url", "caption"])
        writer.writerows([f"{address}/{name}", caption] for name, caption in CAPTIONS.items())


def write_laion(path: Path, address: str, names: Sequence[str]) -> None:
    """Write metadata of some pictures as LAION-2B-en has it; the caption of the last row is null."""
    n_rows = len(names)
    texts = [*(CAPTIONS[name] for name in names[:-1]), None]
    urls = [f"{address}/{name}" for name in names]
    table = pa.table(
        {
            "URL": pa.array(urls, pa.string()),
            "TEXT": pa.array(texts, pa.string()),
            "WIDTH": pa.array([640.0 + row for row in range(n_rows)], pa.float64()),
            "HEIGHT": pa.array([480.0] * n_rows, pa.float64()),
            "similarity": pa.array([0.25 + row / 64 for row in range(n_rows)], pa.float64()),
            "hash": pa.array(hash_laion(urls, texts), pa.int64()),
            "punsafe": pa.array([0.125] * n_rows, pa.float32()),
            "pwatermark": pa.array([0.5] * n_rows, pa.float32()),
        }
    )
    pq.write_table(table, path)


def run_img2dataset(source: Path, out: Path, *options: str, rows_per_shard: int = 5) -> None:
    """Run the real img2dataset; its own exit status is 0 even when shards fail, so the shards are looked for."""
    subprocess.run(
        [
            str(BIN / "img2dataset"),
            f"--url_list={source}",
            f"--output_folder={out}",
            "--processes_count=1",
            "--thread_count=4",
            f"--number_sample_per_shard={rows_per_shard}",
            "--timeout=5",
            "--retries=0",
            *options,
        ],
        check=True,
        capture_output=True,
        timeout=300,
    )
    if not any(out.glob("*_stats.json")):
        raise AssertionError(f"img2dataset wrote no shard into {out}")


def run_numpy_writer(
    out: Path, parts: Sequence[tuple[NDArray[np.float16], NDArray[np.float16], list[dict[str, Any]]]]
) -> None:
    """Let clip-retrieval's own writer write partitions of (image rows, text rows, json of each sample)."""
    out.mkdir(parents=True)
    for index, (image, text, records) in enumerate(parts):
        np.savez(out / "rows.npz", image=image, text=text)
        (out / "records.json").write_text(json.dumps(records), encoding="utf-8")
        run_python("write_parts.py", str(out), str(index), str(len(parts)))
        (out / "rows.npz").unlink()
        (out / "records.json").unlink()


def hash_laion(urls: Sequence[str], texts: Sequence[str | None]) -> list[int]:
    """Make LAION's hash of urls and captions, by the library that LAION used."""
    joined = [f"{url}{text or ''}" for url, text in zip(urls, texts, strict=True)]
    found: list[int] = json.loads(run_python("hash_laion.py", input=json.dumps(joined)))
    return found


@contextmanager
def serve_s3(folder: Path) -> Iterator[dict[str, str]]:
    """Serve the files below a folder as ``s3://bucket``; yield the variables by which a client finds them."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    variables = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "NO_PROXY": "127.0.0.1",
    }
    log = folder.parent / "server.log"
    with log.open("wb") as file:
        server = subprocess.Popen(
            [str(BIN / "moto_server"), "-H", "127.0.0.1", "-p", str(port)], stdout=file, stderr=file
        )
    try:
        run_python("fill_bucket.py", str(folder), **variables)
        yield variables
    finally:
        server.terminate()
        server.wait(30)


def find_versions(tools: Sequence[str]) -> dict[str, str]:
    """Find the versions of tools: of their environment, of what oddpair's is given, of oddpair's own."""
    theirs: dict[str, str | None] = json.loads(run_python("find_versions.py", input=json.dumps(tools)))
    given = {found.name: found.version for found in metadata.distributions(path=[str(S3)])}
    # open_clip is read in oddpair's environment, s3fs beside it, and all else in that of the tools.
    return {tool: theirs[tool] or given.get(tool) or metadata.version(tool) for tool in tools}


def run_python(script: str, *arguments: str, input: str | None = None, **variables: str) -> str:
    """Run a script of ``theirs`` in the environment of the tools, with some variables set."""
    done = subprocess.run(
        [str(BIN / "python"), str(HERE / "theirs" / script), *arguments],
        check=False,
        capture_output=True,
        text=True,
        input=input,
        timeout=300,
        env=os.environ | variables,
    )
    if done.returncode:
        raise AssertionError(f"{script} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout
