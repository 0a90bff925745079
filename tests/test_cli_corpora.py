"""The verbs on every layout, as somebody meets them who comes with a corpus and makes mistakes."""

import functools
import json
import re
import shlex
import shutil
from string import Template

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.command import run as run_command
from typer.testing import CliRunner

from oddpair import cli, files
from oddpair.retrieval.encoder import load_encoder
from oddpair.retrieval.fetch import Fetcher

pytestmark = pytest.mark.usefixtures("no_network")


run = functools.partial(run_command, stream="stdout")


def search(corpus, out, *options):
    return run("search", corpus, "a red apple", "--out", out, "--workers", 1, *options)


def files_in(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")


@pytest.fixture
def fixtures(root, tmp_path):
    """Copies of the corpora that the tools themselves wrote."""
    return shutil.copytree(root / "tests" / "fixtures", tmp_path / "fixtures")


@pytest.fixture(scope="module")
def encoder(transformer):
    return load_encoder(str(transformer))


@pytest.fixture
def unit_rows():
    def make(rows, width, seed=0):
        found = np.random.default_rng(seed).standard_normal((rows, width))
        return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float16)

    return make


LAYOUTS = {
    # Rows kept and exit code of embed; captions counted.
    "img2dataset-raw": (10, 3, 11),
    "img2dataset-jpg": (10, 0, 10),
    "img2dataset-parquet": (10, 0, 10),
    "img2dataset-laion": (3, 0, 3),
    "clip-retrieval": (10, 0, 10),
    "datacomp": (4, 0, 4),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_embedded_and_counted(fixtures, tmp_path, layout):
    kept, code, captions = LAYOUTS[layout]
    said = run("embed", fixtures / layout, "--out", tmp_path / "emb", "--workers", 1)
    assert (said[0], said[1].splitlines()[0].split()[:2]) == (code, [str(kept), "rows"]), said
    manifest = files.read_json(tmp_path / "emb" / "manifest.json")
    lines = [json.loads(line) for line in (tmp_path / "emb" / "quarantine.jsonl").read_text().splitlines()]
    assert sum(manifest["rows"]) + sum(line["rows"] for line in lines) == manifest["seen"]
    (tmp_path / "words.txt").write_text("apple\nplate\nhouse\n")
    options = ("--vocabulary", tmp_path / "words.txt", "--out", tmp_path / "counts")
    code, said = run("count", fixtures / layout, *options)
    assert code == 0, said
    assert f"{captions} captions name" in said


def test_a_subset_limits_every_verb_that_reads_a_corpus(fixtures, tmp_path):
    corpus, subset = fixtures / "datacomp", ("--subset", fixtures / "datacomp-subset.npy")
    code, said = run("embed", corpus, "--out", tmp_path / "emb", *subset)
    assert (code, said.splitlines()[0].split()[0]) == (0, "2")
    assert "2 rows are outside the subset" in said
    code, said = run("count", corpus, "--out", tmp_path / "counts", *subset)
    assert said.startswith("3 captions name")
    options = ("--set", "minimum_count=1", "--out", tmp_path / "pairs", *subset)
    code, said = run("split", "unseen-pairs", "--corpus", corpus, *options)
    assert code == 0, said
    assert "Pairs of concepts in 3 captions" in (tmp_path / "pairs" / "splits" / "card.html").read_text()


def test_a_subset_of_another_corpus_is_refused_and_said_to_be_one(fixtures, tmp_path):
    other = np.array([(1, 2)], dtype=[("f0", "<u8"), ("f1", "<u8")])
    np.save(tmp_path / "other.npy", other)
    for verb in ("embed", "count"):
        options = ("--subset", tmp_path / "other.npy", "--out", tmp_path / verb)
        code, line = run(verb, fixtures / "datacomp", *options)
        assert code == 2
        assert "4 rows" in line
        assert "in the subset" in line
    code, line = run("count", fixtures / "laion", *options)
    assert (
        "is not 32 lower-case hex digits, and a DataComp subset can name no other: leave --subset out" in line
    )


def test_who_names_no_model_is_told_which_one_it_was(fixtures, transformer, tmp_path):
    said = {}
    for name, options in (("silent", ()), ("named", ("--model", transformer))):
        words = ("embed", fixtures / "img2dataset-jpg", "--out", tmp_path / name, "--workers", 1, *options)
        said[name] = CliRunner().invoke(cli.app, [str(word) for word in words], catch_exceptions=False).stderr
    assert (
        "embedded by the reference encoder, which knows drawings only; --model names another"
        in said["silent"]
    )
    assert "reference" not in said["named"]


@pytest.mark.parametrize("options", [("--precision", "bf16"), ("--preprocess", "exact")])
def test_embeddings_are_searched_however_they_were_computed(drawn, transformer, tmp_path, options):
    out = tmp_path / "emb"
    assert run("embed", drawn, "--out", out, "--model", transformer, "--workers", 1, *options)[0] == 0
    before = {path: path.stat().st_mtime_ns for path in files_in(out)}
    code, said = search(drawn, tmp_path / "s.html", "--embeddings", out, "--model", transformer)
    assert code == 0, said
    assert {path: path.stat().st_mtime_ns for path in files_in(out)} == before
    code, line = search(drawn, tmp_path / "s.html", "--embeddings", out)
    assert code == 2
    assert "model.config=" in line


def test_an_embedding_folder_is_a_corpus_without_pictures(drawn, transformer, tmp_path):
    run("embed", drawn, "--out", tmp_path / "emb", "--model", transformer, "--workers", 1)
    code, said = search(tmp_path / "emb", tmp_path / "s.html", "--model", transformer, "-k", 3)
    assert code == 0, said
    page = (tmp_path / "s.html").read_text()
    assert "<img" not in page
    assert page.count("<tr") == 4
    code, line = search(tmp_path / "emb", tmp_path / "t.html")
    assert "the embeddings have dimension 24" in line or "rows of dimension 24, needed 128" in line
    assert "--model and --pretrained" in line


@pytest.mark.parametrize("layout", ["clip-retrieval", "datacomp"])
def test_embeddings_of_another_model_are_refused_before_they_are_taken_over(fixtures, tmp_path, layout):
    code, line = search(fixtures / layout, tmp_path / "out" / "s.html")
    assert code == 2
    assert re.search(r"dimension .*, needed 128: give the model that made them with --model and", line)
    assert not (tmp_path / "out").exists()


def test_of_two_models_embeddings_those_of_the_named_model_are_searched(
    fixtures, transformer, encoder, unit_rows, tmp_path
):
    corpus = fixtures / "datacomp"
    for table in corpus.glob("*.parquet"):
        captions = pq.read_table(table)["text"].to_pylist()
        mine = encoder.encode_texts(captions).astype(np.float16)
        large = unit_rows(len(captions), 768)
        arrays = {"b32_img": mine, "b32_txt": mine, "l14_img": large, "l14_txt": large}
        np.savez(table.with_suffix(".npz"), **arrays)
    code, said = search(corpus, tmp_path / "s.html", "--model", transformer, "-k", 4)
    assert code == 0, said
    assert said.count("\n   ") == 3
    code, said = run("embed", corpus, "--out", tmp_path / "emb", "--model", transformer, "--workers", 1)
    assert "4 rows of dimension 24" in said
    assert run("embed", corpus, "--out", tmp_path / "all")[1].startswith("4 rows of dimension 768")


def test_metadata_that_was_fetched_once_is_searched_without_pictures(
    fixtures, noise, as_bytes, tmp_path, monkeypatch
):
    code, line = search(fixtures / "laion", tmp_path / "s.html")
    assert "holds no pictures: fetch them first with oddpair embed --fetch" in line
    monkeypatch.setattr(Fetcher, "fetch", lambda self, url: as_bytes(noise(len(url))))
    code, said = run("embed", fixtures / "laion", "--fetch", "--out", tmp_path / "emb", "--workers", 1)
    assert code == 0, said
    code, said = search(fixtures / "laion", tmp_path / "s.html", "--embeddings", tmp_path / "emb")
    assert code == 0, said
    assert "<img" not in (tmp_path / "s.html").read_text()


@pytest.fixture
def labelled(tmp_path, unit_rows):
    """clip-retrieval embeddings of two styles that lie apart, with a label for most rows."""
    rows, width = 600, 16
    styles = ["photo" if row % 2 else "sketch" for row in range(rows)]
    vectors = unit_rows(rows, width).astype(np.float32)
    vectors[:, 0] += np.where(np.arange(rows) % 2, 1.0, -1.0)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    corpus = tmp_path / "labelled"
    for kind in ("img_emb", "metadata"):
        (corpus / kind).mkdir(parents=True)
    np.save(corpus / "img_emb" / "img_emb_0.npy", vectors)
    table = {
        "image_path": [f"{row:09d}" for row in range(rows)],
        "caption": [f"picture {row}" for row in range(rows)],
        "url": [f"https://a.example/{row}.jpg" for row in range(rows)],
        "style": [style if row < 500 else None for row, style in enumerate(styles)],
    }
    pq.write_table(pa.table(table), corpus / "metadata" / "metadata_0.parquet")
    return corpus


def test_styles_are_split_by_embeddings_without_textures_or_pictures(labelled, tmp_path):
    out = tmp_path / "split"
    code, said = run("split", "style-strict", "--corpus", labelled, "--out", out, "--set", "precision=0.7")
    assert code == 0, said
    assert re.search(r"^natural-strict: [1-9]\d+ rows$", said, re.MULTILINE)
    assert "<img" not in (out / "splits" / "card.html").read_text()
    split = out / "splits" / "natural-strict"
    assert run("verify", split)[0] == 0
    assert run("export", split, "--corpus", labelled, "--out", tmp_path / "x", "--as", "parquet")[0] == 0
    code, line = run("export", split, "--corpus", labelled, "--out", tmp_path / "y")
    assert "no pictures: export it as uids, parquet, laion or datacomp" in line


def test_styles_cannot_be_split_by_captions_alone(labelled, tmp_path):
    (labelled / "img_emb").rename(labelled / "text_emb")
    (labelled / "text_emb" / "img_emb_0.npy").rename(labelled / "text_emb" / "text_emb_0.npy")
    code, line = run(
        "split", "style-strict", "--corpus", labelled, "--out", tmp_path / "out", "--set", "precision=0.7"
    )
    assert code == 2
    assert "labelled has embeddings of captions, none of pictures: give a corpus with pictures" in line


# What was typed, and what the line must say.
MISTAKES = {
    "a typo in the path": ("embed $jpg-x --out $out", "does not exist: check the path; a corpus is a local path"),
    "the folder above": (
        "embed $fixtures --out $out",
        r"add one; is the corpus in its folder clip-retrieval or datacomp or img2dataset-jpg\?",
    ),
    "a text file": ("embed $fixtures/README.md --out $out", r"README\.md is no tar, parquet, listing"),
    "a shard is missing": ("embed $gap --out $out", "gap lacks 00001 between shards 00000 and 00002: fetch"),
    "a listed shard is missing": (
        "embed '$gap/{00000..00002}.tar' --out $out",
        r"gap lacks 00001\.tar, of 3 files listed: fetch what is missing",
    ),
    "a brace is open": ("embed '$gap/{00000..00002.tar' --out $out", "has a brace without its partner: mend it"),
    "a store without its driver": ("embed s3://bucket/shards --out $out", "not installed: pip install s3fs"),
    "a pipe": ("embed 'pipe:cat 0.tar' --out $out", "'pipe:', which is never followed: a corpus is a local path"),
    "a wrong header": ("embed $listed --out $out", r"has the columns \['image', 'text'\], needed 'file' and 'caption'"),
    "metadata to embed": ("embed $fixtures/laion --out $out", "add --fetch to fetch them by their URLs"),
    "pictures to fetch": ("embed $jpg --fetch --out $out", "has pictures of its own: leave --fetch out"),
    "no subset": ("embed $jpg --subset $out.npy --out $out", r"out\.npy cannot be read \(No such file"),
    "out is the corpus": ("embed $jpg --out $jpg", "is the corpus, which is never written to: choose another"),
    "weights are missing": ("embed $jpg --model ViT-B-32 --out $out", "needs weights: add --pretrained FILE"),
    "weights are on a hub": (
        "embed $jpg --model ViT-B-32 --pretrained laion2b_s34b_b79k --out $out",
        "download them from https://huggingface.co/laion/CLIP-ViT-B-32-laion2B-s34B-b79K and give the file",
    ),
    "weights of no model": (
        "embed $fixtures/clip-retrieval --pretrained openai --out $out",
        "holds embeddings, which are taken over: leave the option out, or add --model",
    ),
    "nothing to choose": ("embed $jpg --dimension 512 --out $out", "holds none: leave the option out"),
    "no such dimension": (
        "embed $fixtures/datacomp --dimension 640 --out $out",
        "holds embeddings of dimension 512 and 768, needed 640",
    ),
    "no such engine": ("embed $jpg --engine spark --out $out", "no engine 'spark': give dask:ADDRESS"),
    "nobody there": ("embed $jpg --engine dask:nowhere --out $out", "no Dask scheduler answers at 'nowhere'"),
    "no column of styles": (
        "split style-strict --corpus $jpg --out $out",
        "has no column 'style', only .*: ask for one of these; name another with --set style_column=NAME, or give --labels",
    ),
    "few words": ("count $jpg --out $out", "give a --vocabulary file with the names of the concepts"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered_by_one_line_that_says_what_to_do(fixtures, tmp_path, monkeypatch, mistake):
    def lacks_drivers(scheme):
        raise ImportError(scheme)

    monkeypatch.setattr(fsspec, "get_filesystem_class", lacks_drivers)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    jpg, gap, listed = fixtures / "img2dataset-jpg", tmp_path / "gap", tmp_path / "listed"
    gap.mkdir()
    for number in ("00000", "00002"):
        for ending in (".tar", ".parquet", "_stats.json"):
            shutil.copy(jpg / f"00000{ending}", gap / f"{number}{ending}")
    listed.mkdir()
    (listed / "list.csv").write_text("image,text\na.png,a cat\n")
    typed, expected = MISTAKES[mistake]
    places = {"fixtures": fixtures, "jpg": jpg, "gap": gap, "listed": listed, "out": tmp_path / "out"}
    code, line = run(*shlex.split(Template(typed).substitute(places)))
    assert code == 2
    assert re.search(expected, line), line
    assert not any(path.is_file() and path.name != ".lock" for path in (tmp_path / "out").rglob("*"))
