"""``oddpair compare`` and ``oddpair power`` as a user runs them, on results of models whose answers are given."""

import json

import numpy as np
import pytest
from scipy.stats import binomtest
from tests.command import run
from tests.eval.comparing.result_data import CLASSES, classified, write_task


def draws(seed, share, n=400):
    return (np.random.default_rng(seed).random(n) < share).tolist()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two models: one task in common by picture, one by class, and one more of each."""
    folder = tmp_path_factory.mktemp("compare")
    for model, share, own in (("good", 0.8, "tail"), ("bad", 0.6, "paste")):
        seed = len(model)
        write_task(folder, model, "natural", classified(draws(seed, share)))
        write_task(folder, model, "rendition", classified(draws(seed + 9, share - 0.2)), cluster="class")
        write_task(folder, model, own, classified(draws(seed, share, 20)))
    return folder


def model(place, name):
    return next(path for path in place.iterdir() if path.name.startswith(name))


def test_two_models_are_compared_on_all_tasks_that_both_have(place):
    good, bad = model(place, "good"), model(place, "bad")
    code, text = run("compare", good, bad, stream="stdout")
    assert code == 0
    a, b = np.array(draws(4, 0.8)), np.array(draws(3, 0.6))
    lines = text.splitlines()
    assert lines[:2] == ["A: good", "B: bad"]
    assert lines[2].split()[0] == "task"
    row = lines[3].split()
    assert row[:4] == [
        "world.natural",
        f"{a.mean():.1%}",
        f"{b.mean():.1%}",
        f"{100 * (a.mean() - b.mean()):+.1f}",
    ]
    assert row[-3:] == [str(int((a & ~b).sum())), str(int((b & ~a).sum())), "400"]
    assert lines[4].startswith("world.rendition")
    assert len({len(line) for line in lines[2:5]}) == 1
    assert lines[-3].startswith("warning: world.rendition: 4 of what goes alike")
    assert lines[-2:] == ["only A was scored on: world.tail", "only B was scored on: world.paste"]


def test_json_holds_the_same_numbers(place):
    code, text = run("compare", model(place, "good"), model(place, "bad"), "--json", stream="stdout")
    found = json.loads(text)
    a, b = np.array(draws(4, 0.8)), np.array(draws(3, 0.6))
    natural, rendition = found["tasks"]
    assert (code, found["only_a"], found["only_b"]) == (0, ["world.tail"], ["world.paste"])
    assert found["notes"] == [
        "world.rendition: 4 of what goes alike (class), with which p cannot be below 0.125, and the interval is a rough one"
    ]
    assert (natural["n"], natural["n_clusters"], rendition["n_clusters"]) == (400, 400, 4)
    wins, losses = int((a & ~b).sum()), int((b & ~a).sum())
    assert natural["p_value"] == pytest.approx(binomtest(wins, wins + losses).pvalue)
    assert natural["ratio"]["value"] == pytest.approx(a.mean() / b.mean())
    # Four classes can be exchanged in 16 ways, of which 2 are the least that p can be.
    assert rendition["p_value"] >= 2 / 16
    assert natural["p_adjusted"] >= natural["p_value"]


def test_single_results_are_compared_too(place):
    results = [model(place, name) / "world.natural.result.json" for name in ("good", "bad")]
    code, text = run("compare", *results, stream="stdout")
    assert code == 0
    assert "world.rendition" not in text


def test_models_that_chose_among_other_classes_or_words_are_told_of(tmp_path):
    records = classified([1, 0, 1, 1])
    a = write_task(tmp_path, "a", "natural", records)
    b = write_task(tmp_path, "b", "natural", records, classes=(*CLASSES, "gnu"))
    c = write_task(tmp_path, "c", "natural", records, prompts="1" * 64, version=2)
    text = run("compare", a, b, stream="stdout")[1]
    assert "warning: world.natural: the models chose among other classes (4 and 5)" in text
    text = run("compare", a, c, stream="stdout")[1]
    assert "warning: world.natural: versions 1 and 2 of the benchmark" in text
    assert "warning: world.natural: the models were asked in other words" in text


def test_what_cannot_be_compared_is_refused(place, tmp_path):
    good = model(place, "good")
    other = write_task(tmp_path, "other", "natural", classified([1] * 400, prefix="z"))
    assert run("compare", good, other) == (
        2,
        "world.natural: the models were not asked the same: of 400 and 400 questions 400 are of the first alone and 400 of "
        "the second: score both on the same pictures",
    )
    strange = write_task(tmp_path / "2", "other", "sketch", classified([1]))
    code, line = run("compare", good, strange)
    assert (
        code,
        "have no task in common (world.natural, world.rendition, world.tail; world.sketch)" in line,
    ) == (2, True)
    code, line = run("compare", place, good)
    assert (code, "holds 2 models (bad-" in line) == (2, True)
    code, line = run("compare", tmp_path / "nothing", good)
    assert (code, "does not exist" in line) == (2, True)
    by_class = write_task(tmp_path / "3", "other", "natural", classified([1]), cluster="class")
    code, line = run("compare", good, by_class)
    assert (code, "is classification by image for one model and classification by class" in line) == (2, True)


def test_the_power_of_a_number_of_samples_is_told():
    code, text = run("power", "--samples", 1000, "--accuracy", 0.6, "--discordant", 0.1, stream="stdout")
    assert code == 0
    assert text.splitlines() == [
        "1,000 questions",
        "    same questions for both models, 10.0% discordant: 2.9 points or more",
        "    other questions for each model, accuracy about 60.0%: 6.2 points or more",
        "A difference counts as told where a test at level 0.05 shows it in 80% of such test sets.",
    ]
    assert "--discordant, or a second model, would say" in run("power", "--samples", 10, "--accuracy", 0.5)[1]


def test_a_small_difference_is_told_in_digits_that_are_not_zero():
    text = run("power", "--samples", 1_000_000, "--accuracy", 0.6, "--discordant", 0.1, stream="stdout")[1]
    assert "10.0% discordant: 0.09 points or more" in text
    assert "accuracy about 60.0%: 0.2 points or more" in text
    code, line = run("power", "--samples", 10_000_001, "--accuracy", 0.6)
    assert (code, "--samples" in line) == (2, True)


def test_the_power_of_results_is_told_by_task(place):
    good, bad = model(place, "good"), model(place, "bad")
    alone = json.loads(run("power", good, "--json", stream="stdout")[1])
    assert list(alone["tasks"]) == ["world.natural", "world.rendition", "world.tail"]
    assert alone["tasks"]["world.natural"]["discordant"] is None
    both = json.loads(run("power", good, bad, "--json", "--power", 0.9, stream="stdout")[1])
    natural = both["tasks"]["world.natural"]
    assert list(both["tasks"]) == ["world.natural", "world.rendition"]
    assert natural["discordant"] == np.mean(np.array(draws(4, 0.8)) != draws(3, 0.6))
    fewer = json.loads(run("power", good, bad, "--json", stream="stdout")[1])["tasks"]["world.natural"]
    assert (fewer["paired"] < natural["paired"], fewer["unpaired"] < natural["unpaired"]) == (True, True)
    assert "world.natural: 400 questions" in run("power", good, bad, stream="stdout")[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "nothing to work with: give a model's folder, or --samples and --accuracy"),
        (["--samples", 10], "nothing to work with"),
        (
            ["--samples", 10, "--accuracy", 0.9, "--discordant", 0.3],
            "--discordant 0.3: two models of accuracy 0.9 disagree on at most 0.2 of the questions: give less",
        ),
    ],
)
def test_a_power_of_nothing_is_refused(options, message):
    code, line = run("power", *options)
    assert (code, line.startswith(message)) == (2, True)


def test_a_model_and_numbers_of_its_own_are_refused(place):
    good, bad = model(place, "good"), model(place, "bad")
    assert "tells samples and accuracy: leave out --samples" in run("power", good, "--samples", 5)[1]
    assert (
        "tell the discordant share: leave out --discordant" in run("power", good, bad, "--discordant", 0.1)[1]
    )
