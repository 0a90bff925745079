"""The weights of a submission run again: the same answers, on pictures that nobody could foresee."""

import dataclasses

import pytest
from tests.test_cli_eval import write_set

from oddpair.benchmarks.answer_keys import AnswerKey
from oddpair.commands.evaluate import evaluate
from oddpair.commands.evaluate_plan import make_plan
from oddpair.commands.reproduction import attest, draw_questions, plan_of, reproduce, tower_of
from oddpair.errors import Refusal
from oddpair.eval.board.attestation import read_attestation, reproduced
from oddpair.eval.models_file import ModelChoice
from oddpair.eval.results import find_results
from oddpair.eval.scoring.records import read_records
from oddpair.eval.submission.entry import Entry, Recomputed
from oddpair.eval.submission.submission import Submission

N = 130


@pytest.fixture(scope="module")
def suite(tmp_path_factory, noise, as_bytes):
    pictures = [as_bytes(noise(seed)) for seed in range(N)]
    return write_set(tmp_path_factory.mktemp("sets") / "shapes", pictures, [row % 3 for row in range(N)])


@pytest.fixture(scope="module")
def plan(suite):
    return make_plan([str(suite)], {}, {})


@pytest.fixture(scope="module")
def entry(tmp_path_factory, plan):
    out = tmp_path_factory.mktemp("scores")
    evaluate([ModelChoice(model="reference")], plan, out, cache=out / "cache", workers=1)
    (found,) = find_results([out])
    result, records = found.result, read_records(found.record_path, found.result.kind)
    key = AnswerKey(
        task=f"{result.benchmark}.{result.task}",
        version=1,
        kind=result.kind,
        cluster=result.cluster,
        class_keys=result.class_keys,
        class_names=result.class_names,
        uids=result.hashes["uids"],
        lock="",
        table=records.select(["key", "uid", "style", "target", "partner", "n_candidates"]),
    )
    submission = Submission(
        handle="lab",
        model="reference",
        architecture="ResNet",
        parameters=1,
        weights=tower_weights(),
        open_weights=True,
        training=(),
        samples_seen=None,
        variants_tried=1,
        run={"precision": "fp32"},
        tasks=(),
        score=None,
        links={},
    )
    task = Recomputed(key=key, records=records, metrics=result.metrics)
    return Entry(submission=submission, sha256="ab" * 32, tasks={key.task: task})


def tower_weights():
    from oddpair.retrieval.encoder import load_encoder

    return load_encoder("reference", exact=True).sha256


@pytest.fixture(scope="module")
def again(entry, plan):
    return reproduce(entry, tower_of(entry, "reference", None, "cpu"), plan, seed="secret", pictures=110)


def test_the_same_weights_give_the_same_answers_to_the_last_bit(again):
    (found,) = again.values()
    assert (found.n, found.agree, found.largest_difference) == (110, 1.0, 0.0)


def test_another_seed_draws_other_pictures_and_the_same_seed_the_same(entry, plan):
    (planned,) = plan.tasks
    key = entry.tasks[planned.name].key

    def drawn(seed):
        return draw_questions(planned, key, seed=seed, pictures=20).uids

    assert drawn("one") == drawn("one")
    assert len(drawn("one")) == 20
    assert set(drawn("one")) != set(drawn("two"))


def test_candidates_of_a_part_are_those_of_the_whole(entry, plan):
    (planned,) = plan.tasks
    key = entry.tasks[planned.name].key
    assert draw_questions(planned, key, seed="x", pictures=1).classes.keys == key.class_keys


def test_an_attestation_names_the_submission_and_the_seed_and_makes_it_reproduced(again, entry, tmp_path):
    path = attest(tmp_path, entry, again, seed="secret")
    found = read_attestation(path)
    assert (found.entry, found.submission, found.seed) == (entry.submission.name, entry.sha256, "secret")
    assert reproduced(tmp_path, [entry]) == {entry.submission.name}
    assert reproduced(tmp_path, [dataclasses.replace(entry, sha256="cd" * 32)]) == frozenset()


def test_other_weights_are_refused_before_anything_is_run(entry, plan):
    changed = dataclasses.replace(entry, submission=dataclasses.replace(entry.submission, weights="0" * 64))
    with pytest.raises(Refusal, match=f"needed {'0' * 64}"):
        reproduce(changed, tower_of(changed, "reference", None, "cpu"), plan, seed="s", pictures=100)


def test_answers_that_differ_are_attested_by_no_file(again, entry, tmp_path):
    worse = {name: dataclasses.replace(one, agree=0.98) for name, one in again.items()}
    with pytest.raises(Refusal, match=r"not reproduced: 98\.00% of 110 answers .* needed 99%"):
        attest(tmp_path, entry, worse, seed="secret")
    assert list(tmp_path.iterdir()) == []


def test_a_set_that_lacks_pictures_of_the_key_is_refused(entry, plan, tmp_path, noise, as_bytes):
    few = write_set(tmp_path / "shapes", [as_bytes(noise(seed)) for seed in range(9)], [0, 1, 2] * 3)
    smaller = make_plan([str(few)], {}, {})
    with pytest.raises(Refusal, match="lacks 125 of the 130 pictures"):
        reproduce(entry, tower_of(entry, "reference", None, "cpu"), smaller, seed="s", pictures=100)


def test_a_task_whose_set_is_not_given_is_refused(entry):
    key = dataclasses.replace(entry.tasks[next(iter(entry.tasks))].key, task="miniature.natural")
    other = Recomputed(key=key, records=entry.tasks[next(iter(entry.tasks))].records, metrics=())
    with pytest.raises(Refusal, match="no --data miniature=FOLDER"):
        plan_of(dataclasses.replace(entry, tasks={"miniature.natural": other}), [], [])
