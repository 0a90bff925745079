"""The page of an entry in a real browser: linked to by row, attacked, by night, on a telephone, without script."""

import re
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.board.boards import make_board

from oddpair.commands.board_entry_page import render_entry
from oddpair.commands.board_page import render_index
from oddpair.eval.board.serialise import as_json, read_board


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    """Write the pages of a board once: their folder, and its ranked entries."""
    made = {}

    def make(n_entries, *, hostile=False):
        if (n_entries, hostile) not in made:
            folder = tmp_path_factory.mktemp("site")
            board = read_board(as_json(make_board(n_entries, seed=1, hostile=hostile)))
            (folder / "index.html").write_text(render_index(board), encoding="utf-8")
            (folder / "entries").mkdir()
            for entry in board.entries[:12]:
                text = render_entry(board, entry)
                (folder / "entries" / name_file(entry)).write_text(text, encoding="utf-8")
            made[n_entries, hostile] = folder, [entry for entry in board.entries if entry.rank]
        return made[n_entries, hostile]

    return make


@pytest.fixture
def quiet(seen):
    """After the test: no error in the console, and no request but for pages of the site."""
    yield
    assert seen.errors == []
    assert seen.requests
    assert all(re.match(r"file:///.*\.html(#.*)?$|data:,", url) for url in seen.requests)


def name_file(entry):
    """Name the file of an entry as the site does; of a hostile one a slash would name a folder."""
    return f"{entry.id}.html".replace("/", "_")


def address(folder, entry):
    return (folder / "entries" / name_file(entry)).as_uri()


def overflow(page):
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def colour(row):
    return row.locator("td").first.evaluate("(cell) => getComputedStyle(cell).backgroundColor")


def in_sight(page, row):
    place = row.bounding_box()
    box = page.locator(".board").bounding_box()
    return max(0, box["y"]) <= place["y"] and place["y"] + place["height"] <= min(
        page.viewport_size["height"], box["y"] + box["height"]
    )


def test_an_address_with_an_opponent_brings_its_row_into_sight_and_marks_it(sites, open_page, quiet):
    folder, ranked = sites(60)
    first, far = ranked[0], ranked[-4]
    page = open_page(f"{address(folder, first)}#vs-{quote(far.id, safe='')}")
    row, other = page.locator(f"tr[id='vs-{far.id}']"), page.locator("tbody tr[id]").first
    assert colour(row) != colour(other)
    assert in_sight(page, row)
    assert not in_sight(page, other)
    # Under the headings of its table, not behind them.
    heads = page.locator(".versus thead").bounding_box()
    assert row.bounding_box()["y"] >= heads["y"] + heads["height"] - 1


def test_a_row_leads_to_the_other_model_and_back(sites, open_page, quiet):
    folder, ranked = sites(8)
    page = open_page(address(folder, ranked[0]))
    page.locator("tbody tr[id] a").nth(1).click()
    assert page.locator("h1").inner_text() == ranked[2].model
    row = page.locator(f"tr[id='vs-{ranked[0].id}']")
    assert colour(row) != colour(page.locator(f"tr[id='vs-{ranked[1].id}']"))
    row.locator("a").click()
    assert page.locator("h1").inner_text() == ranked[0].model
    page.locator(".brand a").click()
    assert page.locator("h1").inner_text() == "Leaderboard"


def test_the_index_leads_to_the_two_that_were_chosen(sites, open_page, quiet):
    folder, ranked = sites(8)
    page = open_page((folder / "index.html").as_uri())
    page.locator("#second").select_option(ranked[4].id)
    page.locator("#versus").click()
    assert page.locator("h1").inner_text() == ranked[0].model
    assert page.evaluate("document.querySelector('tr:target').id") == f"vs-{ranked[4].id}"


def test_a_point_of_a_plot_leads_to_its_model_and_names_it(sites, open_page, quiet):
    folder, ranked = sites(8)
    page = open_page(address(folder, ranked[0]))
    point = page.locator("#robustness-1 svg a").first
    told = point.locator("title").text_content()
    point.click()
    assert told == ", ".join([page.locator("h1").inner_text(), page.locator(".lead bdi").nth(1).inner_text()])


def test_concepts_have_names_and_the_farthest_unfold(sites, open_page, quiet):
    folder, ranked = sites(8)
    entry = next(entry for entry in ranked if entry.points)
    page = open_page(address(folder, entry))
    plots = page.locator("#residuals svg.scatter")
    assert plots.count() == len({point.task for point in entry.points})
    titles = plots.first.locator("circle title").all_text_contents()
    task = entry.points[0].task
    names = {point.concept for point in entry.points if point.task == task}
    assert all(names & set(re.split(r", |:| and ", title)) for title in titles)
    table = page.locator("#residuals details table").first
    assert not table.is_visible()
    page.locator("#residuals summary").first.click()
    assert table.is_visible()
    assert table.locator("tbody tr").count() == 16


@pytest.mark.parametrize("width", [1280, 375])
def test_a_hostile_entry_makes_no_element_and_no_dialog(sites, open_page, quiet, width):
    folder, ranked = sites(12, hostile=True)
    plain_folder, plain_ranked = sites(12)
    tags = "[...new Set([...document.querySelectorAll('*')].map((one) => one.localName))].sort()"
    known = set()
    for entry in plain_ranked:
        known |= set(open_page(address(plain_folder, entry)).evaluate(tags))
    longest = max(ranked, key=lambda entry: len(entry.model))
    assert len(longest.model) > 10_000
    for entry in (longest, next(entry for entry in ranked if entry.points)):
        dialogs: list[str] = []
        page = open_page("about:blank", width=width)
        page.on("dialog", lambda dialog, told=dialogs: told.append(dialog.message) or dialog.dismiss())
        page.goto(address(folder, entry))
        for link in page.locator("a, circle").all()[:40]:
            link.dispatch_event("mouseover")
        assert set(page.evaluate(tags)) <= known
        assert page.evaluate("document.scripts.length") == 0
        assert page.locator("img, iframe, b, object, form").count() == 0
        assert set(page.evaluate("[...document.links].map((link) => link.protocol)")) == {"file:"}
        assert "\u202e" not in page.evaluate("document.body.innerText")
        assert overflow(page) == 0
        assert page.locator("h1").bounding_box()["height"] < 200
        assert dialogs == []


def test_without_a_script_the_page_is_the_same(sites, open_page, quiet):
    folder, ranked = sites(8)
    pages = [open_page(address(folder, ranked[0]), java_script_enabled=script) for script in (True, False)]
    first, second = (page.locator("body").inner_text() for page in pages)
    assert first == second
    assert pages[1].locator("#others tbody tr").count() == len(ranked) - 1
    assert pages[1].locator("main").is_visible()


@pytest.mark.parametrize("n_entries", [8, 60])
def test_on_a_telephone_only_boxes_scroll_sideways(sites, open_page, quiet, n_entries):
    folder, ranked = sites(n_entries)
    for entry in (ranked[0], next(entry for entry in ranked[:11] if entry.points)):
        page = open_page(address(folder, entry), width=375, height=700)
        assert overflow(page) == 0
        box = page.locator(".board")
        assert box.evaluate("(one) => one.scrollWidth > one.clientWidth")
        box.evaluate("(one) => { one.scrollLeft = 200; }")
        # The name of the other model stays where it can be seen.
        assert page.locator(".versus tbody th").first.bounding_box()["x"] == pytest.approx(0, abs=1)
        # Value and bar can be seen without scrolling.
        bar = page.locator(".scores svg").first.bounding_box()
        assert bar["x"] + bar["width"] <= 375
        assert bar["width"] > 80


def test_an_entry_without_a_rank_has_a_page_too(sites, open_page, quiet):
    folder, ranked = sites(8)
    named = {entry.id for entry in ranked}
    (path,) = (path for path in (folder / "entries").glob("*.html") if path.stem not in named)
    page = open_page(path.as_uri())
    assert "lacks miniature.rendition" in page.locator(".tiles").inner_text()
    assert page.locator("tr[id]").count() == 0


@pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), (1280, "dark"), (375, "light"), (375, "dark")], ids=str
)
def test_axe_finds_nothing_to_complain_about(sites, open_page, quiet, width, scheme):
    axe = pytest.importorskip("axe_playwright_python", reason="no axe: run make browser")
    folder, ranked = sites(12)
    entry = next(entry for entry in ranked if entry.points and entry.flags)
    other = next(one for one in ranked if one is not entry)
    page = open_page(f"{address(folder, entry)}#vs-{other.id}", width=width, color_scheme=scheme)
    for summary in page.locator("summary").all():
        summary.click()
    page.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    told = [
        (rule["id"], rule["help"], [node["html"][:200] for node in rule["nodes"][:3]])
        for rule in found["violations"]
    ]
    assert told == []
    assert len(found["passes"]) > 20
