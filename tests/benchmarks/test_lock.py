"""A lock holds whatever a benchmark asks: no change of it goes unseen."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair import files
from oddpair.benchmarks import lock
from oddpair.benchmarks.benchmark import Benchmark, ClassList, Gap, RobustnessAxes, SetPlace, Task
from oddpair.benchmarks.benchmark_file import SHIPPED, load_benchmark, read_benchmark, shipped
from oddpair.benchmarks.lock import check_lock, hash_uids, lock_of, lock_path, lock_uids
from oddpair.errors import Refusal

PETS = ClassList(name="pets", keys=("n1", "n2", "n3"), names=("cat", "dog", "owl"))
TASK = Task(
    name="t",
    set="s",
    kind="classification",
    family="f",
    classes=PETS,
    templates=("a {}", "the {}"),
    only=("n1", "n2"),
    styles=("photo",),
    split="clean",
)
PAIRS = replace(TASK, name="p", kind="pairs", templates=("{} and {}",), only=(), cluster="pair")
OWN = replace(TASK, name="o", classes=None, templates=(), only=())
BENCHMARK = Benchmark(
    name="mine",
    version=1,
    about="x",
    sets={"s": SetPlace(name="s", layout="corpus", path="p", settings={"label": "l"})},
    tasks=(TASK, PAIRS, OWN),
    gaps=(Gap(name="g", first=("t",), second=("p",)),),
    robustness=(
        RobustnessAxes(
            name="r", x=("t",), y=("p",), same_classes=True, baseline={"testbed": {"x": ("a",), "y": ("b",)}}
        ),
    ),
)


def change_task(row, **changes):
    tasks = list(BENCHMARK.tasks)
    tasks[row] = replace(tasks[row], **changes)
    return replace(BENCHMARK, tasks=tuple(tasks))


def change_classes(row=0, **changes):
    return change_task(row, classes=replace(PETS, **changes))


CHANGES = {
    "a template": change_task(0, templates=("a {}", "the {}.")),
    "order of templates": change_task(0, templates=("the {}", "a {}")),
    "one template fewer": change_task(0, templates=("a {}",)),
    "a template of pairs": change_task(1, templates=("{} with {}",)),
    "templates of the set's own": change_task(2, templates=("a {}",)),
    "a class's name": change_classes(names=("cat", "dog", "eagle")),
    "a class's name of pairs": change_classes(1, names=("cat", "dog", "eagle")),
    "a class's key": change_classes(keys=("n1", "n2", "n4")),
    "order of keys": change_classes(keys=("n2", "n1", "n3")),
    "order of classes": change_classes(keys=("n2", "n1", "n3"), names=("dog", "cat", "owl")),
    "whole prompts": change_classes(prompts=(("a cat",), ("a dog",), ("an owl",))),
    "no classes": change_task(0, classes=None),
    "set": change_task(0, set="r"),
    "kind": change_task(0, kind="multilabel"),
    "family": change_task(0, family="g"),
    "only": change_task(0, only=("n1",)),
    "order of only": change_task(0, only=("n2", "n1")),
    "present_only": change_task(0, present_only=True),
    "styles": change_task(0, styles=()),
    "split": change_task(0, split="clean-2"),
    "cluster": change_task(0, cluster="class"),
    "task's name": change_task(0, name="u"),
    "order of tasks": replace(BENCHMARK, tasks=BENCHMARK.tasks[::-1]),
    "a task fewer": replace(BENCHMARK, tasks=BENCHMARK.tasks[:2]),
    "version": replace(BENCHMARK, version=2),
    "layout": replace(BENCHMARK, sets={"s": replace(BENCHMARK.sets["s"], layout="captions")}),
    "path": replace(BENCHMARK, sets={"s": replace(BENCHMARK.sets["s"], path="q")}),
    "settings": replace(BENCHMARK, sets={"s": replace(BENCHMARK.sets["s"], settings={"label": "m"})}),
    "gap": replace(BENCHMARK, gaps=(Gap(name="g", first=("p",), second=("t",)),)),
    "same_classes": replace(BENCHMARK, robustness=(replace(BENCHMARK.robustness[0], same_classes=False),)),
    "baseline": replace(BENCHMARK, robustness=(replace(BENCHMARK.robustness[0], baseline={}),)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_any_change_of_what_is_asked_changes_the_hash(change):
    assert lock_of(change)["sha256"] != lock_of(BENCHMARK)["sha256"]


def test_no_two_changes_have_one_hash():
    assert len({lock_of(change)["sha256"] for change in CHANGES.values()}) == len(CHANGES)


def test_the_description_and_the_name_of_a_list_are_free():
    free = replace(change_classes(name="animals"), about="y")
    assert lock_of(free) == lock_of(BENCHMARK)


@pytest.mark.parametrize(
    "change",
    [change for name, change in CHANGES.items() if name != "version"],
    ids=[name for name in CHANGES if name != "version"],
)
def test_what_ships_may_not_change_without_a_new_version(tmp_path, monkeypatch, change):
    monkeypatch.setattr(lock, "LOCKS", tmp_path)
    files.write_json(lock_path(BENCHMARK), lock_of(BENCHMARK))
    check_lock(BENCHMARK)
    with pytest.raises(
        Refusal, match=r"benchmark mine: .* changed without a new version .*give it version 2"
    ):
        check_lock(change)
    with pytest.raises(Refusal, match="mine has no lock of version 2"):
        check_lock(replace(change, version=2))
    files.write_json(lock_path(replace(change, version=2)), lock_of(replace(change, version=2)))
    check_lock(replace(change, version=2))
    check_lock(BENCHMARK)


@pytest.mark.parametrize("name", shipped())
def test_each_benchmark_that_ships_is_the_one_of_its_lock(name):
    benchmark = read_benchmark(SHIPPED / f"{name}.yaml")
    stored = files.read_json(lock_path(benchmark))
    assert stored == lock_of(benchmark), (
        "what ships changed: raise its version, and keep the lock of the old one"
    )


@pytest.mark.parametrize("path", sorted(lock.LOCKS.iterdir()), ids=lambda path: path.stem)
def test_each_lock_is_whole_and_every_version_has_one(path):
    stored = files.read_json(path)
    assert stored.pop("sha256") == files.digest(stored)
    assert path.name == f"{stored['benchmark']}-v{stored['version']}.json"
    newest = load_benchmark(stored["benchmark"]).version
    assert {lock.LOCKS / f"{stored['benchmark']}-v{each + 1}.json" for each in range(newest)} <= set(
        lock.LOCKS.iterdir()
    )
    assert stored["version"] <= newest


@given(st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3)), min_size=1, max_size=6), st.randoms())
@settings(max_examples=30, deadline=None)
def test_the_hash_of_pictures_knows_no_order_but_every_pair(rows, random):
    shuffled = random.sample(rows, len(rows))
    plain = hash_uids(*zip(*rows, strict=True))
    assert hash_uids(*zip(*shuffled, strict=True)) == plain
    assert hash_uids(*zip(*rows, ("k", "u"), strict=True)) != plain
    assert len(plain) == 64


def test_swapped_pictures_are_another_hash():
    assert hash_uids(["a", "b"], ["1", "2"]) != hash_uids(["a", "b"], ["2", "1"])


def test_pictures_are_locked_when_they_are_first_read_and_then_compared(tmp_path):
    path = tmp_path / "locks" / "mine.json"
    lock_uids(path, BENCHMARK, TASK, "aa", n=1200)
    first = path.read_bytes()
    lock_uids(path, BENCHMARK, TASK, "aa", n=1200)
    assert path.read_bytes() == first
    lock_uids(path, BENCHMARK, PAIRS, "bb", n=7)
    with pytest.raises(
        Refusal,
        match=r"task mine\.t was first asked of 1,200 pictures, now of 1,199 that are not the same, or have other .*choose",
    ):
        lock_uids(path, BENCHMARK, TASK, "cc", n=1199)
    stored = files.read_json(path)["version 1"]
    assert (stored["t"]["uids"], stored["p"]["uids"]) == ("aa", "bb")


def test_the_number_of_pictures_may_be_unknown(tmp_path):
    lock_uids(tmp_path / "x.json", BENCHMARK, TASK, "aa")
    with pytest.raises(Refusal, match="first asked of some pictures"):
        lock_uids(tmp_path / "x.json", BENCHMARK, TASK, "bb")


def test_a_new_version_is_locked_beside_the_old_one(tmp_path):
    path = tmp_path / "x.json"
    lock_uids(path, BENCHMARK, TASK, "aa")
    lock_uids(path, replace(BENCHMARK, version=2), TASK, "bb")
    lock_uids(path, BENCHMARK, TASK, "aa")
    assert set(files.read_json(path)) == {"version 1", "version 2"}


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("prompts", {"templates": ("a {}",)}),
        ("asked", {"only": ()}),
        ("classes", {"classes": replace(PETS, keys=("n1", "n2", "n9"))}),
    ],
)
def test_a_task_of_a_users_own_file_may_not_change_between_two_runs_into_one_folder(tmp_path, what, changes):
    lock_uids(tmp_path / "x.json", BENCHMARK, TASK, "aa")
    with pytest.raises(Refusal, match=rf"task mine\.t: its {what} changed since .* give mine a new version"):
        lock_uids(tmp_path / "x.json", BENCHMARK, replace(TASK, **changes), "aa")
