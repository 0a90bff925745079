"""The README says what the study measured, and names only commands that are there."""

import re

import pytest

from oddpair import files
from oddpair.demo.numbers import show_estimate, show_number


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
