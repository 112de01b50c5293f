"""A real browser without a window, for the pages that a study writes."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Sizes of pages in CSS pixels: a telephone's and a desk's.
SIZES = {"narrow": (375, 800), "wide": (1440, 900)}


def path() -> str:
    """The browser; the test is skipped where none is installed."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    return found or pytest.skip(f"no browser: one of {', '.join(NAMES)} is needed")


@contextlib.contextmanager
def browser() -> Iterator:
    """Chromium as Playwright drives it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=path(), args=["--no-sandbox"])
        yield chromium
        chromium.close()


@contextlib.contextmanager
def page(chromium, file: Path, size: str = "wide", fragment: str = "") -> Iterator:
    """A file opened from the disk; what it complained of is in `page.complaints`, what it asked the network for too."""
    width, height = SIZES[size]
    context = chromium.new_context(viewport={"width": width, "height": height}, offline=True)
    opened = context.new_page()
    opened.complaints = []
    opened.on("console", lambda said: opened.complaints.append(said.text) if said.type == "error" else None)
    opened.on("pageerror", lambda error: opened.complaints.append(str(error)))
    opened.on("dialog", lambda dialog: opened.complaints.append(dialog.message))
    opened.on(
        "request",
        lambda asked: None if asked.url.startswith(("file:", "data:")) else opened.complaints.append(asked.url),
    )
    opened.goto(file.resolve().as_uri() + fragment)
    yield opened
    context.close()


def breaches(opened) -> list[str]:
    """What axe finds against WCAG 2.1 AA and its best practices, a line a rule and element."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(opened).response["violations"]
    return [f"{rule['id']}: {node['html'][:120]}" for rule in found for node in rule["nodes"]]


def overflow(opened) -> int:
    """CSS pixels by which the page is wider than the window."""
    return opened.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
