"""What oddpair exports, read by the functions that open_clip's trainer reads its data with."""

from __future__ import annotations

import functools
from types import SimpleNamespace

import numpy as np
import open_clip_train.data as theirs  # type: ignore[import-untyped]
import pytest
from PIL import Image

pytestmark = pytest.mark.tool("open-clip-torch", "its trainer's own readers read exported shards and lists")


def transform(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB").resize((8, 8)))


def tokenize(texts: str | list[str]) -> list[str]:
    return [texts] if isinstance(texts, str) else texts


# open_clip leaves the file of sizes open.
@pytest.mark.filterwarnings(
    "ignore:unclosed file .*sizes.json:ResourceWarning",
    "ignore:.*sizes.json:pytest.PytestUnraisableExceptionWarning",
)
def test_its_webdataset_pipeline_reads_every_sample_once(export, expected, monkeypatch):
    # webdataset 1.x ends every shard with a mark that open_clip's grouping does not know.
    if "eof_value" in theirs.tar_file_expander.__code__.co_varnames:
        monkeypatch.setattr(
            theirs, "tar_file_expander", functools.partial(theirs.tar_file_expander, eof_value=None)
        )
    shards = sorted(export("webdataset").glob("*.tar"))
    pattern = f"{shards[0].parent}/{{{shards[0].stem}..{shards[-1].stem}}}.tar"
    options = SimpleNamespace(
        train_data=pattern,
        train_num_samples=None,
        train_data_upsampling_factors=None,
        dataset_resampled=False,
        seed=0,
        batch_size=1,
        workers=0,
        world_size=1,
    )
    info = theirs.get_wds_dataset(options, transform, is_train=True, tokenizer=tokenize)
    assert info.dataloader.num_samples == len(expected)
    captions = [text for _, texts in info.dataloader for text in texts]
    assert sorted(captions) == sorted(caption for caption, _ in expected.values())


def test_its_csv_reader_opens_every_picture(export, expected, monkeypatch):
    listing = export("csv") / "list.tsv"
    monkeypatch.chdir("/")
    found = theirs.CsvDataset(str(listing), transform, "filepath", "title", tokenizer=tokenize)
    assert sorted(found[row][1] for row in range(len(found))) == sorted(
        caption for caption, _ in expected.values()
    )


def test_its_own_rule_takes_the_listing_for_csv(export):
    assert theirs.get_dataset_fn(str(export("csv") / "list.tsv"), "auto") is theirs.get_csv_dataset
