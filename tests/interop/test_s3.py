"""Corpora in a bucket, read by a real s3fs from a server that speaks S3, by several processes."""

import shutil

import pytest
from tests.interop import peers
from tests.interop.conftest import FROM_CSV

FIXTURES = peers.ROOT / "tests" / "fixtures"
NAMES = ("img2dataset-raw", "img2dataset-parquet", "clip-retrieval", "files")

pytestmark = [
    pytest.mark.tool("s3fs", "corpora in s3://, embedded by two processes to the bytes of the local ones"),
    pytest.mark.tool("moto", "serves s3://"),
]


@pytest.fixture(scope="module")
def local(tmp_path_factory, address):
    """What the tools wrote, in a folder for each layout."""
    folder = tmp_path_factory.mktemp("s3")
    for name in NAMES[:-1]:
        shutil.copytree(FIXTURES / name, folder / "bucket" / name)
    peers.write_urls(folder / "urls.csv", address)
    options = (*FROM_CSV, "--output_format=files", "--image_size=32")
    peers.run_img2dataset(folder / "urls.csv", folder / "bucket" / "files", *options)
    return folder / "bucket"


@pytest.fixture(scope="module")
def bucket(local):
    """The variables by which a client finds the same as ``s3://bucket``."""
    with peers.serve_s3(local) as variables:
        yield {**variables, "PYTHONPATH": str(peers.S3)}


def content(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.suffix in (".npy", ".parquet", ".jsonl")
    }


@pytest.mark.parametrize("listed", ["img2dataset-raw/{00000..00001}.tar", *NAMES[1:]])
def test_a_corpus_in_a_bucket_is_embedded_to_the_bytes_of_the_local_one(
    tmp_path, local, bucket, oddpair, listed
):
    options = ("--max-bad", 1, "--workers")
    here = oddpair("embed", f"{local}/{listed}", "--out", tmp_path / "here", *options, 1)
    there = oddpair("embed", f"s3://bucket/{listed}", "--out", tmp_path / "there", *options, 2, **bucket)
    assert content(tmp_path / "there") == content(tmp_path / "here")
    assert there == here.replace("here", "there")


def test_captions_in_a_bucket_are_counted(tmp_path, local, bucket, oddpair):
    (tmp_path / "names.txt").write_text("apple\nplate\nhouse\n", encoding="utf-8")
    options = ("--vocabulary", tmp_path / "names.txt", "--out")
    oddpair("count", f"{local}/clip-retrieval", *options, tmp_path / "here")
    oddpair("count", "s3://bucket/clip-retrieval", *options, tmp_path / "there", **bucket)
    assert content(tmp_path / "there") == content(tmp_path / "here")
