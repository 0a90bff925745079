import csv
import json

import pytest

from oddpair.commands.reproduce import reproduce_frequency, show_reproduction


def test_a_reproduction_says_every_r_with_its_points_bins_and_r_over_concepts(layout, tmp_path):
    found = reproduce_frequency(layout(), tmp_path / "out")
    text = "\n".join(show_reproduction(found))
    assert text.startswith("3 of 3 published correlations are made again from the raw counts to 0.0001")
    row = next(line for line in text.splitlines() if line.startswith("zeroshot ensemble, M c, lemmatized"))
    for part in ("0.5000 [-1.00, 1.00]", "1:-1 of 5", "1, 5: 3 of 7 concepts", "-0.74 [", "-0.48 ["):
        assert part in row
    assert row.endswith("ok")
    assert "ok; printed from other counts, whose r is 0.5000" in text
    assert "misalignment_degree.csv: 1 shares" in text
    assert "no scores of t2i max_clip are published" in text
    assert (
        "c|rampp0.7: the published counts are not those behind 1 published figures, of which 1 read otherwise"
        in text
    )


def test_what_is_written_is_what_was_found(layout, tmp_path):
    found = reproduce_frequency(layout(), tmp_path / "out")
    assert json.loads((tmp_path / "out" / "reproduction.json").read_text()) == found
    with (tmp_path / "out" / "correlations.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["r"]) for row in rows] == [one["r"]["value"] for one in found["correlations"]]
    assert rows[0]["left_out"] == "1; 5"
    page = (tmp_path / "out" / "reproduction.md").read_text()
    assert page.count("| ok |") + page.count("| ok; printed") == 3 + len(found["agreements"])
    assert "- c\\|rampp0.7: the published counts" in page


def test_the_same_tables_give_the_same_bytes(layout, tmp_path):
    folder = layout()
    for name in ("a", "b"):
        reproduce_frequency(folder, tmp_path / name)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert len(names) == 11
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_what_differs_is_told_with_its_row(layout):
    folder = layout({"golden_fits_retrieval_concept_level.csv": {
        1: "i2t_k=1,M,c,integrated_rampp0.7,7,1,-0.0092308,0.25,-0.08771,-0.42204,-0.08771,0.9,0.2"
    }})  # fmt: skip
    found = reproduce_frequency(folder, None)
    assert found["summary"]["columns_that_hold"] == found["summary"]["columns"] - 1
    assert "differs by 0.033 at i2t_k=1, M c, integrated_rampp0.7" in "\n".join(show_reproduction(found))


@pytest.fixture(scope="module")
def whole(published):
    return reproduce_frequency(published, None)


def test_every_published_figure_is_made_again(whole):
    summary = whole["summary"]
    assert (summary["correlations"], summary["correlations_that_hold"]) == (109, 109)
    assert (summary["columns"], summary["columns_that_hold"]) == (46, 46)
    assert summary["of_other_counts"] == 20


def test_every_published_r_stands_beside_the_r_over_concepts_and_over_all_bins(whole):
    for one in whole["correlations"]:
        assert one["r_over_concepts"]["n"] == one["n"] > one["n_kept"]
        assert one["r_all_bins"]["n"] == one["bins"] - one["n_empty"]
        assert one["r"]["n"] == one["bins"] - len(one["dropped"])
