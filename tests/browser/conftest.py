"""A page of Debian's chromium that reports every error and every request that it makes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

# Where Debian, Ubuntu and others put the browser.
_NAMES = ("chromium", "chromium-browser", "google-chrome")


@dataclass
class Seen:
    """What a page did beside being looked at."""

    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The browser, or the reason why there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: run make browser")
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        pytest.skip("no chromium: install it, on Debian with apt install chromium")
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def seen() -> Seen:
    """What the pages of a test did."""
    return Seen()


@pytest.fixture
def open_page(browser: Any, seen: Seen) -> Iterator[Callable[..., Any]]:
    """Open an address in a window of some size; options are those of a browser's context."""
    contexts = []

    def start(address: str, width: int = 1280, height: int = 800, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: seen.errors.append(str(error)))
        page.on("console", lambda line: seen.errors.append(line.text) if line.type == "error" else None)
        page.on("request", lambda request: seen.requests.append(request.url))
        page.goto(address)
        return page

    yield start
    for context in contexts:
        context.close()
