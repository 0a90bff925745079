"""What oddpair exports, read by the functions that open_clip's trainer reads its data with, and by the trainer itself."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import open_clip_train.data as theirs  # type: ignore[import-untyped]
import pytest
from PIL import Image
from tests.interop import peers

from oddpair.retrieval.subset import write_subset

# The webdataset that open_clip asks for; with 1.0 its own reader ends at the first shard.
TRAINING = peers.ROOT / ".venv-interop" / "training"
LIST_CAPTIONS = peers.HERE / "theirs" / "list_captions.py"

READERS = pytest.mark.tool("open-clip-torch", "its trainer's own readers read exported shards and lists")


def transform(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB").resize((8, 8)))


def tokenize(texts: str | list[str]) -> list[str]:
    return [texts] if isinstance(texts, str) else texts


# open_clip leaves the file of sizes open.
@READERS
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


@READERS
def test_its_csv_reader_opens_every_picture(export, expected, monkeypatch):
    listing = export("csv") / "list.tsv"
    monkeypatch.chdir("/")
    found = theirs.CsvDataset(str(listing), transform, "filepath", "title", tokenizer=tokenize)
    assert sorted(found[row][1] for row in range(len(found))) == sorted(
        caption for caption, _ in expected.values()
    )


@READERS
def test_its_own_rule_takes_the_listing_for_csv(export):
    assert theirs.get_dataset_fn(str(export("csv") / "list.tsv"), "auto") is theirs.get_csv_dataset


@pytest.fixture(scope="module")
def model(transformer: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny model that the trainer draws weights for: nothing is downloaded."""
    folder = tmp_path_factory.mktemp("model")
    found = json.loads((transformer / "open_clip_config.json").read_text())
    found["model_cfg"]["text_cfg"]["tokenizer_kwargs"] = {"bpe_path": str(transformer / "bpe.txt.gz")}
    (folder / "open_clip_config.json").write_text(json.dumps(found))
    return f"local-dir:{folder}"


@pytest.fixture(scope="module")
def run_trainer(model: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[str, str]]:
    """Run a program in oddpair's environment, by default with open_clip's own webdataset; return both its streams."""
    assert (TRAINING / "webdataset").is_dir(), f"no {TRAINING}: run make interop"

    def call(
        *program: object, data: str, batch: int, workers: int = 2, path: Path | None = TRAINING
    ) -> tuple[str, str]:
        logs = tmp_path_factory.mktemp("logs")
        arguments = [
            *("--train-data", data, "--dataset-type", "webdataset", "--model", model, "--workers", workers),
            *("--batch-size", batch, "--epochs", 1, "--precision", "fp32", "--device", "cpu", "--warmup", 1),
            *(
                "--lr",
                1e-3,
                "--wd",
                0.1,
                "--log-every-n-steps",
                1,
                "--seed",
                3,
                "--name",
                "run",
                "--logs",
                logs,
            ),
        ]
        done = subprocess.run(
            [sys.executable, *map(str, [*program, *arguments])],
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
            env=os.environ
            | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
            | ({"PYTHONPATH": str(path)} if path else {}),
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout, done.stderr

    return call


def shards_of(folder: Path) -> str:
    """Name the tars of a folder as the trainer is told of them."""
    stems = sorted(path.stem for path in folder.glob("*.tar"))
    return f"{folder}/{{{stems[0]}..{stems[-1]}}}.tar"


def count_trained(said: str) -> set[tuple[int, int]]:
    """Find samples seen and samples in all in the last line that the trainer logs of an epoch."""
    found = re.findall(r"Train Epoch: 0 \[ *(\d+)/(\d+) \(100%\)\]", said)
    return {(int(seen), int(total)) for seen, total in found}


def count_captions(expected: dict[str, tuple[str, str]]) -> Counter[str]:
    return Counter(caption for caption, _ in expected.values())


@pytest.mark.tool(
    "open-clip-torch", "its trainer, unmodified, trains on exported shards and counts them itself"
)
def test_its_trainer_trains_on_exported_shards_without_being_told_their_number(export, expected, run_trainer):
    data = shards_of(export("webdataset"))
    _, said = run_trainer("-m", "open_clip_train.main", data=data, batch=1, workers=1)
    assert count_trained(said) == {(len(expected), len(expected))}
    listed, _ = run_trainer(LIST_CAPTIONS, data=data, batch=1, workers=1)
    assert Counter(json.loads(listed)) == count_captions(expected)


@pytest.mark.tool(
    "open-clip-torch", "its trainer, unmodified, trains on a split of shards that nobody wrote anew"
)
def test_its_trainer_trains_on_the_split_out_of_the_original_shards(split, download, expected, run_trainer):
    data = shards_of(download)
    _, said = run_trainer("-m", "oddpair.cli", "train", split, "--", data=data, batch=1, workers=1)
    assert count_trained(said) == {(len(expected), len(expected))}
    listed, _ = run_trainer(LIST_CAPTIONS, "--split", split, data=data, batch=1, workers=1)
    assert Counter(json.loads(listed)) == count_captions(expected)


@pytest.mark.tool(
    "open-clip-torch", "its trainer, unmodified, is given a sample as often as a subset file repeats it"
)
def test_its_trainer_is_given_a_sample_as_often_as_a_subset_file_repeats_it(
    download, expected, run_trainer, tmp_path
):
    times = {uid: 1 + place % 3 for place, uid in enumerate(sorted(expected))}
    write_subset(tmp_path / "subset.npy", list(times), list(times.values()))
    listed, _ = run_trainer(
        LIST_CAPTIONS, "--split", tmp_path / "subset.npy", data=shards_of(download), batch=1, workers=1
    )
    wanted: Counter[str] = Counter()
    for uid, copies in times.items():
        wanted[expected[uid][0]] += copies
    assert Counter(json.loads(listed)) == wanted


@pytest.mark.tool(
    "open-clip-torch", "its trainer, unmodified, trains on a split of shards that nobody wrote anew"
)
def test_two_processes_load_batches_of_the_split_alone(split, download, expected, run_trainer):
    _, said = run_trainer(
        "-m", "oddpair.cli", "train", split, "--", data=shards_of(download), batch=16, workers=2
    )
    # The trainer rounds up to whole batches for each process.
    whole = -(-len(expected) // 16) + (-(-len(expected) // 16)) % 2
    assert count_trained(said) == {(16 * whole, 16 * whole)}
    listed, _ = run_trainer(LIST_CAPTIONS, "--split", split, data=shards_of(download), batch=16, workers=2)
    assert set(json.loads(listed)) <= set(count_captions(expected))


@pytest.mark.tool(
    "open-clip-torch", "its trainer, unmodified, trains through oddpair with webdataset 1.0 too"
)
def test_its_trainer_trains_with_the_webdataset_of_oddpair_too(split, download, expected, run_trainer):
    _, said = run_trainer(
        *("-m", "oddpair.cli", "train", split, "--"), data=shards_of(download), batch=1, workers=1, path=None
    )
    assert count_trained(said) == {(len(expected), len(expected))}
