from collections import Counter
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.retrieval.counting.count_data import VOCABULARY, draw_captions, uid_of
from tests.retrieval.stored_folder import write_stored

from oddpair.errors import Refusal
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.mentions.find import find_mentions
from oddpair.retrieval.stored import open_stored
from oddpair.splits.inputs import Inputs, Pictures
from oddpair.splits.manifest import Claim, Manifest, read_manifest, write_manifest
from oddpair.splits.recipes.control import ControlRecipe, build, verify

ROWS = 240
CAPTIONS = draw_captions(3, ROWS, silent=0)
LABELS = [(None if number % 11 == 0 else f"class {number % 4}") for number in range(ROWS)]
UIDS = [uid_of(number) for number in range(ROWS)]


def write_corpus(folder, order, parts=3):
    folder.mkdir(parents=True)
    for part, numbers in enumerate(np.array_split(np.asarray(order), parts)):
        columns = {"uid": UIDS, "text": CAPTIONS, "label": LABELS}
        table = pa.table(
            {name: pa.array([values[n] for n in numbers], pa.string()) for name, values in columns.items()}
        )
        pq.write_table(table, folder / f"part-{part:03d}.parquet")
    return open_corpus(folder)


def split_of(numbers, **fields):
    return Manifest(name="s", recipe="by_hand", uids=tuple(sorted(UIDS[n] for n in numbers)), **fields)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("control") / "corpus", range(ROWS))


@pytest.fixture
def make(corpus, tmp_path):
    def build_all(recipe, splits, **given):
        inputs = Inputs(corpus=Pictures(name="corpus", corpus=corpus), pools=splits, **given)
        made = build(recipe, inputs, tmp_path)
        for split in made.splits:
            checks = verify(split, recipe, inputs, tmp_path)
            assert all(check.holds for check in checks), checks
        return inputs, made

    return build_all


def numbers_of(split):
    number = {uid: n for n, uid in enumerate(UIDS)}
    return [number[uid] for uid in split.uids.to_pylist()]


def test_a_control_by_size_has_as_many_rows_and_smaller_ones_lie_inside(make):
    splits = {"small": split_of(range(20)), "large": split_of(range(10, 90))}
    _, made = make(ControlRecipe(sizes=(5, 12)), splits)
    by_name = {split.name: set(split.uids.to_pylist()) for split in made.splits}
    assert {name: len(uids) for name, uids in by_name.items()} == {
        "control-large": 80,
        "control-large-5": 5,
        "control-large-12": 12,
        "control-small": 20,
        "control-small-5": 5,
        "control-small-12": 12,
    }
    nested = [
        by_name[name] for name in ("control-small-5", "control-small-12", "control-small", "control-large")
    ]
    assert nested[0] < nested[1] < nested[2] < nested[3]


@pytest.mark.parametrize("match", ["classes", "concepts"])
def test_a_matched_control_claims_to_hold_others_only_where_no_group_of_theirs_is_larger(make, match):
    column = "label" if match == "classes" else None
    given = {"vocabulary": VOCABULARY} if match == "concepts" else {}
    large = [n for n in range(ROWS) if LABELS[n] != "class 1"]
    # Fewer rows, and those of class 1 more; and a part of the large one.
    splits = {
        "large": split_of(large[::2]),
        "part": split_of(large[::6]),
        "other": split_of(range(1, ROWS, 12)),
    }
    _, made = make(ControlRecipe(match=match, class_column=column), splits, **given)
    uids = {split.name: set(split.uids.to_pylist()) for split in made.splits}
    assert uids["control-part"] < uids["control-large"]
    assert not uids["control-other"] < uids["control-large"]
    groups = {"classes": "class", "concepts": "set of concepts"}[match]
    for split in made.splits:
        told = split.statement[-1].text.partition(": ")[2]
        assert told == f"the control of a split that has no more rows of any {groups} lies inside it"


@pytest.mark.parametrize("exclude", [False, True])
def test_a_control_by_class_has_as_many_rows_of_every_class(make, exclude):
    recipe = ControlRecipe(match="classes", class_column="label", exclude_split=exclude)
    _, made = make(recipe, {"s": split_of(range(0, 120, 2))})
    (control,) = made.splits
    found = numbers_of(control)
    assert Counter(LABELS[n] for n in found) == Counter(LABELS[n] for n in range(0, 120, 2))
    assert exclude == (not set(found) & set(range(0, 120, 2)))
    assert {name: sorted(counts) for name, counts in made.panels["control-s"][0].counts.items()} == {
        "s": ["", "class 0", "class 2"],
        "control-s": ["", "class 0", "class 2"],
    }


def test_classes_are_taken_from_a_table_too(make, tmp_path):
    table = pa.table({"uid": UIDS[: ROWS // 2], "kind": pa.array([n % 3 for n in range(ROWS // 2)])})
    pq.write_table(table, tmp_path / "classes.parquet")
    split = split_of([*range(0, 60, 4), *range(ROWS // 2, 200, 9)])
    recipe = ControlRecipe(match="classes", class_column="kind")
    _, made = make(recipe, {"s": split}, labels=tmp_path / "classes.parquet")
    kinds = [n % 3 if n < ROWS // 2 else None for n in range(ROWS)]
    assert Counter(kinds[n] for n in numbers_of(made.splits[0])) == Counter(
        kinds[n] for n in numbers_of(split)
    )


def test_a_control_by_concepts_has_the_same_counts_of_concepts_pairs_and_sets(make):
    split = split_of(range(0, ROWS, 3))
    _, made = make(ControlRecipe(match="concepts"), {"s": split}, vocabulary=VOCABULARY)
    (control,) = made.splits
    mentions = find_mentions(VOCABULARY, CAPTIONS).toarray()
    both = [mentions[numbers_of(part)] for part in (split, control)]
    assert both[0].sum(axis=0).tolist() == both[1].sum(axis=0).tolist()
    assert Counter(map(bytes, both[0])) == Counter(map(bytes, both[1]))
    pairs = [Counter(p for row in part for p in combinations(np.flatnonzero(row), 2)) for part in both]
    assert pairs[0] == pairs[1]
    assert numbers_of(control) != numbers_of(split)
    card = dict(control.card)
    assert card["captions that name a concept, differences summed over concepts"] == 0
    assert card["rows shared with it"] == len(set(numbers_of(control)) & set(numbers_of(split)))


def test_a_vocabulary_tells_how_far_a_control_by_size_is_from_its_split(make):
    split = split_of(range(60))
    _, made = make(ControlRecipe(), {"s": split}, vocabulary=VOCABULARY)
    mentions = find_mentions(VOCABULARY, CAPTIONS).toarray().astype(int)
    counts = [mentions[numbers_of(part)].sum(axis=0) for part in (split, made.splits[0])]
    card = dict(made.splits[0].card)
    assert card["captions that name a concept, differences summed over concepts"] == int(
        np.abs(counts[0] - counts[1]).sum()
    )


@pytest.mark.parametrize("match", ["size", "classes", "concepts"])
def test_the_same_bytes_for_any_order_of_rows_and_shards(make, corpus, tmp_path, match):
    recipe = ControlRecipe(match=match, class_column="label" if match == "classes" else None)
    vocabulary = VOCABULARY if match == "concepts" else None
    splits = {"s": split_of(range(0, ROWS, 5))}
    _, made = make(recipe, splits, vocabulary=vocabulary)
    # Rows that stand twice are one row.
    order = [*np.random.default_rng(1).permutation(ROWS).tolist(), 3, 7]
    turned = Pictures(name="corpus", corpus=write_corpus(tmp_path / "turned", order, parts=5))
    again = build(recipe, Inputs(corpus=turned, pools=splits, vocabulary=vocabulary), tmp_path)
    assert again.splits[0].uids_sha256 == made.splits[0].uids_sha256
    assert again.splits[0].statement == made.splits[0].statement


def test_of_an_embedded_corpus_only_rows_with_an_embedding_are_drawn(corpus, tmp_path):
    rows = np.random.default_rng(0).standard_normal((100, 4))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    stored = open_stored(write_stored(tmp_path / "embeddings", rows, UIDS[:100], [60, 40]))
    inputs = Inputs(
        corpus=Pictures(name="corpus", corpus=corpus, stored=stored),
        pools={"s": split_of(range(50))},
        vocabulary=VOCABULARY,
    )
    (control,) = build(ControlRecipe(match="concepts"), inputs, tmp_path).splits
    assert set(numbers_of(control)) <= set(range(100))
    assert control.rules[0] == ("rows of the corpus, each once", 100)


def test_what_cannot_be_matched_is_refused_with_the_class_or_concepts(make, corpus, tmp_path):
    recipe = ControlRecipe(match="classes", class_column="label", exclude_split=True)
    with pytest.raises(Refusal, match=r"of class 'class \d' the split has \d+ rows, the pool \d+"):
        make(recipe, {"s": split_of(range(ROWS - 4))})
    recipe = ControlRecipe(match="concepts", exclude_split=True)
    with pytest.raises(Refusal, match=r"of .*(cat|dog|tree|red|car|emu|names no concept).* the split has"):
        make(recipe, {"s": split_of(range(ROWS - 4))}, vocabulary=VOCABULARY)
    with pytest.raises(Refusal, match="a control of 236 rows cannot be drawn from a pool of 4"):
        make(ControlRecipe(exclude_split=True), {"s": split_of(range(ROWS - 4))})


@pytest.mark.parametrize(
    ("recipe", "splits", "refusal"),
    [
        (ControlRecipe(), {"s": split_of([1], of="sketch")}, "pool 's' is a split of sketch"),
        (ControlRecipe(sizes=(9,)), {"s": split_of([1, 2])}, "sizes holds 9: split 's' has 2 rows"),
        (ControlRecipe(match="concepts"), {"s": split_of([1])}, "match: concepts needs --vocabulary"),
        (
            ControlRecipe(),
            {"s": Manifest(name="s", recipe="x", uids=("nowhere", "zz"))},
            "split 's' has 2 rows that are not in the corpus, the first nowhere",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_refused(make, recipe, splits, refusal):
    with pytest.raises(Refusal, match=refusal):
        make(recipe, splits)


def test_a_table_that_goes_unused_and_a_column_without_classes_are_refused(make, tmp_path, numbered):
    with pytest.raises(Refusal, match="match: size makes no use of --labels"):
        make(ControlRecipe(), {"s": split_of([1])}, labels=tmp_path / "classes.parquet")
    numbered.write(tmp_path / "numbered")
    corpus = open_corpus(tmp_path / "numbered")
    inputs = Inputs(
        corpus=Pictures(name="c", corpus=corpus), pools={"s": numbered.split(corpus.source, [1, 2])}
    )
    with pytest.raises(Refusal, match="column 'concepts' holds list"):
        build(ControlRecipe(match="classes", class_column="concepts"), inputs, tmp_path)


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"match": "classes"}, "class_column is None and match is 'classes'"),
        ({"class_column": "label"}, "class_column is 'label' and match is 'size'"),
        ({"match": "concepts", "sizes": (3,)}, "sizes is for match: size"),
        ({"sizes": (0,)}, "sizes holds 0"),
        ({"sizes": (3, 3)}, "sizes holds a number twice"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(fields, refusal):
    with pytest.raises(Refusal, match=refusal):
        ControlRecipe(**fields).refuse_contradictions()


@pytest.mark.parametrize("match", ["size", "classes", "concepts"])
def test_a_forged_control_fails_with_the_claim_that_breaks(make, tmp_path, match):
    recipe = ControlRecipe(
        match=match, class_column="label" if match == "classes" else None, exclude_split=match == "classes"
    )
    split = split_of(range(0, 80, 2))
    inputs, made = make(recipe, {"s": split}, vocabulary=VOCABULARY if match == "concepts" else None)
    (control,) = made.splits
    mine = numbers_of(control)

    def forge(out, into, **fields):
        kept = {name: getattr(control, name) for name in ("name", "recipe", "statement", "provenance")}
        uids = tuple(sorted([UIDS[n] for n in mine if n != out] + [into]))
        write_manifest(tmp_path / "forged", Manifest(**{**kept, "uids": uids, **fields}))
        checks = verify(read_manifest(tmp_path / "forged"), recipe, inputs, tmp_path)
        return {check.text.split(" (")[0]: (check.holds, check.found) for check in checks}

    assert forge(mine[0], "nowhere") == {"all rows are rows of the corpus, 240": (False, "1 are not")}
    sets = [bytes(row) for row in find_mentions(VOCABULARY, CAPTIONS).toarray()]
    groups: dict[str, list[Any]] = {"size": [0] * ROWS, "classes": LABELS, "concepts": sets}
    alike = groups[match]
    free = (
        sorted(set(range(1, ROWS, 2)) - set(mine))
        if match == "classes"
        else sorted(set(range(ROWS)) - set(mine))
    )
    # Another row of the same class or concepts: only the draw tells.
    one, other = next((one, other) for one in mine for other in free if alike[one] == alike[other])
    broken = [text for text, (holds, _) in forge(one, UIDS[other]).items() if not holds]
    assert len(broken) == 1
    assert broken[0].startswith("drawn at random from")
    if match == "size":
        return
    one, other = next((one, other) for one in mine for other in free if alike[one] != alike[other])
    broken = [text for text, (holds, _) in forge(one, UIDS[other]).items() if not holds]
    assert (
        broken[0]
        == {
            "classes": "as many rows of every class in 'label' as s has",
            "concepts": "its captions name every concept, every pair and every set of concepts as often as those of s",
        }[match]
    )
    if match == "classes":
        taken = next(n for n in range(0, 80, 2) if alike[n] == alike[mine[0]])
        assert forge(mine[0], UIDS[taken])["no row is one of s"] == (False, "1 are")
    # A claim that nobody can compute again, and another name.
    boast = Claim(text="it is the best")
    found = forge(mine[0], UIDS[mine[0]], statement=(*control.statement, boast))
    assert [text for text, (holds, _) in found.items() if not holds] == ["it is the best"]
    assert forge(mine[0], UIDS[mine[0]], name="other")["the recipe makes it"] == (False, "it makes control-s")
