"""The documentation as a reader meets it: in a browser, wide and narrow, light and dark."""

from __future__ import annotations

import functools
import http.server
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
WIDE, NARROW = 1280, 390
LOOKS = [(width, mode) for width in (WIDE, NARROW) for mode in ("light", "dark")]
LAUNCH = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
]
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site, from a copy of docs/ so that two builds never meet."""
    folder = tmp_path_factory.mktemp("site")
    ignored = shutil.ignore_patterns("_build", "jupyter_execute")
    for name in ("docs", "results", "notebooks"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-n", "docs", "html"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def address(html: Path) -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(html))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=list(LAUNCH))
        yield browser
        browser.close()


def _pages(html: Path) -> list[str]:
    pages = (path.relative_to(html).as_posix() for path in html.rglob("*.html"))
    return sorted(page for page in pages if not page.startswith("_static/"))


@pytest.mark.parametrize(("width", "mode"), LOOKS, ids=[f"{m}-{w}" for w, m in LOOKS])
def test_every_page_is_sound(browser: Any, address: str, html: Path, width: int, mode: str) -> None:
    """No console error, no sideways scrolling of the page, no serious accessibility fault."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=mode)
    page = context.new_page()
    faults: list[str] = []
    where = ""
    page.on("console", lambda m: faults.append(f"{where}: {m.text}") if m.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(f"{where}: {error}"))
    for where in _pages(html):
        response = page.goto(f"{address}/{where}")
        assert response.ok
        content, window = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        if content > window:
            faults.append(f"{where}: {content} pixels wide in a window of {window}")
        faults += [f"{where}: {fault}" for fault in _serious(page)]
    context.close()
    assert not faults, "\n".join(faults)


def _serious(page: Any) -> list[str]:
    # Without preloading: axe would look for imported style sheets at wrong addresses.
    found = axe.Axe().run(page, options={"preload": False}).response["violations"]
    return [
        f"{fault['id']}: {fault['help']}, at {fault['nodes'][0]['target']}"
        for fault in found
        if fault["impact"] in {"serious", "critical"}
    ]


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_results_pages_show_tables_and_figures(
    browser: Any, address: str, html: Path, mode: str
) -> None:
    """Every figure of the chosen palette has loaded and is seen; tables have rows."""
    pages = [page for page in _pages(html) if page.startswith("results/") and "index" not in page]
    if not pages:
        pytest.skip("no study has committed results")
    context = browser.new_context(viewport={"width": WIDE, "height": 900}, color_scheme=mode)
    page = context.new_page()
    for name in pages:
        page.goto(f"{address}/{name}")
        page.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true })")
        shown = page.locator(f"article img.only-{mode}")
        assert shown.count() > 0
        for i in range(shown.count()):
            assert shown.nth(i).is_visible()
            assert shown.nth(i).evaluate("image => image.complete && image.naturalWidth > 0")
        assert page.locator("article table tbody tr").count() > 4
        other = "dark" if mode == "light" else "light"
        assert not page.locator(f"article img.only-{other}").first.is_visible()
    context.close()


def test_search_finds_a_word_of_the_guide(browser: Any, address: str) -> None:
    page = browser.new_page()
    page.goto(f"{address}/search.html?q=equivalence")
    page.wait_for_selector("ul.search li a[href*='guide/reading-results']")  # they come one by one
    page.close()
