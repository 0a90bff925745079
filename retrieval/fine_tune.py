"""A style classifier by fine-tuning an image tower whole, and its scores for the pictures of a corpus."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oddpair import files, stages
from oddpair.engines import one_thread
from oddpair.errors import Refusal
from oddpair.jobs import run_jobs
from oddpair.progress import track
from oddpair.retrieval.corpus import Corpus, fingerprint
from oddpair.retrieval.decoding import prepare_in_order
from oddpair.retrieval.encoder import BATCH, GPU_BATCH
from oddpair.retrieval.models import identify_model
from oddpair.retrieval.pictures import decode_pixels
from oddpair.retrieval.samples import Sample
from oddpair.retrieval.shard_groups import numbered
from oddpair.retrieval.style_tower import (
    RECORD,
    WEIGHTS,
    StyleTower,
    load_tower,
    log_odds,
    need_device,
    read_tower,
    write_tower,
)
from oddpair.retrieval.uid_order import find_uids

if TYPE_CHECKING:
    import torch

_ORDER = 1
# Beside a GPU decoding is what takes the time.
_GPU_THREADS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuning:
    """How the classifier learns; by default as in the paper, with the momentum of its code.

    Attributes:
        epochs: Passes over the labelled pictures.
        batch: Pictures a step, at most: an epoch is cut into equal steps.
        rate: Learning rate at the beginning.
        drop_every: Epochs after which the rate falls to a tenth, again and again.
        momentum: Of stochastic gradient descent.
        decay: Weight decay of all parameters.
        seed: Of the first weights of the last layer and of the order of the pictures.

    References:
        Mayilvahanan et al., "In Search of Forgotten Domain Generalization", arXiv:2410.08258.
    """

    epochs: int = 50
    batch: int = 256
    rate: float = 0.1
    drop_every: int = 20
    momentum: float = 0.9
    decay: float = 5e-4
    seed: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = 0 if field.name in ("momentum", "decay", "seed") else 1 if field.type == "int" else 1e-12
            if not least <= value < math.inf:
                raise Refusal(f"{field.name} is {value}: it must be {'above 0' if least else '0 or more'}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleModel:
    """A classifier that was fine-tuned.

    Attributes:
        folder: Where it lies.
        classes: What it tells apart, in the order of its scores.
        loss: Mean cross-entropy of each epoch, nats.
        rows: Pictures that it learned from.
        missing: Labelled uids without a picture that can be decoded.
    """

    folder: Path
    classes: tuple[str, ...]
    loss: tuple[float, ...]
    rows: int
    missing: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StyleScores:
    """What a classifier says of the pictures of a corpus.

    Attributes:
        uids: Sorted, each once, ``large_string``, length ``n``.
        scores: Log-odds ``ln p - ln(1 - p)`` of each class, float32, shape ``(n, n_classes)``.
        classes: The classes.
        bad: Pictures that cannot be decoded, which have no scores.
    """

    uids: pa.Array
    scores: NDArray[np.float32]
    classes: tuple[str, ...]
    bad: int

    def at(self, uids: pa.Array) -> NDArray[np.float32]:
        """Return the scores of some pictures, shape ``(len(uids), n_classes)``.

        Raises:
            Refusal: If one of them was not scored.
        """
        places = find_uids(self.uids, uids.cast(pa.large_string()))
        if (places < 0).any():
            lost = uids[int(np.argmax(places < 0))].as_py()
            raise Refusal(f"uid {lost} has no style score: give the corpus whose pictures were scored")
        found: NDArray[np.float32] = self.scores[places]
        return found


def train_styles(
    corpus: Corpus,
    labels: Mapping[str, str],
    out: Path,
    *,
    model: str,
    pretrained: str | None = None,
    tuning: FineTuning,
    device: str = "cpu",
) -> StyleModel:
    """Fine-tune an image tower on labelled pictures: embedding, unit length, one linear layer, cross-entropy.

    All weights of the tower learn, by stochastic gradient descent. Pictures are not augmented. They are held at the
    model's input size, 150 kB each at 224 pixels. On the processor one thread computes, and equal inputs give equal bytes.
    A killed run begins anew, a finished one is read.

    Args:
        corpus: Where the pictures are.
        labels: Class of each labelled uid, two classes or more.
        out: Folder for ``style_model.safetensors`` and ``style_model.json``.
        model: As for ``load_encoder``.
        pretrained: Likewise.
        tuning: How long and how fast.
        device: ``cpu``, or what torch calls a GPU.

    Returns:
        The classifier.

    Raises:
        Refusal: If there is one class, a class has no picture, the model cannot be loaded, there is no such GPU, or learning
            diverges.

    References:
        The candidate "FT" of Mayilvahanan et al., arXiv:2410.08258.
    """
    classes = tuple(sorted(set(labels.values())))
    if len(classes) < 2:
        raise Refusal(f"labels are all {', '.join(classes) or 'missing'}: a classifier needs two classes")
    need_device(device)
    made_from = {
        "corpus": fingerprint(corpus),
        "labels": files.digest(sorted(labels.items())),
        "model": identify_model(model, pretrained),
        "tuning": asdict(tuning),
        "device": device.partition(":")[0],
    }
    if stages.begin(out, made_from):
        with stages.make(out):
            tower = load_tower(model, pretrained, len(classes), tuning.seed)
            pixels, targets, missing = _read_labelled(corpus, labels, classes, tower)
            with _reproducible(device):
                loss = _train(tower, pixels, targets, tuning, device)
            write_tower(out / WEIGHTS, tower)
            record = {"model": model, "pretrained": pretrained, "base": tower.sha256, "classes": classes}
            files.write_json(out / RECORD, {**record, "loss": loss, "rows": len(targets), "missing": missing})
    return read_styles(out)


def read_styles(folder: Path) -> StyleModel:
    """Read what ``train_styles`` says of the classifier that it wrote.

    Raises:
        Refusal: If there is none, or it is damaged.
    """
    record = files.read_json(folder / RECORD)
    return StyleModel(
        folder=folder,
        classes=tuple(record["classes"]),
        loss=tuple(record["loss"]),
        rows=record["rows"],
        missing=record["missing"],
    )


def score_styles(
    trained: Path, corpus: Corpus, out: Path, *, device: str = "cpu", workers: int = 1
) -> StyleScores:
    """Score the pictures of a corpus with a fine-tuned classifier, shard by shard; a killed run goes on.

    Args:
        trained: Folder that ``train_styles`` wrote; the model that it began from must be where it was.
        corpus: The pictures, which are read one by one.
        out: Folder for the scores of each shard.
        device: ``cpu``, or what torch calls a GPU.
        workers: Processes; the scores do not depend on them. Beside a GPU 1 is best.

    Returns:
        The scores. Of pictures with one uid, whose rows may lie in any shard, the highest of each class counts.

    Raises:
        Refusal: If the classifier is missing or damaged, or no picture can be decoded.
    """
    need_device(device)
    classes = read_styles(trained).classes
    made_from = {
        "corpus": fingerprint(corpus),
        "classifier": files.sha256(trained / WEIGHTS),
        "device": device.partition(":")[0],
    }
    jobs = [
        _ScoreJob(
            corpus=corpus.only(shard),
            trained=trained,
            out=out,
            device=device,
            index=index,
            n_jobs=len(corpus.shards),
        )
        for index, shard in enumerate(corpus.shards)
    ]
    if stages.begin(out, made_from):
        with stages.make(out):
            run_jobs(
                _score_shard, jobs, workers=workers, title="score styles", partial=lambda job: job.partial
            )
    tables = [files.read_table(job.partial) for job in jobs]
    table = pa.concat_tables(tables)
    scored = table.filter(pc.is_valid(table["scores"]))
    if not scored.num_rows:
        raise Refusal(f"{corpus.root}: none of {table.num_rows:,} pictures can be decoded: check its files")
    uids, scores = _highest_of_each(scored, len(classes))
    return StyleScores(uids=uids, scores=scores, classes=classes, bad=table.num_rows - scored.num_rows)


def _read_labelled(
    corpus: Corpus, labels: Mapping[str, str], classes: tuple[str, ...], tower: StyleTower
) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Read the labelled pictures in the order of uids, at input size: uint8 ``(n, 3, height, width)``, and classes."""
    import torch

    uids = sorted(labels)
    row_of = {uid: row for row, uid in enumerate(uids)}
    pixels = torch.empty((len(uids), 3, *tower.preprocess.size), dtype=torch.uint8)
    found = np.zeros(len(uids), np.bool_)
    with track("read labelled pictures", len(uids), unit="pictures") as progress:
        # Shard by shard: the encoded files of all would take as much memory as the pixels.
        for shard in corpus.shards:
            here = corpus.only(shard).find_pictures([uid for uid in uids if not found[row_of[uid]]])
            for uid, data in here.items():
                pixels[row_of[uid]] = tower.preprocess.resize(decode_pixels(data))
                found[row_of[uid]] = True
            progress.advance(len(here))
    targets = np.array([classes.index(labels[uid]) for uid in uids])
    for number, name in enumerate(classes):
        if not (found & (targets == number)).any():
            raise Refusal(
                f"{corpus.root}: no picture of those labelled '{name}': give labels of this corpus's uids"
            )
    if found.all():
        return pixels, torch.from_numpy(targets), 0
    kept = np.flatnonzero(found)
    return pixels[torch.from_numpy(kept)], torch.from_numpy(targets[kept]), len(found) - len(kept)


def _train(
    tower: StyleTower, pixels: torch.Tensor, targets: torch.Tensor, tuning: FineTuning, device: str
) -> list[float]:
    import torch

    tower.put_on(device)
    tower.model.train()
    optimizer = torch.optim.SGD(
        tower.parameters(), lr=tuning.rate, momentum=tuning.momentum, weight_decay=tuning.decay
    )
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, tuning.drop_every, 0.1)
    loss = []
    with track("fine-tune", tuning.epochs, unit="epochs") as progress:
        for epoch in range(tuning.epochs):
            order = np.random.default_rng((tuning.seed, _ORDER, epoch)).permutation(len(targets))
            total = 0.0
            for part in np.array_split(order, -(-len(order) // tuning.batch)):
                rows = torch.from_numpy(part)
                optimizer.zero_grad(set_to_none=True)
                logits = tower.logits(tower.preprocess.normalise(pixels[rows]).to(device))
                found = torch.nn.functional.cross_entropy(logits, targets[rows].to(device))
                found.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                total += float(found.detach()) * len(part)
            if not math.isfinite(total):
                raise Refusal(f"learning diverges in epoch {epoch + 1}: try a rate below {tuning.rate:g}")
            schedule.step()
            loss.append(total / len(targets))
            progress.advance(1)
    return loss


@dataclass(frozen=True, slots=True, kw_only=True)
class _ScoreJob:
    corpus: Corpus
    trained: Path
    out: Path
    device: str
    index: int
    n_jobs: int

    @property
    def partial(self) -> Path:
        return numbered(self.out, "scores", self.index, self.n_jobs)


def _score_shard(job: _ScoreJob) -> None:
    """Write the uid and the scores of every picture of a shard; null where it cannot be decoded."""
    import torch

    tower = read_tower(job.trained, files.sha256(job.trained / WEIGHTS), job.device)
    on_cpu = job.device == "cpu"
    size = BATCH if on_cpu else GPU_BATCH
    uids: list[str] = []

    def pictures() -> Iterator[bytes]:
        for found in job.corpus.stream(job.corpus.shards[0]):
            if isinstance(found, Sample):
                uids.append(found.uid)
                yield found.image

    def prepare(pixels: Any) -> torch.Tensor:
        return tower.preprocess.resize(pixels)

    rows: list[list[float] | None] = []
    waiting: list[tuple[int, torch.Tensor]] = []

    def score() -> None:
        if not waiting:
            return
        # A batch of one shape: the scores of a picture do not depend on how many lie beside it.
        batch = torch.stack([picture for _, picture in waiting])
        batch = torch.cat([batch, batch.new_zeros((size - len(batch), *batch.shape[1:]))])
        logits = tower.logits(tower.preprocess.normalise(batch.to(job.device)))[: len(waiting)]
        for (row, _), found in zip(waiting, log_odds(logits.double().cpu()).tolist(), strict=True):
            rows[row] = found
        waiting.clear()

    with torch.inference_mode():
        prepared = prepare_in_order(
            pictures(), prepare, threads=0 if on_cpu else _GPU_THREADS, ahead=2 * size
        )
        for found in prepared:
            rows.append(None)
            if not isinstance(found, str):
                waiting.append((len(rows) - 1, found))
            if len(waiting) == size:
                score()
        score()
    columns = {"uid": pa.array(uids, pa.string()), "scores": pa.array(rows, pa.list_(pa.float32()))}
    files.write_table(job.partial, pa.table(columns))


def _highest_of_each(table: pa.Table, n_classes: int) -> tuple[pa.Array, NDArray[np.float32]]:
    """Sort scores by uid, and take the highest of each class where rows share one."""
    ordered = table.take(pc.sort_indices(table["uid"])).combine_chunks()
    uids = ordered["uid"].combine_chunks().cast(pa.large_string())
    scores = ordered["scores"].combine_chunks().flatten().to_numpy().reshape(-1, n_classes)
    first = np.ones(len(uids), np.bool_)
    first[1:] = pc.not_equal(uids[1:], uids[:-1]).to_numpy(zero_copy_only=False)
    return uids.filter(pa.array(first)), np.maximum.reduceat(scores, np.flatnonzero(first), axis=0)


@contextmanager
def _reproducible(device: str) -> Iterator[None]:
    """Compute with one thread and deterministic operators on the processor; a GPU promises neither."""
    import torch

    before = torch.are_deterministic_algorithms_enabled()
    with one_thread() if device == "cpu" else nullcontext():
        torch.use_deterministic_algorithms(device == "cpu")
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)
