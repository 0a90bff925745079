"""What passes the filter is what a corpus calls the split, whatever its uids are made of; the pipeline is open_clip's."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import open_clip_train.data as theirs  # type: ignore[import-untyped]
import pytest

from oddpair.errors import Refusal
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.formats.tars import write_tar
from oddpair.retrieval.subset import write_subset
from oddpair.splits.exports.train_filter import KeepSplit, copy_keys, find_uid, write_keys
from oddpair.splits.manifest import Manifest

# webdataset leaves its tars open.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed file .*:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:.*:pytest.PytestUnraisableExceptionWarning"),
]


def write_bare(folder, numbered, members):
    """Write two tars of five pictures with what ``members`` gives for each number beside them."""
    for index in range(2):
        content = []
        for number in range(5 * index, 5 * index + 5):
            suffix = "png" if number % 3 else "jpg"
            content.append((f"{number:04d}.{suffix}", numbered.image(number)))
            content += [(f"{number:04d}.{name}", data) for name, data in members(number).items()]
        write_tar(folder / f"{index:05d}.tar", content)
    return folder


@pytest.fixture(
    params=[
        "uid",
        "url and caption",
        "hash",
        "bytes",
        "bytes with captions",
        "raw download",
        "laion download",
    ]
)
def tars(request, tmp_path, numbered, root):
    """Folders of tars, named by what the uids of their samples are made of."""
    kind = request.param
    if kind in ("uid", "url and caption"):
        numbered.write(tmp_path / "corpus", with_uid=kind == "uid")
        return tmp_path / "corpus"
    if kind.endswith("download"):
        name = "img2dataset-raw" if kind.startswith("raw") else "img2dataset-laion"
        return root / "tests" / "fixtures" / name
    members = {
        "hash": lambda number: {"json": b'{"hash": %d}' % (number - 5), "txt": b"a thing"},
        "bytes": lambda number: {},
        "bytes with captions": lambda number: {"txt": b"a thing"},
    }[kind]
    return write_bare(tmp_path / "bare", numbered, members)


def pass_through(tars, manifest, folder, **settings):
    """Keys of the samples of some shards that pass."""
    write_keys(folder / "keys.npy", manifest)
    paths = sorted(map(str, tars.glob("*.tar")))
    step = KeepSplit(keys=folder / "keys.npy", **{"shards": len(paths), "at_least": 0, **settings})
    return list(step([{"url": path} for path in paths]))


def as_split(uids):
    return Manifest(name="some", recipe="by_hand", uids=sorted(uids))


def test_a_sample_has_the_uid_that_the_corpus_gives_it(tars, tmp_path):
    corpus = open_corpus(tars)
    rows = [row for batch in corpus.batches() for row in batch.table.to_pylist()]
    uid_of_key = {row["key"]: row["uid"] for row in rows}
    chosen = sorted(uid_of_key.values())[::2]
    passed = pass_through(tars, as_split(chosen), tmp_path)
    assert Counter(find_uid(sample) for sample in passed) == Counter(chosen)
    assert all(uid_of_key[sample["__key__"].rpartition("/")[2]] == find_uid(sample) for sample in passed)
    whole = pass_through(tars, as_split(uid_of_key.values()), tmp_path)
    assert len(whole) == len(rows)


def test_what_passes_is_the_sample_to_the_byte(tmp_path, numbered):
    corpus = numbered.write(tmp_path / "corpus")
    (sample,) = pass_through(tmp_path / "corpus", numbered.split(corpus, [7]), tmp_path)
    assert sample["jpg" if 7 % 3 == 0 else "png"] == numbered.image(7)
    assert sample["txt"].decode() == numbered.caption(7)
    assert sample["__url__"].endswith("00001.tar")


def test_samples_of_which_no_corpus_makes_a_row_have_no_uid(numbered):
    picture = numbered.image(0)
    assert find_uid({"jpg": picture, "json": b"{"}) is None
    assert find_uid({"jpg": picture, "json": b"[]"}) is None
    assert find_uid({"txt": b"no picture", "json": b'{"uid": "a"}'}) is None
    assert find_uid({"jpg": picture, "png": picture}) is None
    assert find_uid({"jpg": picture, "txt": b"\xff", "json": b'{"url": "http://a"}'}) is None


def test_a_uid_that_is_repeated_in_a_subset_file_is_passed_as_often_under_keys_of_its_own(tmp_path, numbered):
    numbered.write(tmp_path / "corpus")
    write_subset(tmp_path / "subset.npy", [numbered.uid(1), numbered.uid(2)], [3, 1])
    assert copy_keys(tmp_path / "keys.npy", tmp_path / "subset.npy") == 4
    step = KeepSplit(keys=tmp_path / "keys.npy", shards=1, at_least=4)
    passed = list(step([{"url": str(tmp_path / "corpus" / "00000.tar")}]))
    keys = [sample["__key__"].rpartition("/")[2] for sample in passed]
    assert keys == ["000000001-0", "000000001-1", "000000001-2", "000000002"]
    passed[0]["png"] = b"changed"
    assert passed[1]["png"] == numbered.image(1)


def test_the_keys_of_uids_as_datacomp_has_them_are_its_subset_file(tmp_path, numbered):
    uids = sorted(numbered.uid(number) for number in range(9))
    assert write_keys(tmp_path / "keys.npy", as_split(uids)) == 9
    write_subset(tmp_path / "subset.npy", uids)
    assert (tmp_path / "keys.npy").read_bytes() == (tmp_path / "subset.npy").read_bytes()


def test_too_few_samples_for_a_batch_are_refused_where_training_would_wait_for_ever(tmp_path, numbered):
    corpus = numbered.write(tmp_path / "corpus")
    split = numbered.split(corpus, [1, 7])
    with pytest.raises(
        Refusal, match=r"3 shards of this process hold 2 samples .* fewer than a batch of 3.*--workers"
    ):
        pass_through(tmp_path / "corpus", split, tmp_path, at_least=3)
    assert len(pass_through(tmp_path / "corpus", split, tmp_path, at_least=2)) == 2


def test_pictures_without_captions_are_refused_since_open_clip_passes_them_over(tmp_path, numbered):
    folder = write_bare(tmp_path / "bare", numbered, lambda number: {})
    uids = open_corpus(folder).metadata()["uid"].to_pylist()
    with pytest.raises(Refusal, match=r"hold 3 samples of the split, 3 of them without the txt .*: export"):
        pass_through(folder, as_split(uids[:3]), tmp_path, at_least=1)


@pytest.mark.parametrize("resampled", [False, True])
def test_shards_of_another_corpus_are_refused(tmp_path, numbered, resampled):
    numbered.write(tmp_path / "corpus")
    with pytest.raises(Refusal, match="are these the shards of its corpus"):
        pass_through(
            tmp_path / "corpus", as_split(["a"]), tmp_path, resampled=resampled, shards=1, at_least=1
        )


def test_it_stands_in_the_pipeline_where_open_clip_groups_samples(tmp_path, numbered, monkeypatch):
    corpus = numbered.write(tmp_path / "corpus")
    split = numbered.split(corpus, [0, 3, 6, 9, 12, 14])
    write_keys(tmp_path / "keys.npy", split)
    monkeypatch.setattr(
        theirs, "tarfile_to_samples_nothrow", KeepSplit(keys=tmp_path / "keys.npy", shards=3, at_least=2)
    )
    options = SimpleNamespace(
        train_data=f"{tmp_path}/corpus/{{00000..00002}}.tar",
        train_num_samples=6,
        train_data_upsampling_factors=None,
        dataset_resampled=False,
        seed=0,
        batch_size=2,
        workers=0,
        world_size=1,
    )
    info = theirs.get_wds_dataset(
        options,
        lambda image: np.asarray(image.convert("RGB")),
        is_train=True,
        tokenizer=lambda texts: [texts] if isinstance(texts, str) else texts,
    )
    captions = [text for _, texts in info.dataloader for text in texts]
    assert sorted(captions) == sorted(numbered.caption(number) for number in [0, 3, 6, 9, 12, 14])
