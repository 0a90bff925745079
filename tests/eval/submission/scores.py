"""What ``oddpair eval`` would have written of a submission, for tests that make the submission again."""

import dataclasses
from pathlib import Path

import yaml
from tests.board.bundles import write_honest

from oddpair import files
from oddpair.benchmarks.answer_keys import read_key
from oddpair.eval.results import RUN_FILE, TaskResult, result_path, write_result
from oddpair.eval.scoring.records import read_records
from oddpair.eval.submission.recompute import measure_records
from oddpair.eval.submission.schema import parse_submission

SLUG = "tiny-0123abcd"


def write_scores(out, *, slug=SLUG, **choices):
    """Write the results and the submission of a random model: folders ``out/scores`` and ``out/honest``."""
    honest = write_honest(out / "honest", **choices)
    submission = parse_submission((honest / "submission.json").read_bytes(), "honest")
    folder = out / "scores" / slug
    scale = submission.run["model"]["logit_scale"]
    (run,) = submission.run["runs"]
    files.write_json(folder / RUN_FILE, submission.run)
    for claim in submission.tasks:
        key = read_key(claim.task, claim.version)
        benchmark, _, task = claim.task.partition(".")
        path = folder / f"{claim.task}.parquet"
        path.write_bytes((honest / claim.file).read_bytes())
        result = TaskResult(
            benchmark=benchmark,
            version=claim.version,
            task=task,
            kind=key.kind,
            family="any",
            cluster=key.cluster,
            model="tiny",
            pretrained="",
            slug=slug,
            n_images=len(set(key.table["uid"].to_pylist())),
            damaged=0,
            class_keys=key.class_keys,
            class_names=key.class_names,
            logit_scale=scale,
            hashes=dict.fromkeys(("questions", "prompts", "classes", "preprocessing", "weights"), "a1" * 32)
            | {"uids": key.uids},
            records=claim.records,
            run=run,
            metrics=measure_records(key, read_records(path, key.kind), scale),
        )
        write_result(result_path(folder, benchmark, task), result)
    return out / "scores", honest


def rounded(submission):
    """A submission without the last digits of its claims, which hang on how a processor sums."""
    told = dataclasses.asdict(submission)
    for task in told["tasks"]:
        task["metrics"] = {
            name: {part: round(value, 9) for part, value in claim.items()}
            for name, claim in sorted(task["metrics"].items())
        }
    return {**told, "score": told["score"] and round(told["score"], 9)}


def declaration_of(honest: Path) -> str:
    """The YAML that declares what a submission says."""
    told = parse_submission((honest / "submission.json").read_bytes(), "honest")
    training = [{"name": one.name, "manifest": one.manifest or "unknown"} for one in told.training]
    values = {
        "handle": told.handle,
        "model": told.model,
        "architecture": told.architecture,
        "parameters": told.parameters,
        "open_weights": told.open_weights,
        "training": training or "unknown",
        "samples_seen": told.samples_seen or "unknown",
        "variants_tried": told.variants_tried,
        "links": dict(told.links),
    }
    return yaml.safe_dump(values)
