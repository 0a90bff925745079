import numpy as np
import pytest
from tests.eval.result_files import write_results

from oddpair.benchmarks.benchmark import RobustnessAxes
from oddpair.errors import Refusal
from oddpair.eval.robustness.baseline import read_baseline

AXES = RobustnessAxes(
    name="natural",
    x=("val",),
    y=("a", "objectnet"),
    same_classes=False,
    baseline={
        "testbed": {"x": ("val",), "y": ("imagenet-a", "objectnet-1.0-beta")},
        "openclip": {"x": ("ImageNet 1k",), "y": ("ImageNet-A", "ObjectNet")},
    },
)
BARE = RobustnessAxes(name="bare", x=("val",), y=("a",), same_classes=False)


def read(tmp_path, text, axes=AXES):
    path = tmp_path / "baseline.csv"
    path.write_text(text, encoding="utf-8")
    return read_baseline(path, axes, benchmark="imagenet")


def test_the_testbed_is_read_in_per_cent_and_averaged_over_sets(tmp_path):
    found = read(
        tmp_path,
        "model,val,imagenet-a,objectnet-1.0-beta,greyscale\nresnet,76.0,10,30,1\nother,50,,20,1\nlast,60,2,4,\n",
    )
    assert found.names == ("resnet", "last")
    assert found.x.tolist() == pytest.approx([0.76, 0.6])
    assert found.y.tolist() == pytest.approx([0.2, 0.03])
    assert (found.n_dropped, found.groups) == (1, ("resnet", "last"))


def test_the_table_of_open_clip_is_read_as_fractions_by_name_and_weights(tmp_path):
    found = read(tmp_path, "name,pretrained,ImageNet 1k,ImageNet-A,ObjectNet\nViT-B-32,openai,0.6,0.2,0.4\n")
    assert (found.names, found.x.tolist(), found.y.tolist()) == (
        ("ViT-B-32 openai",),
        [0.6],
        [pytest.approx(0.3)],
    )


def test_a_plain_table_may_say_which_models_go_alike(tmp_path):
    found = read(tmp_path, "model,x,y,group\ne1,0.1,0.2,run\ne2,0.2,0.3,run\nother,0.5,0.5,\n", BARE)
    assert found.groups == ("run", "run", "other")
    assert (found.x.tolist(), found.y.tolist()) == ([0.1, 0.2, 0.5], [0.2, 0.3, 0.5])


def test_a_table_of_clip_benchmark_is_read_by_the_names_of_tasks(tmp_path):
    text = "dataset,model,pretrained,task,acc1,acc5\n" + "".join(
        f"{dataset},{model},p,zeroshot_classification,{value},\n"
        for model, dataset, value in [
            ("one", "imagenet/val", 0.6),
            ("one", "imagenet/a", 0.1),
            ("one", "objectnet", 0.3),
            ("two", "val", 0.5),
        ]
    )
    found = read(tmp_path, text)
    assert (found.names, found.x.tolist(), found.y.tolist()) == (("one p",), [0.6], [pytest.approx(0.2)])
    assert found.n_dropped == 1
    with pytest.raises(Refusal, match="two has two rows for imagenet/val"):
        read(tmp_path, text + "imagenet/val,two,p,zeroshot_classification,0.5,\n")


def test_a_folder_of_results_is_read_by_its_tasks(tmp_path):
    write_results(
        tmp_path,
        {"one": {"val": 0.5, "a": 0.1, "objectnet": 0.3}, "two": {"val": 0.5, "a": 0.1}},
        benchmark="imagenet",
    )
    found = read_baseline(tmp_path, AXES, benchmark="imagenet")
    assert (found.names, found.x.tolist(), found.y.tolist()) == (("one",), [0.5], [pytest.approx(0.2)])
    assert (found.n_dropped, isinstance(found.x, np.ndarray)) == (1, True)
    with pytest.raises(Refusal, match="has no model with an accuracy on both axes of natural"):
        read_baseline(tmp_path, AXES, benchmark="another")


@pytest.mark.parametrize(
    ("text", "axes", "message"),
    [
        ("model,val\nm,50\n", AXES, "has no column 'imagenet-a', which axes natural need"),
        ("model,val\nm,50\n", BARE, "of which axes bare name no columns"),
        ("color,size\nred,1\n", AXES, "has columns color, size: give the table"),
        ("model,x,y\nm,50,30\n", BARE, "x is 50, needed a fraction from 0 to 1"),
        ("model,x,y\nm,half,0.3\n", BARE, "x is 'half', needed a number"),
        ("model,x,y\nm,0.5\n", BARE, "line 2 has another number of cells"),
        ("model,x,y\nm,,0.5\n", BARE, "no model with an accuracy on both axes"),
        ("model,val,imagenet-a,objectnet-1.0-beta\nm,150,1,1\n", AXES, "needed per cent from 0 to 100"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path, text, axes, message):
    with pytest.raises(Refusal, match=message):
        read(tmp_path, text, axes)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(Refusal, match="does not exist"):
        read_baseline(tmp_path / "nowhere", AXES, benchmark="imagenet")
