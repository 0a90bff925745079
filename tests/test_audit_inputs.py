import dataclasses
from pathlib import Path

import pytest
import yaml

from oddpair.commands.audit_inputs import name_test, open_audited, tell_hashes, write_recipe
from oddpair.commands.given import Given
from oddpair.errors import Refusal
from oddpair.splits.recipe_file import load_recipe


@pytest.fixture
def given(tmp_path, noise, as_bytes, write_folder):
    """A corpus of six pictures and a test set of three."""
    for name, seeds in (("web", range(6)), ("val", range(6, 9))):
        pictures = {f"{seed}.png": as_bytes(noise(seed)) for seed in seeds}
        write_folder(tmp_path / name, pictures, [f"picture {seed}" for seed in seeds])
    return Given(
        corpus=str(tmp_path / "web"),
        embeddings=str(tmp_path / "embedded"),
        tests={"val": str(tmp_path / "val")},
        vocabulary=("coco",),
    )


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("data/my tests/", "my-tests"),
        ("s3://bucket/val", "val"),
        ("corpus", "test-corpus"),
        ("a/combined", "test-combined"),
        ("{00000..00004}.tar", "00000..00004-.tar"),
        ("…", "test"),
    ],
)
def test_a_test_set_is_named_after_its_path_as_a_split_may_be(path, name):
    assert name_test(path) == name


def test_what_is_compared_is_told_by_hashes_without_a_path(given, tmp_path):
    inputs, name = open_audited(given, tmp_path / "audit", workers=1)
    hashes = tell_hashes(inputs, name, None)
    assert set(hashes) == {"corpus", "corpus_embeddings", "test", "test_embeddings", "encoder", "vocabulary"}
    assert not any("/" in value for value in hashes.values())
    assert hashes["corpus"] != hashes["test"]
    table = tmp_path / "web" / "list.csv"
    assert tell_hashes(inputs, name, str(table)).keys() - hashes.keys() == {"accuracies"}


def test_labels_or_a_table_that_do_not_exist_are_refused_before_anything_is_embedded(given, tmp_path):
    for key in ("labels", "counts", "tags", "accuracies"):
        wrong = dataclasses.replace(given, **{key: str(tmp_path / "gone")})
        with pytest.raises(Refusal, match="gone does not exist: check the path"):
            open_audited(wrong, tmp_path / "audit", workers=1)
    assert not (tmp_path / "audit").exists()


def test_a_recipe_names_its_inputs_from_where_it_lies(given, tmp_path):
    inputs, _ = open_audited(given, tmp_path / "audit", workers=1)
    path = tmp_path / "audit" / "recipes" / "gap-pruned.yaml"
    write_recipe(
        path, "similarity", {"prune": ["near"]}, ("tests", "embeddings", "vocabulary"), given, inputs
    )
    told = yaml.safe_load(path.read_text())["inputs"]
    assert (told["corpus"], told["embeddings"]) == ("../../web", "../../embedded")
    assert told["tests"] == {"val": "../../val"}
    assert told["vocabulary"] == ["coco"]
    loaded = load_recipe(str(path), {})
    assert (loaded.kind, loaded.recipe.prune) == ("similarity", ("near",))
    found = [loaded.inputs["corpus"], loaded.inputs["embeddings"], loaded.inputs["tests"]["val"]]
    assert [Path(part).resolve().name for part in found] == ["web", "embedded", "val"]
