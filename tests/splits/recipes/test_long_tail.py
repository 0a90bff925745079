import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tests.retrieval.counting.count_data import uid_of, write_tables
from tests.retrieval.stored_folder import write_stored

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.concepts import build_vocabulary
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.counting.jobs import count_corpus
from oddpair.retrieval.counting.plan import CountPlan, TagFile
from oddpair.retrieval.stored import open_stored
from oddpair.splits.inputs import Inputs, Pictures
from oddpair.splits.manifest import Manifest, read_manifest, write_manifest
from oddpair.splits.recipes.long_tail import LongTailRecipe, build, verify

NAMES = ["ant", "bee", "cat", "dog", "emu", "fox"]
# How many captions name each: ant and emu none.
NAMED = {"bee": 1, "cat": 9, "dog": 7, "fox": 2}
VOCABULARY = build_vocabulary(NAMES)
# What each picture of the set shows, and which picture it is.
SHOWN = [
    ("ant", "p0"),
    ("ant", "p0"),  # the same file
    ("ant", "p0 small"),  # looks the same
    ("ant", "p1"),
    ("ant", "p2"),
    ("bee", "p0"),  # as the first ant, but of another concept
    ("bee", "damaged"),
    ("fox", "p3"),
    ("cat", "p4"),  # of the head
    ("emu", "damaged"),
    ("bee", "p5"),
    ("bee", "p6"),
]
UIDS = [f"{number:032x}" for number in range(len(SHOWN))]


@pytest.fixture(scope="module")
def captions(tmp_path_factory):
    rows = [f"a {name}" for name, n in NAMED.items() for _ in range(n)]
    folder = tmp_path_factory.mktemp("tail") / "corpus"
    return open_corpus(write_tables(folder, [(uid_of(n), caption) for n, caption in enumerate(rows)]))


@pytest.fixture(scope="module")
def counts(captions, tmp_path_factory):
    out = tmp_path_factory.mktemp("tail") / "counts"
    count_corpus(captions, out, CountPlan(vocabulary=VOCABULARY))
    return out


@pytest.fixture
def pictures(tmp_path, noise, as_bytes, write_folder):
    def draw(name):
        if name == "damaged":
            return as_bytes(noise(99))[:200]
        number, _, small = name.partition(" ")
        picture = noise(int(number[1:]), width=120, height=96)
        return as_bytes(picture.resize((60, 48)) if small else picture)

    files = {f"{number:02}.png": draw(name) for number, (_, name) in enumerate(SHOWN)}
    concepts = [concept for concept, _ in SHOWN]
    folder = write_folder(tmp_path / "set", files, ["x"] * len(SHOWN), uid=UIDS, concepts=concepts)
    return Pictures(name="pool", corpus=open_corpus(folder))


@pytest.fixture
def make(counts, captions, pictures, tmp_path):
    def build_one(recipe, *, pool=pictures, corpus=True):
        inputs = Inputs(
            corpus=Pictures(name="corpus", corpus=captions) if corpus else None,
            tests={"pool": pool},
            counts=counts,
        )
        made = build(recipe, inputs, tmp_path / "work")
        checks = verify(made.splits[0], recipe, inputs, tmp_path / "again")
        assert [check.holds for check in checks] == [True] * 3, checks
        return inputs, made

    return build_one


RECIPE = LongTailRecipe(concepts=4, most=2)


def test_a_balanced_set_of_the_rarest_concepts_without_duplicates(make):
    _, made = make(RECIPE)
    (split,) = made.splits
    number = {uid: n for n, uid in enumerate(UIDS)}
    kept = [number[uid] for uid in split.uids.to_pylist()]
    assert (split.name, split.of) == ("long-tail-pool", "pool")
    # Two of the three different ants, two of the three bees that can be read, the fox.
    assert len(set(kept) & {0, 3, 4}) == 2
    assert len(set(kept) & {5, 10, 11}) == 2
    assert sorted(set(kept) - {0, 3, 4, 5, 10, 11}) == [7]
    rules = dict(split.rules)
    assert rules["rows of the set"] == len(SHOWN)
    assert rules["show no concept of the tail"] == 1
    assert rules["have no picture that can be read"] == 2
    assert rules["have the bytes of a kept picture of their concept"] == 1
    assert rules["differ in at most 10 bits of 64 from one"] == 1
    assert rules["are beyond 2 of a concept"] == 2
    numbers = [rows for _, rows in split.rules]
    assert sum(numbers[1:]) == numbers[0]  # kept and left out are all that were seen


def test_tables_list_the_concepts_the_pictures_and_what_was_left_out_and_why(make):
    _, made = make(RECIPE)
    concepts = {row["concept"]: row for row in made.tables["concepts.parquet"].to_pylist()}
    assert [
        (name, row["count_text"], row["candidates"], row["different"], row["kept"])
        for name, row in concepts.items()
    ] == [
        ("ant", 0, 5, 3, 2),
        ("emu", 0, 1, 0, 0),
        ("bee", 1, 4, 3, 2),
        ("fox", 2, 1, 1, 1),
    ]
    kept = made.tables["pictures.parquet"].to_pylist()
    number = {uid: n for n, uid in enumerate(UIDS)}
    assert all(SHOWN[number[row["uid"]]][0] == row["concept"] for row in kept)
    assert [row["uid"] for row in kept] == made.splits[0].uids.to_pylist()
    left_out = {
        number[row["uid"]]: (row["reason"], row["detail"])
        for row in made.tables["left-out.parquet"].to_pylist()
    }
    assert left_out[1] == ("same bytes", UIDS[0])
    assert left_out[2] == ("same look", UIDS[0])
    assert left_out[6][0] == left_out[9][0] == "no picture"
    assert "picture" in left_out[6][1]
    assert len(left_out) + len(kept) == len(SHOWN) - 1


def test_the_card_tells_the_counts_of_the_tail_and_what_is_missing(make):
    _, made = make(LongTailRecipe(concepts=4, least=2))
    card = dict(made.splits[0].card)
    told = card["captions that show a concept of the tail, of 19: median, 90th percentile, most"]
    assert told == "0.5, 1.7, 2"
    assert card["concepts of the tail that are in none"] == 2
    assert card["concepts without a picture in the set"] == "0"
    # The emu's only picture is damaged; of the fox there is one.
    assert card["concepts with fewer than 2 different pictures, left out"] == "2 (emu 0, fox 1)"
    assert dict(made.splits[0].rules)["are of a concept with fewer than 2 pictures left"] == 1


def test_embeddings_find_duplicates_that_hashes_do_not(make, pictures, tmp_path):
    angles = np.linspace(0, 2, len(SHOWN))
    angles[4] = angles[3] + 0.1  # two ants
    angles[10] = angles[0]  # a bee and an ant
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float16)
    readable = [n for n, (_, name) in enumerate(SHOWN) if name != "damaged" and n != 11]
    uids = [UIDS[n] for n in readable]
    stored = open_stored(write_stored(tmp_path / "embeddings", rows[readable], uids, [4, len(uids) - 4]))
    both = Pictures(name="pool", corpus=pictures.corpus, stored=stored)
    _, made = make(LongTailRecipe(concepts=4, similarity=0.99), pool=both)
    left_out = {
        row["uid"]: (row["reason"], row["detail"]) for row in made.tables["left-out.parquet"].to_pylist()
    }
    assert left_out[UIDS[4]] == ("near", UIDS[3])
    assert left_out[UIDS[11]] == ("no picture", "it has no embedding")
    assert UIDS[10] not in left_out
    assert made.splits[0].statement[2].values == {"duplicates": 0, "embedded": True}


def test_rows_of_which_nothing_can_be_read_are_listed_with_their_place(
    make, tmp_path, noise, as_bytes, write_folder
):
    files = {f"{n}.png": as_bytes(noise(n)) for n in range(3)}
    folder = write_folder(tmp_path / "torn", files, ["x"] * 3, uid=UIDS[:3], concepts=["ant"] * 3)
    (folder / "1.png").unlink()
    _, made = make(RECIPE, pool=Pictures(name="pool", corpus=open_corpus(folder)))
    (row,) = made.tables["left-out.parquet"].to_pylist()
    assert (row["set"], row["concept"], row["reason"]) == ("pool", None, "damaged")
    assert row["detail"] == "list.csv row 1: no such file"
    assert [
        rows for text, rows in made.splits[0].rules if text in ("rows of the set", "damaged", "rows kept")
    ] == [3, 1, 2]


@pytest.mark.parametrize("workers", [1, 3])
def test_the_same_bytes_for_any_number_of_threads(make, pictures, counts, tmp_path, workers):
    _, made = make(RECIPE)
    inputs = Inputs(tests={"pool": pictures}, counts=counts, workers=workers)
    again = build(RECIPE, inputs, tmp_path / f"work{workers}")
    assert again.splits[0].uids_sha256 == made.splits[0].uids_sha256
    assert again.splits[0].statement == made.splits[0].statement
    assert all(again.tables[name].equals(table) for name, table in made.tables.items())


def test_a_forged_set_fails_with_the_claim_that_breaks(make, tmp_path):
    recipe = LongTailRecipe(concepts=4, most=3)
    inputs, made = make(recipe)
    (split,) = made.splits
    kept = set(split.uids.to_pylist())
    assert kept == {UIDS[n] for n in (0, 3, 4, 5, 7, 10, 11)}

    def forge(into, out=None, **fields):
        uids = tuple(sorted(kept - {out} | {into}))
        named = {name: getattr(split, name) for name in ("name", "recipe", "of", "statement")}
        write_manifest(tmp_path / "forged", Manifest(**{**named, "uids": uids, **fields}))
        return verify(read_manifest(tmp_path / "forged"), recipe, inputs, tmp_path / "forged-work")

    rare, sizes, single = forge(UIDS[1], out=UIDS[3])
    assert (rare.holds, sizes.holds, single.holds) == (True, True, False)
    assert single.found == f"{UIDS[0]} and {UIDS[1]}, of ant: same bytes"
    assert forge(UIDS[2], out=UIDS[3])[2].found == f"{UIDS[0]} and {UIDS[2]}, of ant: same look"
    # The fox gives way to a cat, which is none of the rarest: the claim of what there is breaks too.
    rare, *_, claimed = forge(UIDS[8], out=UIDS[7])
    assert (rare.holds, rare.found.split(";")[0]) == (False, f"1 of 7 do not, the first {UIDS[8]}")
    assert (claimed.holds, claimed.text) == (False, "3 of these concepts have pictures, from 1 to 3 each")
    assert forge(UIDS[6])[2].found.startswith(f"1 pictures cannot be read, the first {UIDS[6]}")
    sizes = forge(UIDS[1])[1]
    assert (sizes.holds, sizes.found) == (False, "ant has another number")
    (unknown,) = forge(UIDS[0], of="elsewhere")
    assert (unknown.holds, unknown.found) == (False, "given are pool")


def test_counts_that_are_not_the_corpus_s_fail(make, tmp_path):
    inputs, made = make(RECIPE)
    rows = [f"a {name}" for name, n in {**NAMED, "bee": 4}.items() for _ in range(n)]
    other = open_corpus(write_tables(tmp_path / "other", [(uid_of(n), text) for n, text in enumerate(rows)]))
    forged = Inputs(corpus=Pictures(name="corpus", corpus=other), tests=inputs.tests, counts=inputs.counts)
    with pytest.raises(Refusal, match="counts counts another corpus: give its own, or count this one"):
        build(RECIPE, forged, tmp_path / "work")
    rare = verify(made.splits[0], RECIPE, forged, tmp_path / "a")[0]
    assert (rare.holds, rare.found) == (False, "all do; the corpus names bee in 4 captions, not 1")
    fewer = [f"a {name}" for name, n in {**NAMED, "dog": 1}.items() for _ in range(n)]
    last = open_corpus(write_tables(tmp_path / "last", [(uid_of(n), text) for n, text in enumerate(fewer)]))
    forged = Inputs(corpus=Pictures(name="corpus", corpus=last), tests=inputs.tests, counts=inputs.counts)
    rare = verify(made.splits[0], RECIPE, forged, tmp_path / "b")[0]
    assert rare.found == "all do; a concept that is left out is in 1 captions"
    # Counts of another corpus.
    count_corpus(last, tmp_path / "counts", CountPlan(vocabulary=VOCABULARY))
    recounted = Inputs(tests=inputs.tests, counts=tmp_path / "counts")
    claimed = verify(made.splits[0], RECIPE, recounted, tmp_path / "c")[-1]
    assert (claimed.holds, claimed.found) == (False, "the recipe does not claim this of these inputs")


def test_counts_that_were_edited_are_refused_when_a_set_is_made_and_verified(make, counts, tmp_path):
    inputs, made = make(RECIPE)
    edited = shutil.copytree(counts, tmp_path / "edited")
    table = files.read_table(edited / "counts.parquet")
    column = table.column_names.index("count_text")
    pq.write_table(
        table.set_column(column, "count_text", pc.add(table["count_text"], 1)), edited / "counts.parquet"
    )
    forged = Inputs(tests=inputs.tests, counts=edited)
    with pytest.raises(Refusal, match=r"counts\.parquet has changed since it was counted"):
        build(RECIPE, forged, tmp_path / "work")
    with pytest.raises(Refusal, match=r"counts\.parquet has changed since it was counted"):
        verify(made.splits[0], RECIPE, forged, tmp_path / "again")


def test_counts_are_said_to_hold_only_when_they_were_made_again(make, tmp_path):
    inputs, made = make(RECIPE)
    rare = verify(made.splits[0], RECIPE, inputs, tmp_path / "a")[0]
    assert rare.found == "all do; counted again, the counts are as said"
    alone = Inputs(tests=inputs.tests, counts=inputs.counts)
    rare = verify(made.splits[0], RECIPE, alone, tmp_path / "b")[0]
    assert rare.found == "all do; the counts are as they were made; without --corpus they were not made again"


def test_counts_of_images_are_those_of_the_corpus_that_is_given(make, captions, tmp_path):
    inputs, _ = make(RECIPE)
    uids = captions.metadata()["uid"].to_pylist()
    tags = pa.table({"uid": uids, "concept": ["cat"] * len(uids), "score": [0.9] * len(uids)})
    pq.write_table(tags, tmp_path / "tags.parquet")
    plan = CountPlan(vocabulary=VOCABULARY, tags=TagFile(path=tmp_path / "tags.parquet"))
    count_corpus(captions, tmp_path / "counts", plan)
    recipe = LongTailRecipe(concepts=4, most=2, count_in="image")
    given = replace(inputs, counts=tmp_path / "counts")
    split = build(recipe, given, tmp_path / "work").splits[0]
    rare = verify(split, recipe, given, tmp_path / "a")[0]
    assert (rare.holds, rare.found) == (
        True,
        "all do; the counts are as they were made of this corpus; such counts are not made again",
    )
    other = open_corpus(write_tables(tmp_path / "other", [(uid_of(1), "a cat")]))
    wrong = replace(given, corpus=Pictures(name="corpus", corpus=other))
    with pytest.raises(Refusal, match="counts another corpus: give its own, or count this one"):
        build(recipe, wrong, tmp_path / "b")
    rare = verify(split, recipe, wrong, tmp_path / "c")[0]
    assert (rare.holds, rare.found) == (False, f"all do; {tmp_path / 'counts'} counts another corpus")


def test_a_set_that_gives_nothing_is_refused(make, pictures, counts, captions, tmp_path):
    with pytest.raises(Refusal, match=r"no row of .*set shows just one of the 1 rarest concepts"):
        make(LongTailRecipe(concepts=1, concept_from="caption"))
    with pytest.raises(Refusal, match="pool: no concept of the tail has 9 different pictures"):
        make(LongTailRecipe(concepts=4, least=9))
    with pytest.raises(Refusal, match="least is 5: it must be at most 4"):
        make(LongTailRecipe(concepts=4, least=5, most=4))
    bare = Inputs(tests={"pool": Pictures(name="pool", corpus=captions)}, counts=counts)
    with pytest.raises(Refusal, match="has no pictures, and duplicates are found by them"):
        build(LongTailRecipe(concepts=4, concept_from="caption"), bare, tmp_path / "work")


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"concepts": 0}, "concepts is 0: it must be 1 or more"),
        ({"hash_bits": 64}, "hash_bits is 64: it must be from 0 to 63"),
        ({"similarity": 1.0}, "similarity is 1.0: it must be a cosine"),
        ({"similarity": float("nan")}, "similarity is nan"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(fields, refusal):
    with pytest.raises(Refusal, match=refusal):
        LongTailRecipe(**fields)
