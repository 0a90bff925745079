"""A person labels with the keyboard alone, stops, goes on, settles disputes, and does it on a telephone."""

import json
import re

import pytest
from tests.label_client import labelling

from oddpair.splits.labelling.labels import read_labels, read_looks

SIDE = 25


@pytest.fixture
def out(tmp_path):
    return tmp_path / "labels"


@pytest.fixture
def quiet(seen):
    """After the test: no error in the console, and no request to anybody but the server."""
    yield
    assert seen.errors == []
    assert seen.requests
    assert all(re.match(r"http://127\.0\.0\.1:\d+/[\w-]+/|data:,", url) for url in seen.requests)


def address(client):
    return f"http://127.0.0.1:{client.port}/{client.token}/"


def wait_for(page, script, wanted):
    """Ask until the answer is the one wanted: the policy of the page lets nothing be compiled in it to wait for."""
    for _ in range(400):
        found = page.evaluate(script)
        if found == wanted:
            return
        page.wait_for_timeout(25)
    assert found == wanted


def begin(page):
    """Close the rules, which a person who has labelled nothing is shown first."""
    page.locator("#rules").wait_for(state="visible")
    page.keyboard.press("Escape")
    return page


def wait_saved(page, number):
    wait_for(page, "document.getElementById('count').textContent.split(' ')[0]", str(number))


NAMES = "[...document.querySelectorAll('#grid .name')].map((name) => name.textContent)"
MARKED = (
    "[...document.querySelectorAll('#grid button')].findIndex((tile) => tile.classList.contains('marked'))"
)
SHOWN = "[...document.querySelectorAll('#grid img')].filter((image) => image.naturalWidth > 0).length"


def test_the_keyboard_labels_a_page_and_the_next_run_goes_on(drawn, out, open_page, quiet):
    with labelling(drawn, out, sample=40, recheck=0) as client:
        page = open_page(address(client))
        # Who has labelled nothing yet is shown the rules first.
        page.locator("#rules").wait_for(state="visible")
        assert "The fine texture of the real thing" in page.locator("#rules").inner_text()
        page.keyboard.press("1")
        page.keyboard.press("Escape")
        assert not page.locator("#rules").is_visible()
        wait_for(page, SHOWN, SIDE)
        assert page.locator("#grid .caption").first.inner_text() == ""
        for key in "123":
            page.keyboard.press(key)
        wait_saved(page, 3)
        assert page.evaluate(NAMES)[:4] == ["natural", "rendition", "ambiguous", ""]
        assert page.evaluate(MARKED) == 3
        moves = {
            "ArrowRight": 4,
            "ArrowDown": 9,
            "h": 8,
            "k": 3,
            "l": 4,
            "j": 9,
            "ArrowUp": 4,
            "ArrowLeft": 3,
        }
        for key, place in moves.items():
            page.keyboard.press(key)
            assert page.evaluate(MARKED) == place
        page.keyboard.press("a")
        assert "All the rest of the page is: 1 natural" in page.locator("#hint").inner_text()
        page.keyboard.press("2")
        wait_saved(page, SIDE)
        page.keyboard.press("u")
        wait_saved(page, 3)
        assert page.evaluate(NAMES)[2:5] == ["ambiguous", "", ""]
        page.keyboard.press("a")
        page.keyboard.press("1")
        wait_saved(page, SIDE)
        page.keyboard.press("Space")
        wait_for(page, SHOWN, 15)
    assert len(read_labels(out)) == SIDE
    with labelling(drawn, out) as client:
        page = open_page(address(client))
        assert not page.locator("#rules").is_visible()
        wait_for(page, SHOWN, 15)
        assert "25 saved, 15 left" in page.locator("#count").inner_text()
        # A step of an earlier run can be taken back too.
        page.keyboard.press("u")
        wait_saved(page, 3)
        wait_for(page, SHOWN, SIDE)


def test_what_is_left_out_is_asked_about_and_comes_back(drawn, out, open_page, quiet):
    with labelling(drawn, out, sample=30, recheck=0) as client:
        page = begin(open_page(address(client)))
        wait_for(page, SHOWN, SIDE)
        page.keyboard.press("ArrowRight")
        page.keyboard.press("1")
        wait_saved(page, 1)
        page.keyboard.press("Space")
        assert "24 pictures have no label. Space again" in page.locator("#hint").inner_text()
        page.keyboard.press("Space")
        wait_for(page, f"{NAMES}.join('')", "")
        wait_for(page, SHOWN, SIDE)
        for number in (26, 30):
            page.keyboard.press("a")
            page.keyboard.press("1")
            wait_saved(page, number)
            page.keyboard.press("Space")
            if number == 26:
                wait_for(page, SHOWN, 4)
        page.locator("#end").wait_for(state="visible")
        assert "Nothing is left to label" in page.locator("#end").inner_text()
        page.locator("#end a").click()
        assert "ann" in page.locator("table").first.inner_text()
    assert len(read_labels(out)) == 30


def test_zoom_captions_and_the_size_of_the_page(drawn, out, open_page, quiet):
    with labelling(drawn, out, sample=80, recheck=0) as client:
        page = begin(open_page(address(client)))
        wait_for(page, SHOWN, SIDE)
        page.keyboard.press("c")
        caption = client.session.captions[client.session.next_page(1)[0][0].row]
        assert caption in page.locator("#grid .caption").first.inner_text()
        page.keyboard.press("z")
        wait_for(page, "document.querySelector('#large img').naturalWidth > 0", True)
        first = page.locator("#large img").get_attribute("src")
        page.keyboard.press("2")
        wait_saved(page, 1)
        assert page.locator("#large img").get_attribute("src") != first
        page.keyboard.press("Escape")
        assert not page.locator("#large").is_visible()
        page.keyboard.press("+")
        wait_for(page, SHOWN, 36)
        page.keyboard.press("-")
        page.keyboard.press("-")
        wait_for(page, SHOWN, 16)


def test_a_review_is_settled_by_the_keyboard(drawn, out, open_page, quiet):
    for who, label in (("ann", "natural"), ("bob", "rendition")):
        with labelling(drawn, out, who, **({"sample": 4, "recheck": 0} if who == "ann" else {})) as client:
            client.label(client.page(4)["items"], label)
    with labelling(drawn, out, "cy", review=True) as client:
        page = open_page(address(client))
        page = begin(page)
        assert page.locator("#who").inner_text() == "Review by cy"
        wait_for(page, SHOWN, 4)
        page.keyboard.press("c")
        assert "ann: natural, bob: rendition" in page.locator("#grid").inner_text()
        page.keyboard.press("a")
        page.keyboard.press("3")
        wait_saved(page, 4)
    assert set(read_labels(out).values()) == {"ambiguous"}


def test_a_narrow_screen_labels_by_touch_and_nothing_is_wider_than_it(drawn, out, open_page, quiet):
    with labelling(drawn, out, sample=30, recheck=0) as client:
        page = open_page(address(client), width=375, height=700)
        page.locator("#close").click()
        wait_for(page, SHOWN, SIDE)
        assert page.evaluate("document.documentElement.scrollWidth") == 375
        page.locator("#grid button").nth(1).click()
        page.locator("#labels button").nth(1).click()
        wait_saved(page, 1)
        assert page.evaluate(NAMES)[:2] == ["", "rendition"]
        page.locator("#help").click()
        assert page.evaluate("document.documentElement.scrollWidth") == 375
        page.locator("#close").click()
        page.goto(f"{address(client)}report")
        assert page.evaluate("document.documentElement.scrollWidth") == 375


def test_what_cannot_be_saved_is_said_and_not_shown_as_saved(drawn, out, open_page, seen):
    with labelling(drawn, out, sample=30, recheck=0) as client:
        page = begin(open_page(address(client)))
        wait_for(page, SHOWN, SIDE)
        page.keyboard.press("1")
        wait_saved(page, 1)
    # The server is gone.
    page.keyboard.press("2")
    page.locator("#error").wait_for(state="visible")
    assert "Not saved: the server does not answer" in page.locator("#error").inner_text()
    assert page.evaluate(NAMES)[:2] == ["natural", ""]
    assert [look.label for look in read_looks(out / "annotators" / "ann" / "labels.jsonl")] == ["natural"]


def test_hostile_captions_are_shown_as_text_34(
    write_folder, as_bytes, noise, tmp_path, out, open_page, quiet
):
    hostile = "<img src=x onerror=alert(1)><script>alert(2)</script> \u202etxet"
    pictures = {f"{row}.png": as_bytes(noise(row)) for row in range(3)}
    corpus = write_folder(tmp_path / "corpus", pictures, [hostile] * 3, uid=[f"<b>{row}" for row in range(3)])
    with labelling(corpus, out, sample=3, recheck=0) as client:
        page = begin(open_page(address(client)))
        page.on("dialog", lambda dialog: pytest.fail(f"a caption ran: {dialog.message}"))
        wait_for(page, SHOWN, 3)
        page.keyboard.press("c")
        shown = page.locator("#grid .caption").first
        assert json.loads(json.dumps(shown.inner_text())) == hostile.replace("\u202e", "\\u202e")
        assert page.locator("#grid script").count() == 0
        assert page.locator("#grid img").count() == 3
