"""The web page in headless Chromium: what a person sees, on which screen. Run with -m browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from confcleanup.items import Outcome
from confcleanup.records.ledger import Ledger
from confcleanup.reports import html as page
from confcleanup.reports.html.history import Past
from confcleanup.reports.html.tally import Tally
from tests.fake import NOW, thing
from tests.reports.test_data import ended, run_of
from tests.reports.test_html import UTC, entry, page_of, remember

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.enable_socket]
QUIET = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
SCREENS = [(1280, 900), (390, 844), (360, 640)]
LONG = "Sehr/lange_Besprechung-ohne-Leerzeichen" * 200


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    assert program, "no Chromium: install one, or name it in CHROMIUM"
    with sync_playwright() as play:
        found = play.chromium.launch(executable_path=program, args=QUIET)
        yield found
        found.close()


@pytest.fixture(params=["plan", "run", "report"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A page of each kind, with errors, long titles and hostile ones in it."""
    hard = [thing("x", title="<script>alert(1)</script><img src=//example.org/x>"), thing("y" * 300, title=LONG)]
    hard.append(thing("z", title="اجتماع الأسبوع", size_bytes=4_000_000))
    with Ledger(tmp_path / "state") as ledger:
        remember(ledger, "earlier", *((item, Outcome.DELETED) for item in hard), (thing("f"), Outcome.FAILED))
        past = Past(ledger)
    outcomes = [None, None, None] if request.param == "plan" else [Outcome.DELETED, Outcome.FAILED, Outcome.GONE]
    plan, kept = ended(*outcomes[:1], kept=30)
    for item, outcome in zip(hard, outcomes, strict=True):
        plan.selected.extend([entry(item, outcome)])
    plan.warnings += ["the vendor says " + LONG]
    counted = Tally()
    for one in kept:
        counted.kept("hq", one)
    text = page.of_ledger(past, NOW, UTC) if request.param == "report" else ""
    made = tmp_path / f"{request.param}.html"
    made.write_text(text or page_of(run_of(plan, mode=request.param), counted, past=past), "utf-8")
    return made


class Screen:
    """A page on a screen, and everything it asked for or complained about."""

    def __init__(
        self, browser: Browser, file: Path, size: tuple[int, int] = (1280, 900), scheme: Any = "light"
    ) -> None:
        self.context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
        self.page: Page = self.context.new_page()
        self.asked: list[str] = []
        self.said: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(dialog.message))
        self.page.goto(file.as_uri())

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def colours(self) -> tuple[str, str]:
        found = self.page.evaluate(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        )
        return tuple(found)


def test_the_page_asks_for_nothing_and_complains_about_nothing(browser: Browser, file: Path) -> None:
    with Screen(browser, file) as screen:
        screen.page.wait_for_load_state("networkidle")
        assert screen.asked == [file.as_uri()]
        assert screen.said == []


def test_its_style_is_the_one_thing_that_its_policy_allows(browser: Browser, file: Path) -> None:
    foreign = (
        '<style>body{margin:99px}</style><script>document.title="owned"</script><img src="//example.org/x"></body>'
    )
    changed = file.with_name("changed.html")
    changed.write_text(file.read_text("utf-8").replace("</body>", foreign), "utf-8")
    with Screen(browser, changed) as screen:
        assert screen.page.title() != "owned"
        assert screen.page.evaluate("getComputedStyle(document.body).marginTop") == "0px"
        assert len(screen.said) == 3


def test_light_and_dark_differ_and_both_can_be_read(browser: Browser, file: Path) -> None:
    with Screen(browser, file) as light, Screen(browser, file, scheme="dark") as dark:
        assert light.colours() == ("rgb(255, 255, 255)", "rgb(27, 31, 36)")
        assert dark.colours()[0] == "rgb(20, 23, 26)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SCREENS)
def test_axe_finds_no_fault(browser: Browser, file: Path, size: tuple[int, int], scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    file.write_text(file.read_text("utf-8").replace("<details>", "<details open>"), "utf-8")
    with Screen(browser, file, size, scheme) as screen:
        screen.page.context.set_offline(True)
        found = Axe().run(screen.page).response
        assert [(fault["id"], fault["nodes"][0]["html"]) for fault in found["violations"]] == []
        assert len(found["passes"]) > 15


@pytest.mark.parametrize("size", SCREENS)
def test_nothing_is_wider_than_the_screen(browser: Browser, file: Path, size: tuple[int, int]) -> None:
    file.write_text(file.read_text("utf-8").replace("<details>", "<details open>"), "utf-8")
    with Screen(browser, file, size) as screen:
        wide = screen.page.evaluate(
            "[...document.querySelectorAll('body, body *')]"
            ".filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"
        )
        assert wide == []
        assert screen.page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_the_first_screen_of_a_phone_says_what_happened_and_how_much(browser: Browser, file: Path) -> None:
    with Screen(browser, file, (390, 844)) as screen:
        for part in (".mode", "h1", ".totals"):
            assert screen.page.locator(part).first.bounding_box()["y"] < 500  # type: ignore[index]  # None, if it is not shown, fails too


def test_on_paper_it_is_light_and_the_folded_lists_are_unfolded(browser: Browser, file: Path) -> None:
    file.write_text(file.read_text("utf-8").replace("<details open>", "<details>"), "utf-8")
    with Screen(browser, file, scheme="dark") as screen:
        folded = screen.page.evaluate("document.documentElement.scrollHeight")
        screen.page.emulate_media(media="print", color_scheme="light")
        assert screen.colours() == ("rgb(255, 255, 255)", "rgb(0, 0, 0)")
        lists = screen.page.locator("details table")
        assert all(lists.nth(number).is_visible() for number in range(lists.count()))
        assert lists.count() == 0 or screen.page.evaluate("document.documentElement.scrollHeight") > folded
        assert screen.page.pdf()[:5] == b"%PDF-"
