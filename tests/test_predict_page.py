"""The report of predictions: safe whatever names say, the same every time, and without sections for nothing."""

import re
from dataclasses import replace

import numpy as np
import pytest
from tests.predict_reports import NASTY, estimate, model_report, predictions, scores, whole_report

from oddpair.commands.predict_checks import check
from oddpair.commands.predict_page import make_page, write_report
from oddpair.commands.predict_report import Caution, HeldOut, Predictions, Report
from oddpair.eval.explaining.add import plan_additions
from oddpair.eval.explaining.add_targets import Targets
from oddpair.eval.explaining.compare_forms import FormComparison, FormScore, ModelForms


def page_of(report):
    return make_page(report, check(report, np.random.default_rng(0)))


def titles(page):
    return re.findall(r"<h2>(.*?)</h2>", page)


def test_names_are_never_markup_or_mathematics_and_cannot_reorder_the_line():
    page = page_of(whole_report())
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "\u202e" not in page
    assert "雪" in page


def test_equal_reports_give_equal_bytes_and_every_file_is_named(tmp_path):
    names = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        names.append(write_report(folder, whole_report()))
    assert names[0] == names[1]
    assert set(names[0]) == {path.name for path in (tmp_path / "one").iterdir()}
    assert len(names[0]) == 10
    for name in names[0]:
        data = (tmp_path / "one" / name).read_bytes()
        assert data == (tmp_path / "two" / name).read_bytes()
        assert name == "report.html" or data.startswith(b"\x89PNG")


def test_a_page_loads_nothing_from_elsewhere():
    page = page_of(whole_report())
    assert "default-src &#39;none&#39;" in page
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", page.replace("xlink:href", "href"))
    # Names of formats, which nobody fetches.
    assert set(re.findall(r'https?://[^"\s<]+', page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_a_report_of_nothing_is_a_page_that_warns_of_nothing(tmp_path):
    assert write_report(tmp_path, Report(title="t", lead="l")) == ("report.html",)
    page = (tmp_path / "report.html").read_text()
    assert titles(page) == ["Before you read the numbers"]
    assert "Nothing to warn of was found." in page


@pytest.mark.parametrize(
    ("part", "title"),
    [
        ("models", "Accuracy against the count"),
        ("pmi", "Accuracy against PMI"),
        ("unseen", "Sets never seen together"),
        ("predictions", "Predictions"),
    ],
)
def test_each_part_has_its_section_alone(part, title):
    report = Report(title="t", lead="l", **{part: getattr(whole_report(), part)})
    assert titles(page_of(report)) == ["Before you read the numbers", title]


def test_warnings_come_first_and_many_of_a_kind_are_folded():
    many = tuple(Caution(title="Simpson", text=f"number {number}", about="m") for number in range(9))
    page = page_of(replace(whole_report(), cautions=many))
    assert page.index("number 8") < page.index("<h2>What is held out and predicted")
    assert "5 more of this kind" in page


def test_each_of_eighteen_models_has_a_panel_and_a_row():
    names = [f"model {number}" for number in range(18)]
    rows = predictions(names, per_model=20)
    report = Report(
        title="t",
        lead="l",
        models=tuple(model_report(name, rows) for name in names),
        held_out=(HeldOut(what="concepts", scores=tuple(scores(name) for name in names), predictions=rows),),
    )
    page = page_of(report)
    assert all(f'aria-label="Accuracy of {name} (made-up)' in page for name in names)
    assert page.count('role="img"') >= 18 + 1 + 2
    assert "<td>model 17</td>" in page


def test_rows_of_unknown_accuracy_are_neither_checked_nor_leaders():
    unknown = predictions(known=False)
    report = Report(
        title="t", lead="l", held_out=(HeldOut(what="concepts", scores=(scores("a"),), predictions=unknown),)
    )
    assert titles(page_of(report)) == ["Before you read the numbers", "What is held out and predicted"]


def test_predictions_within_their_intervals_have_no_leaders():
    rows = predictions()
    within = Predictions(
        **{name: getattr(rows, name) for name in rows.__dataclass_fields__ if name != "observed"},
        observed=rows.predicted,
    )
    report = Report(title="t", lead="l", held_out=(HeldOut(what="concepts", scores=(), predictions=within),))
    assert "All 40 classes lie within their intervals." in page_of(report)


def test_long_predictions_are_cut_and_those_extrapolated_are_counted():
    page = page_of(Report(title="t", lead="l", predictions=predictions(per_model=300, known=False)))
    assert "The accuracy of 300 rows was not known" in page
    assert "60 of them lie beyond what was fitted on" in page
    assert "The first 200 are shown." in page
    assert page.count("<tr>") == 1 + 200


def test_a_plan_is_shown_beside_plain_ways_of_spending_as_much():
    targets = Targets(
        concept=np.array([NASTY, "cat"]),
        dataset=np.array(["pets", "pets"]),
        count=np.array([9.0, 999.0]),
        weight=np.ones(2),
    )
    plan = plan_additions(targets, lambda x, dataset: 0.1 + 0.2 * x, 90)
    page = page_of(Report(title="t", lead="l", additions={NASTY: plan}))
    for way, gain in (("planned", "+10.00"), ("balanced", "+10.00"), ("proportional", "+0.7")):
        assert re.search(rf"<td>{way}</td>.*?{re.escape(gain)}", page)
    assert "which is no experiment" in page
    assert "<script" not in page


def test_the_best_form_stands_beside_those_it_is_not_told_from_and_models_left_out_are_named():
    def score(form, r2, gain):
        return FormScore(
            form=form,
            r2=estimate(r2),
            mae=estimate(0.1),
            log_score=estimate(-0.5),
            gain=gain,
            gain_elsewhere=None,
            standing="tie" if gain else "reference",
            standing_elsewhere="unknown",
            beyond="held",
        )

    model = ModelForms(
        model=NASTY,
        count="joint",
        scores=(score("log-linear", 0.4, None), score("floor", 0.41, estimate(0.01))),
        best="floor",
        tied=("floor", "log-linear"),
        fits={},
        n_rows=1234,
        n_concepts=1000,
        n_datasets=3,
    )
    forms = FormComparison(models=(model,), left_out=("b: 3 rows",))
    page = page_of(Report(title="t", lead="l", forms=forms))
    (row,) = re.findall(r"<tr><td>&lt;script.*?</tr>", page)
    assert re.findall(r"<td[^>]*>([^<]*)</td>", row)[1:] == [
        *("1,234", "floor", "0.410", "[0.360, 0.460]", "+0.010", "[−0.040, +0.060]", "log-linear")
    ]
    assert "b: 3 rows" in page


def test_columns_of_different_lengths_are_refused():
    rows = predictions()
    with pytest.raises(ValueError, match=r"observed has shape \(3,\), model has \(40,\)"):
        replace(rows, observed=np.zeros(3))
