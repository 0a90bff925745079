"""The page of an audit in a real browser: filters, keys, addresses, without a script, and with hostile words."""

from __future__ import annotations

import pytest
from tests.audit_sample import COMMANDS, HOSTILE, make_audit, make_gallery

from oddpair.commands.audit_page import render_audit


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("audit") / "page.html"
    path.write_text(render_audit(make_audit(), make_gallery(), COMMANDS), encoding="utf-8")
    return path.as_uri()


def shown(page):
    return page.locator("#cards > li:visible").count()


def test_hostile_words_are_shown_as_text_and_nothing_is_fetched(open_page, seen, address):
    page = open_page(address)
    assert page.title() == "oddpair audit"
    assert page.get_by_text("document.title='hacked'").count() > 3
    assert page.locator("#cards b").count() == 0
    page.wait_for_timeout(200)
    assert page.title() == "oddpair audit"
    assert seen.errors == []
    assert {request.partition(":")[0] for request in seen.requests} <= {"file", "data"}


def test_filters_leave_what_fits_and_count_it(open_page, address):
    page = open_page(address)
    assert page.inner_text("#count") == "24 of 24"
    page.select_option("#kind", "copy")
    assert (shown(page), page.inner_text("#count")) == (1, "1 of 24")
    page.select_option("#kind", "")
    page.fill("#concept", "CAT")
    assert shown(page) == 12
    page.fill("#from", "0.7")
    assert shown(page) == 2
    page.fill("#to", "0.6")
    assert shown(page) == 0
    assert page.locator("#empty").is_visible()
    page.click("text=Clear")
    assert (shown(page), page.inner_text("#count")) == (24, "24 of 24")
    assert page.locator("#empty").is_hidden()


def test_styles_and_orders_of_others_words_work(open_page, address):
    page = open_page(address)
    page.select_option("#style", index=1)
    assert 0 < shown(page) < 24
    page.click("text=Clear")
    page.select_option("#order", "near")
    scores = [float(line.get_attribute("data-score")) for line in page.locator("#cards > li").all()]
    assert scores == sorted(scores, reverse=True)
    page.select_option("#order", "far")
    scores = [float(line.get_attribute("data-score")) for line in page.locator("#cards > li").all()]
    assert scores == sorted(scores)


def test_an_address_holds_its_filters(open_page, address):
    page = open_page(address)
    page.select_option("#kind", "far")
    page.fill("#concept", "dog")
    left = shown(page)
    again = open_page(page.url)
    assert again.input_value("#concept") == "dog"
    assert again.input_value("#kind") == "far"
    assert shown(again) == left < 24


def test_keys_walk_through_the_pictures(open_page, address):
    page = open_page(address)
    uid = "document.activeElement.getAttribute('data-score')"
    page.keyboard.press("j")
    assert page.evaluate(uid) == "0.5000"
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.evaluate(uid) == "0.5200"
    page.keyboard.press("k")
    assert page.evaluate(uid) == "0.5100"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "concept"
    page.keyboard.type("jk")
    assert page.input_value("#concept") == "jk"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") != "concept"


def test_without_a_script_everything_is_there_but_the_filters(open_page, address):
    page = open_page(address, java_script_enabled=False)
    assert page.locator("#cards > li").count() == 24
    assert page.locator(".filters").is_hidden()
    assert page.get_by_role("heading", name="Similarity").is_visible()
    assert page.get_by_text("oddpair split recipes/gap-pruned.yaml").is_visible()


@pytest.mark.parametrize("width", [360, 800, 1280])
def test_no_width_needs_scrolling_sideways(open_page, address, width):
    page = open_page(address, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_in_the_way_of_who_sees_or_hears_it_otherwise(open_page, address, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe: run make browser")
    page = open_page(address, color_scheme=scheme)
    found = axe.Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"][:200]) for each in found] == []


def test_a_long_word_stays_in_its_box(open_page, address):
    page = open_page(address)
    card = page.locator("#cards > li").nth(HOSTILE.index("x" * 10_000))
    assert card.bounding_box()["width"] < 700
    assert card.bounding_box()["height"] < 900
