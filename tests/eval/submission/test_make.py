"""A submission is made of the very files that were scored, and everything in its way is said at once."""

import dataclasses

import pytest
from tests.eval.submission.scores import SLUG, declaration_of, rounded, write_scores

from oddpair import files
from oddpair.benchmarks.suite import read_suite
from oddpair.errors import Refusal
from oddpair.eval.results import find_results, read_result, write_result
from oddpair.eval.submission.declaration import Declaration, read_declaration
from oddpair.eval.submission.make import choose_model, gather, make_submission
from oddpair.eval.submission.schema import parse_submission

DECLARED = Declaration(
    handle="lab-a",
    model="tiny",
    architecture="RN",
    parameters=1,
    open_weights=False,
    training=(),
    samples_seen=None,
    variants_tried=1,
    links={},
)
NATURAL, RENDITION = "miniature.natural", "miniature.rendition"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_scores(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def two(tmp_path):
    """Scores of two required tasks, which a test may change."""
    return write_scores(tmp_path, tasks=(NATURAL, RENDITION))[0]


def look(scores):
    return gather(find_results([scores]), suite=read_suite())


def change(scores, name, **changes):
    path = scores / SLUG / f"{name}.result.json"
    write_result(path, dataclasses.replace(read_result(path), **changes))


def change_run(scores, change):
    path = scores / SLUG / "run.json"
    record = files.read_json(path)
    change(record)
    files.write_json(path, record)


def test_what_is_made_again_from_scores_and_declaration_is_what_was_submitted(written, tmp_path):
    scores, honest = written
    (tmp_path / "me.yaml").write_text(declaration_of(honest))
    declaration, _ = read_declaration(tmp_path / "me.yaml")
    assert declaration is not None
    told = parse_submission((honest / "submission.json").read_bytes(), "honest")
    assert rounded(make_submission(declaration, look(scores))) == rounded(told)


def test_nothing_stands_in_the_way_of_whole_scores(written):
    found = look(written[0])
    assert (found.problems, found.left_out, found.missing) == ((), (), ())
    assert found.score == pytest.approx(
        parse_submission((written[1] / "submission.json").read_bytes(), "").score
    )
    assert set(read_suite().required) <= {claim.task for claim in found.claims}


def test_a_required_task_without_a_score_leaves_the_entry_without_a_rank(two):
    found = look(two)
    assert found.problems == ()
    assert found.score is None
    assert found.missing == ("miniature.pairs-seen", "miniature.pairs-unseen")
    assert "miniature.sketch" in found.open


def test_runs_that_no_result_names_are_left_out_of_the_record(two):
    change_run(two, lambda record: record["runs"].update(other={"package": {"dirty": True}}))
    found = look(two)
    assert found.problems == ()
    assert "other" not in found.run["runs"]


@pytest.mark.parametrize("told", ["/home/someone/secret/clip.pt", "local-dir:/home/someone/secret/clip.pt"])
def test_the_folders_of_the_machine_are_left_out_of_the_record(two, told):
    change_run(two, lambda record: record["model"].update(model=told, pretrained=told))
    found = look(two).run["model"]
    assert (found["model"], found["pretrained"]) == ("clip.pt", "clip.pt")


@pytest.mark.parametrize("told", ["ViT-B/32", "hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K"])
def test_names_that_hold_a_slash_are_no_folders(two, told):
    change_run(two, lambda record: record["model"].update(model=told))
    assert look(two).run["model"]["model"] == told


def test_a_result_of_another_benchmark_is_left_out_and_said_so(two):
    change(two, NATURAL, benchmark="mine")
    found = look(two)
    assert found.left_out == ("mine.natural is left out: it has no answer key",)
    assert [claim.task for claim in found.claims] == [RENDITION]
    assert NATURAL in found.missing


def test_a_result_of_a_version_without_key_is_left_out_with_the_version_that_has_one(two):
    change(two, NATURAL, version=9)
    (line,) = look(two).left_out
    assert line.startswith("miniature.natural@9 is left out: the leaderboard has miniature.natural@1")


def test_scores_of_nothing_that_can_be_checked_are_no_submission(two):
    for task in (NATURAL, RENDITION):
        change(two, task, benchmark="mine")
    (problem,) = look(two).problems
    assert "no result is of a task that has an answer key: score one of miniature" in problem


def test_everything_in_the_way_is_said_at_once(two):
    change(two, NATURAL, records="0" * 64)
    change(
        two,
        RENDITION,
        hashes={**read_result(two / SLUG / f"{RENDITION}.result.json").hashes, "uids": "0" * 64},
    )
    change_run(two, lambda record: [run["package"].update(dirty=True) for run in record["runs"].values()])
    found = look(two)
    assert [problem.split(" ")[0] for problem in found.problems] == [
        str(two / SLUG / f"{NATURAL}.parquet"),
        RENDITION,
        "run",
    ]
    with pytest.raises(Refusal, match=r"is not the file that miniature\.natural\.result\.json was made from"):
        make_submission(DECLARED, found)


def test_a_tree_with_changes_is_in_the_way_and_one_that_nobody_knows_is_not(two):
    def tell(dirty):
        change_run(
            two, lambda record: [run["package"].update(dirty=dirty) for run in record["runs"].values()]
        )
        return look(two).problems

    (problem,) = tell(True)
    assert "changes that no commit holds" in problem
    assert str(two / SLUG) in problem
    assert tell(None) == ()


def test_a_run_that_the_record_has_lost_is_in_the_way(two):
    change_run(two, lambda record: record["runs"].clear())
    (problem,) = look(two).problems
    assert "which results name" in problem


def test_other_pictures_classes_or_answers_than_those_of_the_version_are_told_apart(two):
    whole = read_result(two / SLUG / f"{NATURAL}.result.json")
    change(two, NATURAL, class_names=tuple(reversed(whole.class_names)))
    assert "among 87 classes that are not the 87 of version 1" in look(two).problems[0]
    change(two, NATURAL, class_names=whole.class_names, hashes={**whole.hashes, "uids": "0" * 64}, damaged=2)
    assert "pictures that are not the 2,175 of version 1, 2 were damaged" in look(two).problems[0]


def test_predictions_that_are_gone_or_too_large_are_in_the_way(two, monkeypatch):
    (two / SLUG / f"{NATURAL}.parquet").unlink()
    monkeypatch.setattr("oddpair.eval.submission.make.MOST_PREDICTION_BYTES", 1000)
    gone, large = look(two).problems
    assert f"{NATURAL}.parquet is not the file" in gone
    assert f"{RENDITION}.parquet has" in large
    assert "1,000 are taken" in large


@pytest.mark.parametrize(
    "record", [[], {"runs": {}}, {"model": {"sha256": 1}, "runs": {}}, {"model": {"sha256": ""}}]
)
def test_a_record_that_is_none_is_refused(two, record):
    files.write_json(two / SLUG / "run.json", record)
    with pytest.raises(Refusal, match="is no record of a run"):
        look(two)


def test_of_several_models_one_must_be_named_by_its_folder_or_by_what_it_was_called(two, tmp_path):
    write_scores(tmp_path, slug="other-4567cdef", tasks=(NATURAL,), seed=1)
    found = find_results([two])
    with pytest.raises(Refusal, match=r"results of 2 models.*one of other-4567cdef, tiny-0123abcd"):
        choose_model(found)
    with pytest.raises(Refusal, match="no results of nobody were found"):
        choose_model(found, "nobody")
    assert {one.result.slug for one in choose_model(found, SLUG)} == {SLUG}
    with pytest.raises(Refusal, match="results of 2 models"):
        choose_model(found, "tiny")


def test_two_results_of_one_task_are_refused(two, tmp_path):
    change(two, RENDITION, task="natural")
    with pytest.raises(Refusal, match="are results of one task"):
        choose_model(find_results([two]))
