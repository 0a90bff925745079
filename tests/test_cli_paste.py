"""``oddpair paste`` by its command line."""

import pytest
from tests.command import files_in, run
from tests.splits.paste_data import write_accessories, write_bands, write_bases

pytestmark = pytest.mark.usefixtures("no_network")


@pytest.fixture
def place(tmp_path):
    write_bases(tmp_path / "base")
    write_accessories(tmp_path / "accessories")
    write_bands(tmp_path / "bands.parquet")
    return tmp_path


def paste(place, *options, out="out"):
    return run(
        *(
            "paste",
            place / "base",
            "--accessories",
            place / "accessories",
            "--bands",
            place / "bands.parquet",
        ),
        *("--out", place / out, "--workers", 1, *options),
        stream="stdout",
    )


def test_a_run_says_how_many_pictures_each_band_has(place):
    status, said = paste(place)
    assert status == 0
    assert said.splitlines()[:4] == [
        f"24 pictures of 12 of 12 rows in {place / 'out' / 'pictures'}, 0 quarantined",
        "    band-1-of-2: 6",
        "    band-2-of-2: 12",
        "    unseen: 6",
    ]
    assert "12 accessories, 0 of the other part" in said


def test_too_many_damaged_pictures_are_exit_3(place):
    (place / "base" / "cat" / "0.png").write_bytes(b"<html>")
    assert paste(place)[0] == 3
    assert paste(place, "--max-bad", 0.5)[0] == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--area", 2), "--area is 2.0: it must be above 0 and at most 1"),
        (("--bands", "none.parquet"), "none.parquet does not exist"),
        (("--column", "colour"), "has no column 'colour'"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line_and_leaves_nothing(place, options, said):
    status, line = paste(place, *options)
    assert status == 2
    assert said in line
    assert not (place / "out").exists() or not files_in(place / "out")


def test_an_output_inside_an_input_is_refused(place):
    status, line = paste(place, out="base/out")
    assert status == 2
    assert "lie one in the other: choose another --out" in line
