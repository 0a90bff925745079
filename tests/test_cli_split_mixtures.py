"""``oddpair split`` and ``verify`` with mixtures, controls and sources, as somebody runs them."""

from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.command import files_in, run

from oddpair.retrieval.corpus import fingerprint, open_corpus
from oddpair.splits.manifest import Manifest, as_uids, read_manifest, write_manifest

pytestmark = pytest.mark.usefixtures("no_network")

MADE = ("manifest.json", "uids.parquet")


@pytest.fixture(scope="module")
def rows(drawn):
    return open_corpus(drawn).metadata(["style"]).to_pylist()


@pytest.fixture
def pools(rows, tmp_path):
    """A natural and a rendition split of the drawn corpus."""
    named = {}
    for name in ("natural", "rendition"):
        uids = sorted(row["uid"] for row in rows if (row["style"] == "photo") == (name == "natural"))
        write_manifest(tmp_path / name, Manifest(name=name, recipe="by_hand", uids=tuple(uids)))
        named[name] = tmp_path / name
    return named


def as_options(pools):
    return [option for name, path in pools.items() for option in ("--pool", f"{name}={path}")]


def forge(split, into):
    """Put another row in the place of a split's first one, with files that belong together."""
    made = read_manifest(split)
    uids = [uid for uid in made.uids.to_pylist()[1:] if uid != into]
    write_manifest(split, replace(made, uids=as_uids(sorted([*uids, into]))))


def assert_remade(split, tmp_path):
    code, said = run("split", split, "--out", tmp_path / "again")
    assert code == 0, said
    for name in MADE:
        assert (tmp_path / "again" / "splits" / split.name / name).read_bytes() == (split / name).read_bytes()


@pytest.fixture
def recipe_file(tmp_path):
    def write(text):
        (tmp_path / "recipe.yaml").write_text(text)
        return tmp_path / "recipe.yaml"

    return write


def test_a_grid_of_mixtures_is_made_verified_and_made_again(pools, recipe_file, tmp_path):
    path = recipe_file(
        "recipe: mixture\nbase: natural\ntotals: [40, 20]\nratios: [0, 0.25, 0.5]\n"
        "inputs:\n  pools: {natural: natural, rendition: rendition}\n"
    )
    out = tmp_path / "out"
    code, said = run("split", path, "--out", out, "--dry-run")
    assert code == 0, said
    assert "mix-40-rendition-0.25: 40 rows" in said
    assert "40 rows, each once: 30 of natural, 10 of rendition" in said
    assert not out.exists() or not files_in(out)
    code, said = run("split", path, "--out", out)
    assert code == 0, said
    made = sorted(path.name for path in (out / "splits").iterdir() if path.is_dir())
    assert made == sorted(f"mix-{n}-rendition-{ratio}" for n in (20, 40) for ratio in ("0", "0.25", "0.5"))
    split = out / "splits" / "mix-40-rendition-0.25"
    code, said = run("verify", split)
    assert (code, said.count("holds: ")) == (0, 3), said
    assert_remade(split, tmp_path)
    before = files_in(out)
    assert run("split", path, "--out", out)[0] == 0
    assert files_in(out) == before
    other = read_manifest(pools["natural"]).uids.to_pylist()
    drawn = read_manifest(split).uids.to_pylist()
    forge(split, next(uid for uid in other if uid not in drawn))
    code, line = run("verify", split)
    assert code == 2
    assert "rows were not drawn" in line


def test_a_mixture_that_a_pool_is_too_small_for_is_refused_and_writes_no_split(pools, tmp_path):
    settings = ("--set", "base=natural", "--set", "totals=[300]", "--set", "replaced=[290]")
    code, line = run("split", "mixture", "--out", tmp_path / "out", *as_options(pools), *settings)
    assert code == 2
    assert "pool 'rendition' has" in line
    assert "are missing" in line
    assert not list((tmp_path / "out").rglob("manifest.json"))


@pytest.mark.parametrize("match", ["size", "classes", "concepts"])
def test_a_control_is_made_verified_and_made_again(drawn, pools, rows, tmp_path, match):
    small = read_manifest(pools["natural"]).uids.to_pylist()[:25]
    write_manifest(tmp_path / "small", Manifest(name="small", recipe="by_hand", uids=tuple(small)))
    (tmp_path / "words.txt").write_text("apple\nbook\ncastle\nbee\nanchor\n")
    options = {
        "size": ("--set", "sizes=[5]"),
        "classes": ("--set", "class_column=style"),
        "concepts": ("--vocabulary", tmp_path / "words.txt"),
    }[match]
    out = tmp_path / "out"
    arguments = (
        "control",
        "--corpus",
        drawn,
        "--pool",
        tmp_path / "small",
        "--set",
        f"match={match}",
        *options,
    )
    code, said = run("split", *arguments, "--out", out, "--dry-run")
    assert (code, "control-small: 25 rows" in said) == (0, True), said
    assert not out.exists() or not files_in(out)
    code, said = run("split", *arguments, "--out", out)
    assert code == 0, said
    split = out / "splits" / "control-small"
    code, said = run("verify", split)
    assert code == 0, said
    if match == "classes":
        kept = set(read_manifest(split).uids.to_pylist())
        assert sum(row["style"] == "photo" for row in rows if row["uid"] in kept) == 25
    assert_remade(split, tmp_path)
    drawn_here = read_manifest(split).uids.to_pylist()
    forge(split, next(row["uid"] for row in rows if row["style"] != "photo" and row["uid"] not in drawn_here))
    code, line = run("verify", split)
    assert code == 2
    assert str(split) in line


def test_sources_are_mixed_from_whole_corpora(drawn, tmp_path):
    (tmp_path / "web").mkdir()
    web = pa.table({"uid": [f"{number:032x}" for number in range(60)], "text": ["a thing"] * 60})
    pq.write_table(web, tmp_path / "web" / "part-000.parquet")
    pools = {"drawn": drawn, "web": tmp_path / "web"}
    out = tmp_path / "out"
    arguments = ("sources", *as_options(pools), "--set", "totals=[40]", "--set", "designs=[alone, all]")
    code, said = run("split", *arguments, "--out", out, "--dry-run")
    assert (code, "all-40.web: 20 rows" in said) == (0, True), said
    code, said = run("split", *arguments, "--out", out)
    assert code == 0, said
    parts = pq.read_table(out / "splits" / "parts.parquet").to_pylist()
    assert [(row["mix"], row["split"], row["rows"]) for row in parts] == [
        ("alone-drawn-40", "alone-drawn-40.drawn", 40),
        ("alone-web-40", "alone-web-40.web", 40),
        ("all-40", "all-40.drawn", 20),
        ("all-40", "all-40.web", 20),
    ]
    code, line = run("split", "mixture", *as_options(pools), "--out", tmp_path / "mixed")
    assert (code, "pools 'drawn' and 'web' are of different sets" in line) == (2, True), line
    split = out / "splits" / "all-40.web"
    assert read_manifest(split).provenance["pool_corpora"] == {
        name: fingerprint(open_corpus(path)) for name, path in pools.items()
    }
    code, line = run("export", split, "--out", tmp_path / "shards")
    assert code == 2
    assert line == f"{split} was drawn from pools, which are not looked up: name its corpus with --corpus"
    code, said = run("verify", split)
    assert (code, said.count("holds: ")) == (0, 4), said
    assert_remade(split, tmp_path)
    forge(split, open_corpus(drawn).metadata()["uid"][0].as_py())
    code, line = run("verify", split)
    assert code == 2
    assert "19 rows of web, 0 of no source" in line
