import numpy as np
import pytest
from tests.eval.prediction.accuracy_tables import make_table

from oddpair.eval.prediction.features import find_features
from oddpair.eval.prediction.names import find_rivals, weigh_words

COUNTS = ("count_text", "count_image", "count_joint")


def row(concept, text, image, joint, dataset="d", **more):
    made = dict(zip(COUNTS, (text, image, joint), strict=True))
    told = {name: count for name, count in made.items() if count is not None}
    return {"concept": concept, "dataset": dataset, **told, **more}


def draw_table(*, gaps):
    rng = np.random.default_rng(3)
    rows = []
    for number in range(40):
        text, image = 10 ** rng.uniform(0, 5, 2)
        joint = None if number in gaps else np.floor(np.sqrt(text * image))
        rows.append(row(f"thing {number}", np.floor(text), np.floor(image), joint, dataset="ab"[number % 2]))
    return make_table(rows)


def test_counts_are_decades_and_a_count_of_nothing_is_zero():
    found = find_features(make_table([row("fox", 9, 99, 0), row("owl", 0, 999, 0)]))
    np.testing.assert_allclose(found.counts, [[1, 2, 0], [0, 3, 0]], atol=1e-12)
    assert not found.missing.any()


def test_a_missing_count_is_borrowed_from_the_same_name_in_another_dataset():
    table = make_table(
        [
            row("Red_Fox", 9, 99, None, dataset="a"),
            row("red fox", 9, 99, 999, dataset="b"),
            row("owl", 9, 99, 9, dataset="b"),
        ]
    )
    found = find_features(table)
    assert found.counts[0, 2] == pytest.approx(3)
    assert found.missing.tolist() == [[False, False, True], [False] * 3, [False] * 3]


def test_of_several_counts_of_one_name_the_largest_is_borrowed_and_a_made_count_is_kept():
    table = make_table(
        [
            row("fox", 9, 9, None, dataset="a"),
            row("fox", 9, 9, 9, dataset="b"),
            row("fox", 9, 9, 99, dataset="c"),
        ]
    )
    np.testing.assert_allclose(find_features(table).counts[:, 2], [2, 1, 2])


def test_with_few_rows_a_missing_count_is_the_mean_and_with_none_it_is_zero():
    found = find_features(make_table([row("fox", 9, None, None), row("owl", 999, 99, None)]))
    np.testing.assert_allclose(found.counts, [[1, 2, 0], [3, 2, 0]])


def test_with_enough_rows_a_missing_count_is_foretold_by_the_others():
    gaps = {3, 17}
    found = find_features(draw_table(gaps=gaps))
    whole = [number for number in range(40) if number not in gaps]
    slope_text, slope_image, level = np.linalg.lstsq(
        np.column_stack([found.counts[whole, :2], np.ones(38)]), found.counts[whole, 2], rcond=None
    )[0]
    for gap in gaps:
        expected = level + slope_text * found.counts[gap, 0] + slope_image * found.counts[gap, 1]
        assert found.counts[gap, 2] == pytest.approx(max(expected, 0))
        assert found.counts[gap, 2] == pytest.approx(found.counts[gap, :2].mean(), abs=0.2)


def test_rivals_and_words_are_those_of_the_filled_counts_and_the_names():
    table = draw_table(gaps={3})
    found = find_features(table)
    assert np.array_equal(found.standing, find_rivals(found.dataset, table.concept, found.counts))
    assert np.array_equal(found.words.toarray(), weigh_words(table.concept).toarray())


def test_no_accuracy_and_no_name_of_a_dataset_is_a_feature():
    table = draw_table(gaps={3})
    one = find_features(table)
    tested = {
        **table.columns(),
        "accuracy": np.linspace(0, 1, 40),
        "dataset": np.char.add("z", table.dataset),
    }
    other = find_features(type(table)(**tested))
    for name in ("dataset", "counts", "missing", "standing"):
        assert np.array_equal(getattr(one, name), getattr(other, name))
    assert np.array_equal(one.words.toarray(), other.words.toarray())


def test_rows_in_another_order_have_the_same_features():
    table = draw_table(gaps={3, 17})
    order = np.random.default_rng(0).permutation(40)
    one, other = find_features(table), find_features(table.take(order))
    np.testing.assert_allclose(other.counts, one.counts[order], atol=1e-12)
    np.testing.assert_allclose(other.standing, one.standing[order], atol=1e-12)
    assert np.array_equal(other.missing, one.missing[order])
    assert np.array_equal(other.dataset, one.dataset[order])


def test_rows_of_two_models_are_no_features():
    with pytest.raises(ValueError, match="rows are of 2 models"):
        find_features(make_table([row("fox", 1, 1, 1), row("fox", 1, 1, 1, model="other")]))
