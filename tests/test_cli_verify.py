"""``oddpair verify`` and making a split again: what nobody can compute, other inputs, and what is written."""

import json
from dataclasses import replace

import pytest
from tests.command import files_in, run

from oddpair.splits.manifest import Claim, Manifest, read_manifest, write_manifest


@pytest.fixture
def mixed(tmp_path):
    """A run of a recipe that needs nothing but lists of rows."""
    for name, first in (("natural", 0), ("rendition", 20)):
        uids = [f"{number:032x}" for number in range(first, first + 20)]
        write_manifest(tmp_path / name, Manifest(name=name, recipe="by-hand", uids=uids))
    pools = [
        option for name in ("natural", "rendition") for option in ("--pool", f"{name}={tmp_path / name}")
    ]
    code, said = run("split", "mixture", *pools, "--set", "totals=[10]", "--out", tmp_path / "run")
    assert code == 0, said
    (split,) = (tmp_path / "run" / "splits").glob("*/")
    return split, pools


def test_a_split_of_an_unknown_recipe_is_only_taken_if_it_claims_nothing(tmp_path):
    plain = Manifest(name="plain", recipe="by-hand", uids=["a"])
    write_manifest(tmp_path / "plain", plain)
    assert run("verify", tmp_path / "plain")[0] == 0
    write_manifest(tmp_path / "bold", replace(plain, statement=(Claim(text="0 % other style"),)))
    code, said = run("verify", tmp_path / "bold")
    assert code == 2
    assert "'by-hand', which is no recipe: nobody can compute it again" in said


def test_verify_writes_nothing_and_says_from_which_other_inputs_claims_were_computed(mixed, tmp_path):
    split, _ = mixed
    before = files_in(tmp_path)
    assert run("verify", split)[0] == 0
    manifest = read_manifest(split)
    forged = {**manifest.provenance, "pools": {"natural": "0" * 64, "rendition": "0" * 64}}
    write_manifest(split, replace(manifest, provenance=forged))
    code, said = run("verify", split)
    assert code == 0
    assert "computed from other inputs than the manifest names: pools is" in said
    code, said = run("verify", split, "--json", stream="stdout")
    assert json.loads(said)["differences"]
    write_manifest(split, manifest)
    assert files_in(tmp_path) == before


def test_a_manifest_whose_card_or_rules_were_changed_is_not_made_again(mixed, tmp_path):
    split, _ = mixed
    manifest = read_manifest(split)
    assert run("split", split, "--out", tmp_path / "again")[0] == 0
    assert files_in(tmp_path / "again" / "splits" / split.name) == files_in(split)
    assert run("verify", split)[0] == 0
    for change in ({"rules": (("rows", 10**9),)}, {"card": (("leak", "none"),)}, {"of": "val"}):
        write_manifest(split, replace(manifest, **change))
        for dry in ((), ("--dry-run",)):
            code, said = run("split", split, "--out", tmp_path / "other", *dry)
            assert code == 2
            assert "cannot be made again: its recipe and inputs give another one" in said
        code, said = run("verify", split)
        assert code == 2
        assert f"it is the same split: its '{next(iter(change))}' is another" in said
    assert not (tmp_path / "other" / "splits").exists()


def test_forged_words_figures_and_claims_of_another_form_are_refused(mixed):
    split, _ = mixed
    manifest = read_manifest(split)
    first, *rest = manifest.statement
    for statement, said in (
        ((replace(first, text="ten million rows"), *rest), "ten million rows: "),
        ((replace(first, values={**first.values, "rows": 11}), *rest), first.text),
        ((replace(first, values={"rows": ["a"]}), *rest), "made again it reads: "),
        ((Claim(text="it is the best"), first, *rest), "it is the best: made again it reads: "),
        (tuple(rest), "it lacks the claim: "),
    ):
        write_manifest(split, replace(manifest, statement=statement))
        code, line = run("verify", split)
        assert code == 2
        assert said in line
