import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.splits.caption_data import inputs_of, name, write_captions

from oddpair.errors import Refusal
from oddpair.retrieval.concepts import build_vocabulary
from oddpair.retrieval.counting.jobs import count_corpus
from oddpair.retrieval.counting.plan import CountPlan, TagFile
from oddpair.splits.curation.concept_rows import read_concept_rows

VOCABULARY = build_vocabulary(["cat", "dog", "pine tree"])
CAPTIONS = ["a cat and a dog", "two dogs", "nothing", "pine trees", "a cat", "the dog"]
TAGS = {0: ["cat"], 2: ["dog", "cat"], 4: ["pine tree"]}


@pytest.fixture
def folder(tmp_path):
    return write_captions(tmp_path / "corpus", CAPTIONS, sizes=[2, 0, 3, 1])


@pytest.fixture
def tags(tmp_path):
    pairs = [(name(row), concept) for row, concepts in TAGS.items() for concept in concepts]
    uids, concepts = zip(*pairs, strict=True)
    pq.write_table(
        pa.table({"uid": uids, "concept": concepts, "score": [1.0] * len(uids)}), tmp_path / "tags.parquet"
    )
    return tmp_path / "tags.parquet"


def by_row(found):
    """The concepts of each row by the number that its uid was made of."""
    place = {uid: row for row, uid in enumerate(found.pool.uids.to_pylist())}
    ends, concepts = found.incidence.ends, found.incidence.concepts
    return [
        [found.names[concept] for concept in concepts[ends[row] : ends[row + 1]]]
        for row in (place[name(number)] for number in range(len(place)))
    ]


IN_CAPTIONS = [["cat", "dog"], ["dog"], [], ["pine tree"], ["cat"], ["dog"]]
IN_IMAGES = [TAGS.get(row, []) and sorted(TAGS.get(row, [])) for row in range(6)]
IN_EITHER = [sorted({*one, *other}) for one, other in zip(IN_CAPTIONS, IN_IMAGES, strict=True)]


@pytest.mark.parametrize(
    ("count_in", "expected"), [("captions", IN_CAPTIONS), ("images", IN_IMAGES), ("either", IN_EITHER)]
)
def test_concepts_are_read_from_captions_from_tags_from_either_and_alike_from_counts_of_them(
    folder, tags, count_in, expected, tmp_path
):
    given = {} if count_in == "captions" else {"tags": tags}
    inputs = inputs_of(folder, vocabulary=VOCABULARY, **given)
    found = read_concept_rows(inputs, count_in)
    assert by_row(found) == expected
    plan = CountPlan(vocabulary=VOCABULARY, tags=TagFile(path=tags), postings=True)
    count_corpus(inputs.corpus.corpus, tmp_path / "counts", plan)
    counted = read_concept_rows(inputs_of(folder, counts=tmp_path / "counts"), count_in)
    assert by_row(counted) == expected
    assert counted.pool.uids.equals(found.pool.uids)
    assert found.counts.tolist() == [sum(one in row for row in expected) for one in found.names]


def test_a_uid_of_several_rows_has_the_concepts_of_all_of_them_in_any_order(tmp_path):
    captions, uids = ["a cat", "a dog", "a cat", "trees"], [name(1), name(0), name(0), name(1)]
    one = inputs_of(write_captions(tmp_path / "a", captions, uids, [1, 3]), vocabulary=VOCABULARY)
    other = inputs_of(write_captions(tmp_path / "b", captions[::-1], uids[::-1]), vocabulary=VOCABULARY)
    for inputs in (one, other):
        assert by_row(read_concept_rows(inputs, "captions")) == [["cat", "dog"], ["cat"]]


def test_what_does_not_belong_together_is_refused(folder, tags, tmp_path):
    with pytest.raises(Refusal, match="concepts are needed: give --vocabulary"):
        read_concept_rows(inputs_of(folder), "captions")
    with pytest.raises(Refusal, match="count_in is images: give the image tags as --tags"):
        read_concept_rows(inputs_of(folder, vocabulary=VOCABULARY), "images")
    with pytest.raises(Refusal, match="--tags would go unused: set count_in to images or either"):
        read_concept_rows(inputs_of(folder, vocabulary=VOCABULARY, tags=tags), "captions")
    counts = tmp_path / "counts"
    plan = CountPlan(vocabulary=VOCABULARY, postings=True)
    count_corpus(inputs_of(folder).corpus.corpus, counts, plan)
    with pytest.raises(Refusal, match="was counted without image tags"):
        read_concept_rows(inputs_of(folder, counts=counts), "either")
    with pytest.raises(Refusal, match="counts 3 other concepts than --vocabulary names"):
        read_concept_rows(inputs_of(folder, counts=counts, vocabulary=build_vocabulary(["cat"])), "captions")
    with pytest.raises(Refusal, match=r"--tags would go unused: .* holds the tags that were counted"):
        read_concept_rows(inputs_of(folder, counts=counts, tags=tags), "images")
    other = write_captions(tmp_path / "other", CAPTIONS[::-1])
    with pytest.raises(Refusal, match="counts another corpus than"):
        read_concept_rows(inputs_of(other, counts=counts), "captions")
