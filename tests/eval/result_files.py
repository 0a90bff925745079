"""Results as ``oddpair eval`` writes them, for tests that only read their numbers."""

from oddpair.eval.intervals import Estimate
from oddpair.eval.results import Metric, TaskResult, name_folder, result_path, write_result

HASHES = ("uids", "questions", "prompts", "classes", "preprocessing", "weights")


def write_results(out, accuracies, *, benchmark="toy", n=1000):
    """Write results without records: accuracies by model and task."""
    for model, tasks in accuracies.items():
        slug = name_folder(model, "")
        for task, value in tasks.items():
            metric = Metric(
                name="top1",
                estimate=Estimate(
                    value=value, low=max(value - 0.03, 0), high=min(value + 0.03, 1), n=n, what="top1"
                ),
                chance=0.1,
                interval="Clopper-Pearson",
            )
            fields = {
                **{
                    "benchmark": benchmark,
                    "version": 1,
                    "task": task,
                    "kind": "classification",
                    "family": "f",
                },
                **{
                    "cluster": "image",
                    "model": model,
                    "pretrained": "",
                    "slug": slug,
                    "n_images": n,
                    "damaged": 0,
                },
                **{"class_keys": ("a", "b"), "class_names": ("a", "b"), "logit_scale": 100.0, "records": ""},
                **{"hashes": dict.fromkeys(HASHES, "a1" * 32), "run": "", "metrics": (metric,)},
            }
            write_result(result_path(out / slug, benchmark, task), TaskResult(**fields))
    return out
