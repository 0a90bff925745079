"""``oddpair reproduce``: the pinned weights run again on questions that their submitter could not foresee."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from oddpair.benchmarks.answer_keys import AnswerKey
from oddpair.benchmarks.questions import Questions, ask
from oddpair.benchmarks.set_pictures import read_pictures
from oddpair.commands.evaluate_plan import Plan, Planned, make_plan, read_places, read_splits
from oddpair.errors import Refusal
from oddpair.eval.answer import answer, texts_of
from oddpair.eval.board.attestation import FEWEST, LEAST_AGREEMENT, Attestation, write_attestation
from oddpair.eval.picture_cache import hold_pictures
from oddpair.eval.run_record import describe_package
from oddpair.eval.submission.agreement import Agreement, find_agreement
from oddpair.eval.submission.entry import Entry
from oddpair.eval.text_cache import hold_texts
from oddpair.progress import track
from oddpair.retrieval.embed_shard import Tower, encoder_of
from oddpair.retrieval.encoder import Encoder
from oddpair.retrieval.model_checks import check_model

# Pictures that are read, decoded and let go at a time.
_AT_ONCE = 256


def reproduce(entry: Entry, tower: Tower, plan: Plan, *, seed: str, pictures: int) -> dict[str, Agreement]:
    """Run the weights of a submission again on a random part of the pictures of each task, and compare.

    Nothing of the first run is used but its answers: pictures are read, decoded and embedded anew. Candidates are those
    of the whole task; the gallery of a retrieval task stays whole, and so do tasks whose candidates are the classes that
    are present.

    Args:
        entry: The submission, every number of it computed again.
        tower: The weights, and how to run them.
        plan: The tasks of the submission, with their sets.
        seed: Of the draw; kept to oneself until the run has ended.
        pictures: Pictures drawn of each task, or all where it has fewer.

    Returns:
        How far the answers agree, by task.

    Raises:
        Refusal: If the weights are others, a set is not that of the answer key, or a picture cannot be read.
    """
    encoder = encoder_of(tower)
    report = check_model(tower.model, tower.pretrained, encoder, sha256=entry.submission.weights)
    found: dict[str, Agreement] = {}
    for planned in plan.tasks:
        key = entry.tasks[planned.name].key
        questions = draw_questions(planned, key, seed=seed, pictures=pictures)
        uids = _uids_of(planned, key)
        rows = np.unique(np.concatenate([questions.rows, *questions.images]))
        with track(f"run {planned.name} again", len(rows), "pictures") as progress:
            vectors = _embed(planned, rows, encoder, progress.advance)
        texts = texts_of(questions)
        held = hold_pictures(uids, rows, vectors, preprocessing=report.preprocessing)
        embedded = hold_texts(texts, encoder.encode_texts(texts))
        with threadpool_limits(limits=1):
            again = answer(questions, held, embedded, logit_scale=report.logit_scale)
        found[planned.name] = find_agreement(entry.tasks[planned.name].records, again, key.kind)
    return found


def draw_questions(planned: Planned, key: AnswerKey, *, seed: str, pictures: int) -> Questions:
    """Draw the questions of some pictures of a task.

    Args:
        planned: The task with its set.
        key: Its answer key, which says which pictures of the set it asks of.
        seed: Any text; each task has a draw of its own.
        pictures: Pictures to draw.

    Returns:
        Every question of the drawn pictures, or of all where the candidates would change with them.

    Raises:
        Refusal: If the set lacks pictures of the key.
    """
    uids = _uids_of(planned, key)
    whole = ask(planned.task, planned.found, uids, None)
    drawn = sorted(set(whole.uids))
    if planned.task.present_only or pictures >= len(drawn):
        return whole
    rng = np.random.default_rng(int(hashlib.sha256(f"{seed} {planned.name}".encode()).hexdigest(), 16))
    chosen = {drawn[place] for place in rng.permutation(len(drawn))[:pictures].tolist()}
    # Of a choice the id names every picture of the question.
    return ask(planned.task, planned.found, uids, {uid for each in chosen for uid in each.split(" ")})


def _uids_of(planned: Planned, key: AnswerKey) -> list[str | None]:
    """Return the id of each picture of the set, ``None`` for those that the task does not ask about."""
    known: dict[str, str] = {}
    for name, uid in zip(key.table["key"].to_pylist(), key.table["uid"].to_pylist(), strict=True):
        known[name] = uid
    if planned.found.questions is not None:
        asked = zip(
            planned.found.questions["question"].to_pylist(),
            planned.found.questions["images"].to_pylist(),
            strict=True,
        )
        known = {
            image: uid
            for question, images in asked
            if question in known
            for image, uid in zip(images, known[question].split(" "), strict=True)
        }
    uids = [known.get(name) for name in planned.found.table["key"].to_pylist()]
    held = len(known) - (len(uids) - uids.count(None))
    if held:
        raise Refusal(
            f"{planned.found.root} lacks {held:,} of the {len(known):,} pictures of {planned.name}: give the set that the "
            "answer key was made of"
        )
    return uids


def _embed(
    planned: Planned,
    rows: np.ndarray[tuple[int], np.dtype[np.int64]],
    encoder: Encoder,
    note: Callable[[int], None],
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    names = planned.found.table["key"].to_pylist()
    parts = []
    for part in np.array_split(rows, math.ceil(len(rows) / _AT_ONCE)):
        wanted = [names[row] for row in part.tolist()]
        found = read_pictures(planned.found, wanted)
        lost = next((name for name in wanted if name not in found), None)
        if lost is not None:
            raise Refusal(
                f"{planned.found.root}: {lost} cannot be read: give the set that the answer key was made of"
            )
        for encoded in encoder.encode_files(_in_order(found, wanted), textures=False):
            if encoded.bad:
                place, why = encoded.bad[0]
                raise Refusal(f"{planned.found.root}: {wanted[place]} is damaged ({why}): fetch it again")
            parts.append(encoded.image)
            note(len(encoded.image))
    return np.concatenate(parts)


def _in_order(found: Mapping[str, bytes], names: list[str]) -> Iterator[bytes]:
    return (found[name] for name in names)


def plan_of(entry: Entry, data: Sequence[str], splits: Sequence[str]) -> Plan:
    """Open the sets of all tasks of a submission.

    Args:
        entry: The submission.
        data: ``--data`` options of ``oddpair eval``.
        splits: Its ``--split`` options.

    Raises:
        Refusal: If a set or a split of one of its tasks is not given.
    """
    suites = sorted({name.partition(".")[0] for name in entry.tasks})
    plan = make_plan(suites, read_places(data, "--data"), read_splits(splits), only=tuple(entry.tasks))
    lacking = next(iter(plan.skipped.items()), None)
    if lacking is not None:
        raise Refusal(f"{lacking[0]} cannot be run again: {lacking[1]}")
    return plan


def tower_of(entry: Entry, model: str, pretrained: str | None, device: str) -> Tower:
    """Say how to run the weights: in the arithmetic that the submission says it used."""
    precision = entry.submission.run["precision"]
    return Tower(model=model, pretrained=pretrained, precision=precision, exact=True, device=device)


def attest(folder: Path, entry: Entry, found: Mapping[str, Agreement], *, seed: str) -> Path:
    """Write that a submission was reproduced.

    Args:
        folder: Folder of attestations.
        entry: The submission.
        found: Agreement by task.
        seed: Of the draw.

    Returns:
        The file.

    Raises:
        Refusal: If the answers of a task differ more than arithmetic explains.
    """
    attestation = Attestation(
        entry=entry.submission.name,
        submission=entry.sha256,
        weights=entry.submission.weights,
        seed=seed,
        tasks=found,
        package=describe_package(),
    )
    if not attestation.holds:
        name, worst = min(found.items(), key=lambda each: each[1].agree)
        raise Refusal(
            f"{entry.submission.name} is not reproduced: {worst.agree:.2%} of {worst.n:,} answers to {name} are the same, "
            f"needed {LEAST_AGREEMENT:.0%} of {FEWEST:,} or more: no attestation is written; ask the submitter how it was run"
        )
    path = folder / f"{attestation.entry}.json"
    write_attestation(path, attestation)
    return path
