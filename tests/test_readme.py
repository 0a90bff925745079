"""The README says what the study measured, and its commands do what it says."""

import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from typing import Any

import pytest
from tests.eval.submission.scores import declaration_of, write_scores
from tests.retrieval import tiny_models
from tests.test_cli_eval import write_set
from typer.testing import CliRunner

from oddpair import cli, files
from oddpair.benchmarks.benchmark_file import load_benchmark
from oddpair.demo.numbers import show_estimate, show_number
from oddpair.eval.results import find_results
from oddpair.retrieval.counting.counts_file import read_counts


@pytest.fixture(scope="module")
def readme(root):
    return (root / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pooled(root):
    return files.read_json(root / "benchmarks" / "miniature" / "study.json")["pooled"]


def test_every_figure_of_the_study_is_quoted_as_measured(readme, pooled):
    styles, pairs = pooled["styles"], pooled["pairs"]
    log_count = pooled["concepts"]["cross_validation"]["scores"][1]
    with_pmi = pairs["cross_validation"]["scores"][3]
    quoted = [
        *(f"{style} {show_estimate(entry['ratio'], 2)}" for style, entry in styles.items()),
        show_estimate(pooled["concepts"]["r"], 2),
        show_estimate(log_count["r2"], 2),
        f"{show_estimate(pairs['bias']['all'], 1)} points",
        f"{show_estimate(pairs['penalty']['all']['points']['over_worlds'], 1)} points",
        f"{show_estimate(pairs['matched']['all'], 1)} points",
        show_estimate(pairs["pmi"]["r_given_concepts"], 2),
        show_estimate(with_pmi["r2_gain"]["both log counts"], 3),
        *(
            f"{show_estimate(pairs['penalty'][kind]['points']['over_worlds'], 1)} points"
            for kind in ("held-out", "rare")
        ),
        f"({show_number(100 * pairs['matched_share']['all']['lowest'], 0)} to "
        f"{show_number(100 * pairs['matched_share']['all']['highest'], 0)} % of rows find a match)",
        f"({pooled['planted']['pairs']['held_out_found_unseen']:,} of "
        f"{pooled['planted']['pairs']['held_out_tested']:,})",
    ]
    purity = pooled["planted"]["style"]["natural"]
    quoted += [
        f"{show_number(100 * purity[f'wrong_{when}_search']['mean']['value'], 2)} %"
        for when in ("before", "after")
    ]
    assert [figure for figure in quoted if figure not in readme] == []


def test_the_search_is_quoted_as_it_was_counted(readme, pooled):
    pairs, natural = pooled["planted"]["pairs"], pooled["planted"]["style"]["natural"]
    words = " ".join(readme.split())
    missed = pairs["silent_but_shown"] - pairs["silent_but_shown_found_by_search"]
    assert (
        f"{missed:,} of {pairs['found_unseen'] + missed:,} pairs would have been called unseen wrongly"
        in words
    )
    assert (
        f"Of {natural['left_by_search']:,} rows that left, {natural['left_and_wrong']:,} were of another style"
        in words
    )


def test_every_make_target_and_verb_of_the_readme_is_there(readme, root):
    from oddpair.cli import app

    targets = set(re.findall(r"^([a-z]+):", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", readme, re.MULTILINE)) <= targets
    verbs = {command.name for command in app.registered_commands}
    assert set(re.findall(r"^oddpair ([a-z]+)", readme, re.MULTILINE)) <= verbs


def test_there_are_two_commands_before_anything_else(readme):
    assert re.findall(r"^make .*?(?=  )", readme.split("## ")[0], re.MULTILINE) == ["make demo", "make test"]


@pytest.fixture(scope="module")
def ways_in(root):
    """The commands of the table of ways in, but for the one that needs a store."""
    section = (
        (root / "README.md").read_text(encoding="utf-8").split("## Your own corpus")[1].split("\n## ")[0]
    )
    found = re.findall(r"^\| .* \| `(oddpair .*)` \|$", section, re.MULTILINE)
    return [command for command in found if "://" not in command]


@pytest.fixture(scope="module")
def belongings(root, tmp_path_factory):
    """What a user may have, by the names that the README gives to it."""
    place, fixtures = tmp_path_factory.mktemp("readme"), root / "tests" / "fixtures"
    for name, fixture in (
        ("shards", "img2dataset-jpg"),
        ("parquet-shards", "img2dataset-parquet"),
        ("clip-retrieval", "clip-retrieval"),
        ("datacomp", "datacomp"),
        ("laion", "laion"),
    ):
        shutil.copytree(fixtures / fixture, place / name)
    shutil.copy(fixtures / "datacomp-subset.npy", place / "subset.npy")
    for name in ("tars", "more", "files-output", "pictures", "photos"):
        (place / name).mkdir()
    for number in ("00000", "00001"):
        shutil.copy(place / "shards" / f"{number}.tar", place / "tars")
        shutil.copy(place / "shards" / f"{number}.parquet", place / "files-output")
        shutil.copy(place / "shards" / f"{number}_stats.json", place / "files-output")
        with tarfile.open(place / "shards" / f"{number}.tar") as tar:
            tar.extractall(place / "files-output" / number, filter="data")
    shutil.copy(place / "shards" / "00001.tar", place / "more" / "00000.tar")
    with tarfile.open(place / "tars" / "00000.tar") as tar:
        tar.extractall(place / "photos", filter="data")
    for name in sorted(path.name for path in (place / "photos").glob("*.jpg")):
        shutil.copy(place / "photos" / name, place / "pictures")
    names = sorted(path.name for path in (place / "pictures").iterdir())
    rows = "".join(f"{name},a picture\n" for name in names)
    (place / "pictures" / "list.csv").write_text(f"file,caption\n{rows}")
    rows = "".join(f"pictures/{name}\ta picture\n" for name in names)
    (place / "train.tsv").write_text(f"filepath\ttitle\n{rows}")
    (place / "words.txt").write_text("apple\nplate\nhouse\n")
    return place


def run_in(folder, command, monkeypatch):
    """Run a command of the README in a folder, in this process; return what it printed."""
    monkeypatch.chdir(folder)
    words = shlex.split(command)[1:]
    alone = (
        ["--workers", "1"]
        if words[0] in ("embed", "search", "eval") or words[:2] == ["split", "style-strict"]
        else []
    )
    result = CliRunner().invoke(cli.app, [*words, *alone], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.usefixtures("no_network")
def test_every_way_in_is_one_command_that_runs(ways_in, belongings, monkeypatch):
    from oddpair.retrieval.fetch import Fetcher

    picture = next((belongings / "photos").glob("*.jpg")).read_bytes()
    monkeypatch.setattr(Fetcher, "fetch", lambda self, url: picture)
    assert len(ways_in) == 11
    for command in ways_in:
        said = run_in(belongings, command, monkeypatch)
        made = belongings / ("counts" if " count " in command else "emb")
        assert (made / "done.json").is_file(), command
        if made.name == "emb":
            manifest = files.read_json(made / "manifest.json")
            assert f"{sum(manifest['rows'])} rows of dimension" in said, command
            seen = sum(manifest["rows"]) + manifest["quarantined"] + manifest["outside_subset"]
            assert manifest["seen"] == seen > 0, command
        shutil.rmtree(made)


def test_what_the_pages_do_with_a_corpus_can_be_done_in_their_order(readme, root, tmp_path, monkeypatch):
    from oddpair.benchmarks.miniature.draw import draw_corpus
    from oddpair.benchmarks.miniature.world import make_world

    draw_corpus(make_world(5), tmp_path / "drawn", 600, rows_per_shard=300, workers=1)
    (tmp_path / "drawn" / "corpus").rename(tmp_path / "shards")
    section = readme.split("## Your own corpus")[1].split("```")[1]
    commands = ["oddpair embed shards --out emb", *section.strip().splitlines()]
    verbs = [command.split()[1] for command in commands]
    searches = ["search", "neighbours", "dedup", "index"]
    assert verbs == ["embed", "count", "samples", "graph", *searches, "split", "split", "verify", "export"]
    (tmp_path / "words.txt").write_text("clock\ndrum\ntree\nwhale\n")
    (tmp_path / "pairs.txt").write_text("clock\tdrum\ntree\twhale\n")
    for command in commands:
        run_in(tmp_path, command, monkeypatch)
    assert (tmp_path / "search.html").read_text().count("<img") == 10
    assert files.read_json(tmp_path / "exported" / "sizes.json")
    said = {}
    for page in ("search", "counting"):
        text = (root / "docs" / f"{page}.md").read_text(encoding="utf-8")
        example = text.split("```python")[1].split("```")[0]
        ran = subprocess.run(
            [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        said[page] = ran.stdout
    assert said["search"].split()[-1] == "100"
    together = int(files.parse_json(said["counting"].split("]")[0].encode()[1:]))
    assert together == read_counts(tmp_path / "counts").pair_text[0] > 0


def test_every_recipe_is_one_command_that_runs_and_its_splits_hold(readme, tmp_path, monkeypatch):
    from oddpair.benchmarks.miniature.draw import draw_corpus
    from oddpair.benchmarks.miniature.pairs import draw_pairs
    from oddpair.benchmarks.miniature.world import make_world
    from oddpair.splits.recipe_file import KINDS

    for seed, name, rows in ((5, "shards", 600), (6, "train", 100), (7, "coco", 100), (8, "val", 100)):
        draw_corpus(make_world(seed), tmp_path / "drawn", rows, rows_per_shard=300, workers=1)
        (tmp_path / "drawn" / "corpus").rename(tmp_path / name)
        shutil.rmtree(tmp_path / "drawn")
    words = ["clock", "drum", "tree", "whale", "apple", "house", "duck", "cat"]
    (tmp_path / "words.txt").write_text("".join(f"{word}\n" for word in words))
    pairs = [(one, other) for number, one in enumerate(words) for other in words[number + 1 :]]
    draw_pairs(pairs, 2, 9, tmp_path / "pictures")
    run_in(tmp_path, "oddpair embed shards --out emb", monkeypatch)
    run_in(tmp_path, "oddpair count shards --vocabulary words.txt --postings --out counts", monkeypatch)
    section = readme.split("## Splits")[1].split("\n## ")[0]
    commands = re.findall(r"^\| .* \| `(oddpair split .*)` \|$", section, re.MULTILINE)
    assert [command.split()[2] for command in commands] == [
        "style-strict",
        "similarity",
        "unseen-pairs",
        "pair-unseen",
        "pmi-bands",
        "long-tail",
        "mixture",
        "control",
        "sources",
        "balanced",
        "prototypes",
        "importance",
    ]
    assert {command.split()[2] for command in commands} == set(KINDS)
    for command in commands:
        run_in(tmp_path, command, monkeypatch)
        out = tmp_path / command.split()[-1]
        assert (out / "splits" / "card.html").is_file()
        made = sorted(path.parent for path in out.glob("splits/*/manifest.json"))
        assert made, command
        for split in made:
            said = run_in(tmp_path, f"oddpair verify {split}", monkeypatch)
            assert "holds: " in said, f"{split} claims nothing"


def test_the_audit_at_the_top_runs_and_what_it_says_is_found_again(readme, tmp_path, monkeypatch):
    from oddpair.benchmarks.miniature.draw import draw_corpus
    from oddpair.benchmarks.miniature.world import make_world

    for seed, name, rows in ((5, "shards", 600), (6, "train", 100), (8, "val", 60)):
        draw_corpus(make_world(seed), tmp_path / "drawn", rows, rows_per_shard=300, workers=1)
        (tmp_path / "drawn" / "corpus").rename(tmp_path / name)
        shutil.rmtree(tmp_path / "drawn")
    (tmp_path / "words.txt").write_text("clock\ndrum\ntree\nwhale\n")
    section = readme.split("## Is my test out of distribution?")[1].split("\n## ")[0]
    commands = section.split("```")[1].strip().splitlines()
    assert [command.split()[1] for command in commands] == ["audit", "verify", "split"]
    said = [run_in(tmp_path, f"{command} --workers 1", monkeypatch) for command in commands]
    card = files.read_json(tmp_path / "audit" / "audit.json")
    assert card["verdict"] in said[0]
    assert card["verdict"] in said[1]
    left = {removal["name"]: removal["left"] for removal in card["removals"]}
    assert f"gap-pruned-val: {left['gap-pruned']:,} rows" in said[2]


@pytest.mark.usefixtures("no_network")
def test_what_is_said_of_evaluation_runs(readme, small_run, noise, as_bytes, tmp_path, monkeypatch):
    from huggingface_hub import constants

    write_set(
        tmp_path / "shapes", [as_bytes(noise(seed)) for seed in range(12)], [row % 3 for row in range(12)]
    )
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "demo").symlink_to(small_run)
    (tmp_path / "models.csv").write_text("# ours\nreference\n")
    (tmp_path / "imagenet_testbed_top1.csv").write_text(
        "model,x,y\n" + "".join(f"m{n},0.{n},0.{n - 1}\n" for n in range(2, 9))
    )
    tiny_models.register(monkeypatch, "ViT-B-32")
    state = tiny_models.random_state()
    tiny_models.save(state, tmp_path / "weights.safetensors")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    tiny_models.save_in_hub(
        state, tmp_path / "hub", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "open_clip_model.safetensors"
    )
    section = readme.split("## Evaluation")[1].split("\n## ")[0]
    block = section.split("```")[1].strip().splitlines()
    verbs = ["eval", "eval", "score", "compare", "power", "results", "ls"]
    assert [line.split()[1] for line in block] == verbs
    for command in block:
        # What the shell does with a star.
        words = [
            next(tmp_path.glob(word)).relative_to(tmp_path).as_posix() if "*" in word else word
            for word in command.split()
        ]
        run_in(tmp_path, " ".join(words), monkeypatch)
    assert (tmp_path / "scores" / "report.html").is_file()
    assert (tmp_path / "table.tex").read_text().count("miniature v1") == 8
    table = re.findall(r"^\| .* \| `(oddpair .*)` \|$", section, re.MULTILINE)
    assert len(table) == 6
    for command in table:
        if "..." not in command and " eval " in command:
            run_in(tmp_path, command, monkeypatch)
    scored = {found.result.model for found in find_results([tmp_path / "scores"])}
    assert {"ViT-B-32", "hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "reference"} <= scored
    assert "7 models" in run_in(tmp_path, table[-1], monkeypatch)


def test_scores_become_a_page_by_the_commands_of_the_leaderboard(readme, root, tmp_path, monkeypatch):
    _, honest = write_scores(tmp_path)
    (tmp_path / "me.yaml").write_text(declaration_of(honest), encoding="utf-8")
    ours = sorted((root / "benchmarks" / "submissions").iterdir())[0]
    shutil.copytree(ours, tmp_path / "benchmarks" / "submissions" / ours.name)
    section = readme.split("## Leaderboard")[1].split("\n## ")[0]
    commands = section.split("```")[1].strip().splitlines()
    assert [command.split()[1] for command in commands] == ["submit", "submit", "validate", "leaderboard"]
    for command in commands:
        words = [
            each
            for word in command.split()
            for each in (sorted(map(str, tmp_path.glob(word))) if "*" in word else [word])
        ]
        run_in(tmp_path, " ".join(words), monkeypatch)
    page = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert ours.name.split("__")[1] in page
    assert honest.name.split("__")[1] in page


def test_sets_and_splits_that_are_named_for_evaluation_are_known_to_their_benchmarks(readme):
    section = readme.split("## Evaluation")[1].split("\n## ")[0]
    commands = [shlex.split(command) for command in re.findall(r"`(oddpair eval .*)`", section)]
    named = [words for words in commands if "--data" in words]
    assert len(named) == 2
    for words in named:
        given = dict(zip(words[2::2], words[3::2], strict=True))
        benchmark = load_benchmark(given["--suite"])
        assert given["--data"].partition("=")[0] == benchmark.name
        splits = {task.split for task in benchmark.tasks}
        assert given.get("--split", "=").partition("=")[0] in splits
    # Where the table of splits has them written; of a single test set their names have no beginning.
    out = re.search(r"oddpair split unseen-pairs .*--tests coco=coco .*--out (\w+)", readme)
    assert out is not None
    assert f"={out[1]}/splits/full-set-unseen" in section


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/corpora.md",
        "docs/search.md",
        "docs/counting.md",
        "docs/splits.md",
        "docs/evaluation.md",
        "docs/leaderboard.md",
        "docs/audit.md",
    ],
)
def test_every_option_that_is_told_of_is_there(root, page):
    import typer

    text = (root / page).read_text(encoding="utf-8")
    group: Any = typer.main.get_command(cli.app)
    known = {name for command in group.commands.values() for one in command.params for name in one.opts}
    told = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    # What other tools have: open_clip's trainer, and Dask's worker.
    assert told - known - {"--train-data", "--train-num-samples", "--nthreads"} == set()
    for command in re.findall(r"`(oddpair [^`]*)`", text):
        # Behind -- stand the arguments of another program.
        words = shlex.split(command.split(" -- ")[0])
        assert words[1] in group.commands, command
        options = {name for one in group.commands[words[1]].params for name in one.opts}
        assert {word for word in words if word.startswith("--")} <= options, command
