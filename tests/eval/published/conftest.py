"""A published layout so small that every figure in it can be worked out by hand."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from oddpair.eval.published.layout import Published, read_published

PUBLISHED = Path(__file__).resolve().parents[4] / "shared" / "published"

# Bins of counts end at 1, 10, 100, 1,000 and 10,000; the corpus d knows each concept ten times as well.
_COUNTED = [
    ("cifar10", "ant", 0, 90), ("cifar10", "bee", 1, 10), ("cifar10", "cow", 10, 10), ("cifar10", "dog", 10, 30),
    ("dtd", "elk", 100, 40), ("dtd", "fox", 1000, 30), ("dtd", "gnu", 10000, 0),
]  # fmt: skip
_SKETCHED = ("imagenet-sketch", "Elk", 100, 100)
_RETRIEVED = [("coco", name if name != "ant" else "", count, score) for _, name, count, score in _COUNTED]
_AXES = "val-on-imagenet-a-classes,val-on-objectnet-classes,val-on-imagenet-r-classes"


def _tables() -> dict[str, list[str]]:
    counts = [
        f"{dataset},{name},{'' if dataset == 'imagenet-sketch' else count},{count},{count},{10 * count}"
        for dataset, name, count, _ in [*_COUNTED, _SKETCHED, *_RETRIEVED]
    ]
    scores = [f"{dataset},{name},{score}" for dataset, name, _, score in [*_COUNTED, _SKETCHED]]
    recalls = [f"{dataset},i2t_k=1,{name},{score / 100}" for dataset, name, _, score in _RETRIEVED]
    prompts = {f"zeroshot_acc_per_class_{name}.csv": scores for name in ("ensemble", "class", "simple")}
    return {
        "concept_counts.csv": [
            "downstream,concept,c|lemmatized,c|rampp0.7,c|integrated_tlemmatized_i0.7,d|rampp0.7",
            *counts,
        ],
        **{name: ["downstream,concept,M|c", *rows] for name, rows in prompts.items()},
        "retrieval_recall_per_concept.csv": ["downstream,metric,concept,M|c", *recalls],
        "published_pearson.csv": [
            "task,prompt_or_metric,pretrain,counttype,model,n_bins,slice_used,published_label,r_from_authors_pickle,"
            "r_from_raw_counts,downstream_sets,raw_matches_pickle",
            "zeroshot_classification,ensemble,c,lemmatized,M,5,1:-1,0.50,0.5,0.5,17,True",
            "zeroshot_classification,ensemble,c,rampp0.7,M,5,1:-1,0.50,0.5,0.188982,17+imagenet-sketch,False",
            "retrieval,i2t_k=1,c,integrated_rampp0.7,M,5,1:-1,0.50,0.5,0.5,coco,True",
        ],
        "binned_curves.csv": [
            "task,counttype,prompt_or_metric,pretrain,model,bin,upper_edge,mean,std,n_concepts_if_reproduced",
            *(
                f"{task},{method},{metric},c,M,{at},{edge},{mean * unit},{spread * unit},{n if same else ''}"
                for task, method, metric, unit, same in (
                    ("zeroshot", "lemmatized", "ensemble", 1, True),
                    ("zeroshot", "rampp0.7", "ensemble", 1, False),
                    ("retrieval", "integrated_rampp0.7", "i2t_k=1", 0.01, True),
                    ("t2i", "rampp0.7", "max_clip", 1, False),
                )
                for at, (edge, mean, spread, n) in enumerate(
                    [(1, 50, 40, 2), (10, 20, 10, 2), (100, 40, 0, 1), (1000, 30, 0, 1), (10000, 0, 0, 1)]
                )
            ),
        ],
        "golden_fits_concept_level.csv": [
            "model,pretrain,counttype,n,n_zero,n_pos,slope_per_decade,intercept,r_pos,r2_pos,se_slope,spearman_all,"
            "slope_log10p1,intercept_log10p1,r_log10p1,r_within_downstream,slope_within_downstream,"
            "leave_one_downstream_out_r2,mean_acc_zero,mean_acc_pos",
            "M,c,lemmatized,7,1,6,-0.92308,21.69231,-0.08771,0.00769,5.24206,-0.42204,-9.94466,46.17941,-0.48325,"
            "-0.60634,-12.5,-9.02778,90,20",
        ],
        "golden_fits_retrieval_concept_level.csv": [
            "metric,model,pretrain,counttype,n,n_zero,slope_per_decade,intercept,r_pos,spearman_all,"
            "r_within_downstream,mean_recall_zero,mean_recall_pos",
            "i2t_k=1,M,c,integrated_rampp0.7,7,1,-0.0092308,0.2169231,-0.08771,-0.42204,-0.08771,0.9,0.2",
        ],
        "acc_by_frequency_decade.csv": [
            "model,pretrain,counttype,freq_bin,n,mean_acc,sem",
            "M,c,lemmatized,0,1,90,0",
            'M,c,lemmatized,"[1,10)",1,10,0',
            'M,c,lemmatized,"[10,100)",2,20,7.071',
        ],
        "binning_sensitivity_zeroshot_ensemble.csv": [
            "model,pretrain,counttype,n_bins,n_nonempty_pos_bins,r_all_pos_bins,r_drop_last,r_count_weighted,min_bin_n",
            "M,c,lemmatized,5,4,-0.5292,0.5,-0.4137,1",
        ],
        "frequency_correlations_aligned.csv": [
            "counttype,a,b,n_concepts,spearman,pearson_raw,pearson_log10_clip1",
            "rampp0.7,c,d,9,1,1,0.97765",
        ],
        "misalignment_degree.csv": ["pretrain,misaligned_pairs", "c,5"],
        "imagenet_testbed_top1.csv": [
            "model,val,imagenetv2-matched-frequency-format-val,imagenet-a,imagenet-r,imagenet-sketch,"
            f"objectnet-1.0-beta,{_AXES}",
            *(f"m{top},{','.join([str(top)] * 9)}" for top in (20, 40, 60, 80)),
        ],
        "openclip_results.csv": [
            "name,pretrained,ImageNet 1k,ImageNet v2,ImageNet-A,ImageNet-R,ImageNet Sketch,ObjectNet",
            *(f"m{top},t,{top},{','.join([str(round(top + 0.1, 1))] * 5)}" for top in (0.3, 0.5, 0.7)),
        ],
    }  # fmt: skip


Layout = Callable[..., Path]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Write the layout, with lines of it replaced: ``layout({"misalignment_degree.csv": {1: "c,6"}})``."""

    def write(changed: Mapping[str, Mapping[int, str]] | None = None) -> Path:
        folder = tmp_path / "published"
        folder.mkdir()
        for name, lines in _tables().items():
            for at, line in (changed or {}).get(name, {}).items():
                lines[at] = line
            (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return folder

    return write


@pytest.fixture(scope="session")
def published() -> Path:
    """The published tables themselves."""
    if not PUBLISHED.is_dir():
        pytest.skip(f"{PUBLISHED} is absent")
    return PUBLISHED


@pytest.fixture(scope="session")
def published_tables(published: Path) -> Published:
    """The same, read once."""
    return read_published(published)
