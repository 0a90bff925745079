import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from tests.splits.paste_data import accessory, save, write_bands

from oddpair.errors import Refusal
from oddpair.retrieval.pictures import BadPicture
from oddpair.splits.pasting.accessories import Accessory, part_of
from oddpair.splits.pasting.choice import NO_PAIR, NOT_ONE, limit_bands, read_menu
from oddpair.splits.pasting.masks import NoObjectError, cut_out, find_object
from oddpair.splits.pasting.paste import Box, DoesNotFitError, fit_box, paste_object, place_box

sides = st.integers(32, 700)


@pytest.mark.parametrize("clear", [True, False], ids=["transparent", "on white"])
def test_an_object_is_cut_out_to_its_box(clear):
    cut = cut_out(accessory(1, clear=clear, box=(8, 6, 30, 28)))
    assert cut.shape == (23, 23, 4)
    assert cut[11, 11].tolist() == [200, 11, 30, 255]
    assert cut[0, 0, 3] == 0


def test_a_background_that_is_not_white_and_noisy_is_taken_out_too():
    rng = np.random.default_rng(0)
    pixels = np.clip(np.array([60, 120, 200]) + rng.integers(-9, 10, (50, 60, 3)), 0, 255).astype(np.uint8)
    pixels[10:30, 20:45] = (250, 240, 20)
    shown = find_object(pixels)
    assert shown.sum() == 20 * 25
    assert shown[10:30, 20:45].all()


def test_white_inside_an_object_is_part_of_it_and_specks_are_not():
    picture = Image.new("RGB", (60, 60), "white")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((10, 10, 40, 40), fill="black")
    draw.rectangle((20, 20, 30, 30), fill="white")
    draw.point([(55, 55)], fill="black")
    shown = find_object(np.asarray(picture))
    assert shown.sum() == 31 * 31
    assert shown[25, 25]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (accessory(0, box=(5, 5, 14, 14)), r"object of \d+ pixels, needed more than 100"),
        (accessory(0, box=(2, 5, 38, 14)), "object in a box of 37 x 10, needed more than 10 each way"),
        (save(Image.new("RGB", (50, 50), "white")), "object of 0 pixels"),
        (save(Image.new("RGBA", (50, 50))), "object of 0 pixels"),
        (
            save(Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 50, 3), dtype=np.uint8))),
            "no plain background",
        ),
    ],
    ids=["small", "flat", "white", "clear", "noise"],
)
def test_what_the_paper_would_not_keep_is_not_kept(data, reason):
    with pytest.raises(NoObjectError, match=reason):
        cut_out(data)


def test_rotation_is_applied_before_the_cut():
    picture = Image.open(io.BytesIO(accessory(0, clear=False, size=(60, 30), box=(5, 5, 45, 20))))
    exif = Image.Exif()
    exif[0x0112] = 6
    cut = cut_out(save(picture, exif=exif))
    assert cut.shape[:2] == (41, 16)


@pytest.mark.parametrize(
    "data", [b"<html>", b"", accessory(0)[:200]], ids=["21-html", "21-empty", "19-truncated"]
)
def test_what_is_no_picture_is_set_aside(data):
    with pytest.raises(BadPicture):
        cut_out(data)


@given(st.tuples(sides, sides), st.tuples(st.integers(11, 300), st.integers(11, 300)))
@settings(max_examples=200, deadline=None)
def test_a_box_has_a_tenth_of_the_area_within_a_tenth_of_that_and_lies_inside(picture, cut):
    exact = (0.1 * picture[0] * picture[1] * cut[0] / cut[1]) ** 0.5
    fits = exact <= picture[0] - 1 and exact * cut[1] / cut[0] <= picture[1] - 1
    if not fits or min(exact, exact * cut[1] / cut[0]) < 5:
        return
    size = fit_box(picture, cut, 0.1)
    assert 0.09 <= size[0] * size[1] / (picture[0] * picture[1]) <= 0.11
    box = place_box(picture, size, None, np.random.default_rng(0))
    assert 0 <= box.left < box.right <= picture[0]
    assert 0 <= box.top < box.bottom <= picture[1]
    assert (box.right - box.left, box.bottom - box.top) == size
    # In its own proportions, but for the last pixel.
    assert min(abs(size[0] - exact), abs(size[1] - exact * cut[1] / cut[0])) <= 1


def test_an_object_that_is_longer_than_the_picture_does_not_fit():
    with pytest.raises(DoesNotFitError, match="the object would be larger than the picture"):
        fit_box((100, 100), (1000, 20), 0.1)
    with pytest.raises(DoesNotFitError, match="too few pixels for a box of that area"):
        fit_box((2, 2), (20, 20), 0.1)


@pytest.mark.parametrize(
    ("picture", "step"), [((500, 375), 100), ((1000, 800), 100), ((64, 64), 12), ((3, 4), 1)]
)
def test_the_grid_is_that_of_the_paper_and_finer_in_small_pictures(picture, step):
    places = [place_box(picture, (1, 1), None, np.random.default_rng(seed)) for seed in range(300)]
    assert {box.left for box in places} == set(range(0, picture[0], step))
    assert {box.top for box in places} == set(range(0, picture[1], step))


def test_the_grid_is_as_asked_and_never_leads_outside():
    places = [place_box((100, 50), (30, 45), 7, np.random.default_rng(seed)) for seed in range(300)]
    assert {box.left for box in places} == set(range(0, 71, 7))
    assert {box.top for box in places} == {0}


@given(st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_pixels_outside_the_box_are_unchanged_and_opaque_ones_inside_are_the_objects(seed):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
    before = pixels.copy()
    cut = np.dstack([np.full((12, 20, 3), 7, np.uint8), np.full((12, 20), 255, np.uint8)])
    box = place_box((60, 40), (20, 12), None, rng)
    edited = paste_object(pixels, cut, box)
    inside = np.zeros((40, 60), np.bool_)
    inside[box.top : box.bottom, box.left : box.right] = True
    assert (edited[~inside] == before[~inside]).all()
    assert (edited[inside] == 7).all()
    assert (pixels == before).all()


def test_what_is_clear_lets_the_picture_through_and_half_mixes():
    pixels = np.full((10, 10, 3), 100, np.uint8)
    cut = np.zeros((4, 4, 4), np.uint8)
    assert (paste_object(pixels, cut, Box(0, 0, 4, 4)) == pixels).all()
    cut[:] = (200, 200, 200, 128)
    assert paste_object(pixels, cut, Box(0, 0, 4, 4))[1, 1].tolist() == [150, 150, 150]


def test_one_accessory_in_five_is_for_evaluation_and_none_is_in_both():
    parts = [part_of(f"{number * 2654435761 % 2**32:08x}" + "0" * 56) for number in range(2000)]
    assert set(parts) == {"train", "eval"}
    assert parts.count("eval") / len(parts) == pytest.approx(0.2, abs=0.03)


def menu(tmp_path, accessories):
    table = limit_bands(write_bands(tmp_path / "bands.parquet"), {one.concept for one in accessories})
    return read_menu(table, accessories, ["Cat", "dog"])


def test_each_band_with_a_partner_gets_one_and_unmatched_pairs_none(tmp_path):
    kites = [Accessory(concept="kite", sha256=letter * 64) for letter in "abc"]
    lemon = Accessory(concept="lemon", sha256="d" * 64)
    found = menu(tmp_path, [*kites, lemon])
    chosen = found.choose(["cat"], "uid", 0)
    assert [(choice.band, choice.tail, choice.accessory.concept) for choice in chosen] == [
        ("band-1-of-2", "bottom", "kite"),
        ("band-2-of-2", "", "lemon"),
    ]
    assert [choice.band for choice in found.choose(["dog"], "uid", 0)] == ["band-2-of-2"]
    drawn = {found.choose(["cat"], f"uid {number}", 0)[0].accessory for number in range(60)}
    assert drawn == set(kites)
    assert found.choose(["emu"], "uid", 0) == NO_PAIR
    assert found.choose([], "uid", 0) == found.choose(["cat", "dog"], "uid", 0) == NOT_ONE


def test_the_choice_depends_on_seed_and_uid_alone(tmp_path):
    accessories = [Accessory(concept="kite", sha256=f"{number:064x}") for number in range(9)]
    one, other = (menu(tmp_path, part) for part in (accessories, accessories[::-1]))
    chosen = [one.choose(["cat"], f"uid {number}", 3) for number in range(20)]
    assert chosen == [other.choose(["cat"], f"uid {number}", 3) for number in reversed(range(20))][::-1]
    assert chosen != [one.choose(["cat"], f"uid {number}", 4) for number in range(20)]


def test_bands_without_a_pair_of_an_accessory_and_other_tables_are_refused(tmp_path):
    path = write_bands(tmp_path / "bands.parquet")
    with pytest.raises(Refusal, match=r"has no pair in a band with one of the 1 concepts"):
        limit_bands(path, {"emu"})
    pq.write_table(pa.table({"a": ["x"], "band": ["y"]}), tmp_path / "other.parquet")
    with pytest.raises(
        Refusal, match=r"has no column 'b': give the bands\.parquet of oddpair split pmi-bands"
    ):
        limit_bands(tmp_path / "other.parquet", {"kite"})
