from dataclasses import asdict, fields

import pytest
import yaml

from oddpair.errors import Refusal
from oddpair.splits.recipe_file import KINDS, SHIPPED, load_recipe
from oddpair.splits.recipes.style_strict import StyleStrictRecipe
from oddpair.splits.recipes.unseen_pairs import UnseenPairsRecipe


@pytest.fixture
def write(tmp_path):
    def to_file(text, name="my.yaml"):
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return to_file


@pytest.mark.parametrize("name", KINDS)
def test_a_shipped_recipe_documents_every_key_with_the_default_that_holds(name):
    written = yaml.safe_load((SHIPPED / f"{name.replace('-', '_')}.yaml").read_text())
    assert written.pop("recipe") == name
    assert set(written) == {field.name for field in fields(KINDS[name].recipe)}
    assert load_recipe(name, {}).recipe == KINDS[name].recipe()


def test_there_is_a_shipped_file_for_every_kind_and_no_other():
    stems = sorted(name.replace("-", "_") for name in KINDS)
    assert sorted(path.stem for path in SHIPPED.glob("*.yaml")) == stems
    assert sorted(path.stem for path in SHIPPED.glob("[a-z]*.py")) == stems


def test_a_users_file_changes_what_it_names_and_an_option_changes_the_file(write):
    path = write("recipe: style-strict\nprecision: 0.9\nnatural: [photo, picture]\nseed: 3\n")
    found = load_recipe(path, {"seed": 5, "style_column": None}).recipe
    assert found == StyleStrictRecipe(precision=0.9, natural=("photo", "picture"), seed=5)
    assert load_recipe(write("recipe: unseen-pairs\n"), {}).recipe == UnseenPairsRecipe()


def test_a_whole_number_is_a_share_where_a_share_is_meant_and_null_is_no_number(write):
    assert load_recipe(write("recipe: style-strict\nlabelled: null\n"), {}).recipe == StyleStrictRecipe(
        labelled=None
    )
    with pytest.raises(Refusal, match=r"precision is 1\.0: it must lie between 0 and 1"):
        load_recipe(write("recipe: style-strict\nprecision: 1\n"), {})


@pytest.mark.parametrize(
    ("line", "refusal"),
    [
        ("precison: 0.9", r"my.yaml: unknown key 'precison'; did you mean 'precision'\?"),
        ("held-out: 0.3", r"my.yaml: unknown key 'held-out'; did you mean 'held_out'\?"),
        ("xyz: 1", r"my.yaml: unknown key 'xyz'; use style_column, natural"),
        ("7: 1", r"my.yaml: unknown key '7'"),
        ("precision: high", r"my.yaml: precision is 'high', float was expected"),
        ("precision: true", r"my.yaml: precision is True, float was expected"),
        ("precision: .nan", r"my.yaml: precision is nan: it must lie between 0 and 1"),
        ("quantile: 1.5", r"my.yaml: quantile is 1.5: it must lie between 0 and 1"),
        ("held_out: 0", r"my.yaml: held_out is 0.0: it must lie between 0 and 1"),
        ("seed: 1.5", r"my.yaml: seed is 1.5, int was expected"),
        ("seed: true", r"my.yaml: seed is True, int was expected"),
        ("seed: -1", r"my.yaml: seed is -1: it must be 0 or more"),
        ("labelled: 0", r"my.yaml: labelled is 0: it must be 1 or more, or null for all rows"),
        ("labelled: many", r"my.yaml: labelled is 'many', int was expected"),
        ("natural: photo", r"my.yaml: natural is 'photo', a list of texts was expected"),
        ("natural: [1]", r"my.yaml: natural is \[1\], a list of texts was expected"),
        ("natural: []", r"my.yaml: natural names no label"),
        ("ambiguous: [clipart, photo]", r"my.yaml: label 'photo' is natural and ambiguous: leave it in one"),
        ("style_column: 3", r"my.yaml: style_column is 3, str was expected"),
    ],
)
def test_a_wrong_line_is_refused_with_the_file_and_what_was_expected(write, line, refusal):
    with pytest.raises(Refusal, match=refusal) as found:
        load_recipe(write(f"recipe: style-strict\n{line}\n"), {})
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("key", ["minimum_count", "neighbours", "mined_words"])
def test_numbers_of_a_pair_recipe_are_one_or_more(write, key):
    with pytest.raises(Refusal, match=f"my.yaml: {key} is 0: it must be 1 or more"):
        load_recipe(write(f"recipe: unseen-pairs\n{key}: 0\n"), {})


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("", "'recipe' must be one of style-strict"),
        ("- a\n", "'recipe' must be one of"),
        ("recipe: similarly\n", "'recipe' must be one of"),
        ("recipe: [style-strict]\n", "'recipe' must be one of"),
        ("recipe: {a\n", "is no YAML: "),
        ("recipe: !!python/object/apply:os.getcwd []\n", "is no YAML: "),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(write, text, refusal):
    with pytest.raises(Refusal, match=rf"my.yaml.*{refusal}"):
        load_recipe(write(text), {})


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "my.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Refusal, match=r"my.yaml is no YAML"):
        load_recipe(str(tmp_path / "my.yaml"), {})


@pytest.mark.parametrize("name", ["natural-strict", "none.yaml", "."])
def test_a_recipe_that_is_nowhere_is_refused_with_those_that_are(name):
    with pytest.raises(
        Refusal, match=r"no recipe '.+': give a YAML file, the folder of a split, or one of style-strict"
    ):
        load_recipe(name, {})


def test_an_option_that_the_recipe_does_not_have_is_refused():
    with pytest.raises(
        Refusal,
        match=r"^--set precision: a recipe of kind unseen-pairs has no 'precision': leave the option out",
    ):
        load_recipe("unseen-pairs", {"precision": 0.9})


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"precision": 2.0}, r"--set precision: precision is 2\.0: it must lie between 0 and 1"),
        ({"style_column": 3}, "--set style_column: style_column is 3, str was expected"),
        ({"seed": -1}, "--set seed: seed is -1: it must be 0 or more"),
    ],
)
def test_a_bad_value_of_an_option_is_blamed_on_the_option(changes, refusal):
    with pytest.raises(Refusal, match=f"^{refusal}$"):
        load_recipe("style-strict", changes)


def test_a_recipe_is_plain_json_for_the_record():
    import json

    assert json.loads(json.dumps(asdict(StyleStrictRecipe())))["natural"] == ["natural", "photo"]
