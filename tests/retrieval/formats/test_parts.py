import re

import pytest

from oddpair.errors import Refusal
from oddpair.retrieval.formats.parts import find_parts
from oddpair.retrieval.places import locate


@pytest.fixture
def touch(tmp_path):
    """Make empty files in the folder of embeddings: only their names are looked at."""

    def make(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        return locate(tmp_path)

    return make


def parts_of(numbers, folder="metadata"):
    return [f"{folder}/metadata_{number}.parquet" for number in numbers] + [
        f"img_emb/img_emb_{number}.npy" for number in numbers
    ]


@pytest.mark.parametrize("digits", [1, 2, 4])
def test_parts_are_ordered_by_number_however_it_is_padded(touch, digits):
    numbers = [f"{number:0{digits}d}" for number in range(12)]
    found = find_parts(touch(*parts_of(numbers[::-1])))
    assert found.shards == tuple(f"{number:0{max(digits, 2)}d}" for number in range(12))
    assert list(found.shards) == sorted(found.shards)
    assert found.tables == tuple(f"metadata/metadata_{number}.parquet" for number in numbers)
    assert found.arrays == {"img_emb": tuple(f"img_emb/img_emb_{number}.npy" for number in numbers)}


def test_parts_may_begin_anywhere_and_be_padded_differently_in_each_folder(touch):
    found = find_parts(touch("metadata/metadata_0007.parquet", "metadata/metadata_0008.parquet",
                             "text_emb/text_emb_7.npy", "text_emb/text_emb_8.npy"))  # fmt: skip
    assert found.shards == ("0007", "0008")
    assert found.arrays == {"text_emb": ("text_emb/text_emb_7.npy", "text_emb/text_emb_8.npy")}


def test_other_files_are_no_parts(touch):
    names = ["img_emb/img_emb_0.npy.tmp", "img_emb/.img_emb_1.npy", "img_emb/xximg_emb_1.npy", "img_emb/img_emb_a.npy",
             "img_emb/img_emb_1.npz", "metadata/metadata_1xparquet", "text_emb_stats.json", "texture/texture_0.npy"]  # fmt: skip
    found = find_parts(touch(*parts_of([0]), *names))
    assert (found.tables, found.arrays) == (
        ("metadata/metadata_0.parquet",),
        {"img_emb": ("img_emb/img_emb_0.npy",)},
    )


def test_metadata_may_have_the_name_of_its_release_unless_there_are_two(touch):
    assert find_parts(touch(*parts_of([0], "laion2B-en-metadata"))).tables == (
        "laion2B-en-metadata/metadata_0.parquet",
    )
    place = touch("laion2B-multi-metadata/metadata_0.parquet")
    with pytest.raises(
        Refusal, match="has laion2B-en-metadata, laion2B-multi-metadata beside its embeddings"
    ):
        find_parts(place)
    assert find_parts(touch("metadata/metadata_0.parquet")).tables == ("metadata/metadata_0.parquet",)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ([*parts_of([0, 1]), "text_emb/text_emb_0.npy"], "lacks text_emb/text_emb_1.npy, beside other parts"),
        ([*parts_of([0, 1, 2])[1:]], "lacks metadata/metadata_0.parquet, beside"),
        (parts_of(["00", "02"]), "has parts 0 to 2 but not 1: fetch"),
        (
            parts_of(["000", "999"]),
            "has parts 0 to 999 but not 1, 2, 3, 4, 5 and 993 more: fetch what is missing",
        ),
        (
            [*parts_of(["00"]), *[f"img_emb/img_emb_{number:02d}.npy" for number in range(9)]],
            "lacks metadata/metadata_01.parquet, metadata/metadata_02.parquet, metadata/metadata_03.parquet, "
            "metadata/metadata_04.parquet, metadata/metadata_05.parquet and 3 more, beside",
        ),
    ],
    ids=["42-text", "42-table", "42-middle-of-all", "42-many-of-all", "42-many-tables"],
)
def test_missing_parts_are_refused_by_name(touch, names, told):
    with pytest.raises(Refusal, match=re.escape(told)):
        find_parts(touch(*names))


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["img_emb/a", "metadata/a"], "has not one part in img_emb, metadata"),
        (["metadata/metadata_0.parquet"], "has neither img_emb nor text_emb beside metadata"),
        (["img_emb/img_emb_0.npy"], "has no folder of metadata beside its embeddings"),
        (
            [*parts_of([1]), "img_emb/img_emb_01.npy"],
            "holds both img_emb_01.npy and img_emb_1.npy: use one run",
        ),
    ],
)
def test_what_is_no_set_of_parts_is_refused(touch, names, told):
    with pytest.raises(Refusal, match=re.escape(told)):
        find_parts(touch(*names))
