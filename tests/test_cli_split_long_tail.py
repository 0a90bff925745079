"""``oddpair split`` and ``verify`` with the rarest concepts of a corpus, as somebody runs them."""

from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from tests.command import files_in, run

from oddpair.benchmarks.miniature.concepts import CONCEPTS
from oddpair.retrieval.corpus import open_corpus
from oddpair.splits.manifest import as_uids, read_manifest, write_manifest

pytestmark = pytest.mark.usefixtures("no_network")


@pytest.fixture(scope="module")
def counts(drawn, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tail")
    (folder / "words.txt").write_text("\n".join([*CONCEPTS, "zeppelin"]))
    code, said = run("count", drawn, "--vocabulary", folder / "words.txt", "--out", folder / "counts")
    assert code == 0, said
    return folder / "counts"


def test_a_set_of_the_rarest_concepts_is_made_verified_and_made_again(drawn, counts, tmp_path):
    out = tmp_path / "out"
    settings = ("--set", "concepts=30", "--set", "most=3", "--set", "hash_bits=4")
    arguments = ("long-tail", "--counts", counts, "--tests", f"world={drawn}", "--corpus", drawn, *settings)
    code, said = run("split", *arguments, "--out", out, "--dry-run")
    assert code == 0, said
    assert "long-tail-world: " in said
    assert "concepts of the tail that are in none: " in said
    assert not out.exists() or not files_in(out)
    code, said = run("split", *arguments, "--out", out)
    assert code == 0, said
    split = out / "splits" / "long-tail-world"
    made = read_manifest(split)
    rules = [rows for _, rows in made.rules]
    assert rules[0] == sum(rules[1:]) == 300
    assert rules[-1] == len(made)

    concepts = pq.read_table(out / "splits" / "concepts.parquet").to_pylist()
    assert [row["count_text"] for row in concepts] == sorted(row["count_text"] for row in concepts)
    assert concepts[0]["count_text"] == 0
    kept = pq.read_table(out / "splits" / "pictures.parquet").to_pylist()
    truth = open_corpus(drawn).metadata(["concepts"])
    shown = dict(zip(truth["uid"].to_pylist(), truth["concepts"].to_pylist(), strict=True))
    assert all(row["concept"] in shown[row["uid"]] for row in kept)
    assert [row["uid"] for row in kept] == made.uids.to_pylist()

    code, said = run("verify", split)
    assert (code, said.count("holds: ")) == (0, 4), said
    code, said = run("split", split, "--out", tmp_path / "again")
    assert code == 0, said
    for name in ("manifest.json", "uids.parquet"):
        assert (tmp_path / "again" / "splits" / split.name / name).read_bytes() == (split / name).read_bytes()

    tail = {row["concept"] for row in concepts}
    head = next(uid for uid, names in sorted(shown.items()) if not tail & set(names))
    write_manifest(split, replace(made, uids=as_uids(sorted([*made.uids.to_pylist()[1:], head]))))
    code, line = run("verify", split)
    assert code == 2
    assert f"1 of {len(made)} do not, the first {head}" in line


def test_what_is_missing_is_refused_before_anything_is_made(drawn, counts, tmp_path):
    code, line = run("split", "long-tail", "--out", tmp_path / "out", "--counts", counts)
    assert (code, line) == (
        2,
        "a recipe of kind long-tail needs --tests: give it, or name it in the recipe file",
    )
    arguments = ("long-tail", "--out", tmp_path / "out", "--counts", counts, "--tests", f"world={drawn}")
    code, line = run("split", *arguments)
    assert code == 2
    assert "concepts is 290" in line
    code, line = run("split", *arguments, "--set", "count_in=joint", "--set", "concepts=10")
    assert (code, "count_in is 'joint'" in line) == (2, True)
