"""``oddpair train``: open_clip's own trainer, given the rows of a split out of the original shards."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from oddpair.errors import Refusal
from oddpair.progress import say
from oddpair.splits.exports.train_filter import KeepSplit, copy_keys, write_keys
from oddpair.splits.manifest import read_manifest

_STEP = "tarfile_to_samples_nothrow"


def train_split(split: Path, arguments: Sequence[str]) -> None:
    """Run ``open_clip_train.main`` on the samples of a split, which are chosen while shards are loaded.

    An epoch is the rows of the split, unless ``--train-num-samples`` says otherwise. Validation data is left as it
    is. A uid that the shards hold several times is trained on as often, and open_clip's shuffling is its own.

    Args:
        split: Folder of a split, or a DataComp subset file, whose repeats are passed as often.
        arguments: Those of open_clip's trainer.

    Raises:
        Refusal: If the trainer is not installed or of another make, or does not read shards.
    """
    theirs, parse, run = _import_trainer()
    options = parse(list(arguments))
    if not options.train_data:
        raise Refusal("--train-data is not among the arguments of the trainer: give the original shards")
    shards = _count_shards(theirs, options.train_data, options.dataset_type)
    with tempfile.TemporaryDirectory(prefix="oddpair-") as folder, _usual_handlers():
        path = Path(folder) / "keys.npy"
        rows = copy_keys(path, split) if split.is_file() else write_keys(path, read_manifest(split))
        if options.train_num_samples is None:
            arguments = [*arguments, "--train-num-samples", str(rows)]
        say(f"training on {rows:,} rows of {split} in {options.train_data}")
        step = KeepSplit(
            keys=path,
            shards=shards,
            at_least=options.batch_size,
            resampled=options.dataset_resampled,
        )
        before = getattr(theirs, _STEP)
        setattr(theirs, _STEP, step)
        try:
            run(list(arguments))
        except Refusal as refusal:  # of a process that loads data: with its traceback above it
            line = str(refusal).strip().splitlines()[-1]
            raise Refusal(line.rpartition("Refusal: ")[2]) from refusal
        finally:
            setattr(theirs, _STEP, before)


def _count_shards(theirs: Any, data: str, kind: str) -> int:
    """Count the shards as open_clip lists them, and refuse what it cannot list, or would not read as shards."""
    try:
        read, shards = theirs.get_dataset_fn(data, kind), theirs.expand_urls(data)[0]
    except ValueError as error:  # of a name without a known ending, or braces that do not close
        raise Refusal(
            f"--train-data {data} is no list of .tar shards that open_clip can read ({error}): give the original shards, "
            "or name them with --dataset-type webdataset"
        ) from error
    if read is not theirs.get_wds_dataset:
        raise Refusal(
            f"--train-data {data} is no list of .tar shards: only those are filtered while they load"
        )
    return len(shards)


@contextmanager
def _usual_handlers() -> Iterator[None]:
    """Let signals raise KeyboardInterrupt, which the processes that load data know to end at."""
    before = {
        number: signal.signal(number, signal.default_int_handler)
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _import_trainer() -> tuple[Any, Any, Any]:
    try:
        import open_clip_train.data as theirs  # type: ignore[import-untyped, unused-ignore]
        from open_clip_train.main import main  # type: ignore[import-untyped, unused-ignore]
        from open_clip_train.params import parse_args  # type: ignore[import-untyped, unused-ignore]
    except ImportError as error:
        raise Refusal(
            f"open_clip's trainer cannot be imported ({error}): pip install 'open_clip_torch[training]'"
        ) from error
    needed = (_STEP, "url_opener", "tar_file_expander", "group_by_keys_nothrow", "log_and_continue")
    missing = next((name for name in needed if not hasattr(theirs, name)), None)
    if missing is not None:
        raise Refusal(f"this open_clip has no {missing} to choose samples at: install open_clip_torch 3.3")
    return theirs, parse_args, main
