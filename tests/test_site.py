"""The site builds without a warning, and asks nobody else for anything."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytestmark = pytest.mark.site
DOCS = Path(__file__).parents[1] / "docs"
RESOURCES = {"script", "img", "link", "iframe", "source", "video", "audio", "embed", "object", "use", "image", "form"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. Every warning of the build is an error, a dead link between pages among them."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-nWEq", "--keep-going", "-d", str(out / "trees"), str(DOCS), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=55, check=False)
    assert done.returncode == 0, done.stderr
    return out


class Resources(HTMLParser):
    """The addresses that a browser fetches by itself when it shows a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        wanted = ("src", "href", "srcset", "data", "action", "poster")
        if tag in RESOURCES:
            self.found += [value for name, value in attrs if name in wanted and value]


def pages(site: Path) -> dict[str, str]:
    return {page.relative_to(site).as_posix(): page.read_text(encoding="utf-8") for page in site.rglob("*.html")}


def test_every_page_of_the_documentation_is_in_the_site_and_in_its_navigation(site: Path) -> None:
    sources = {path.relative_to(DOCS).with_suffix(".html").as_posix() for path in DOCS.rglob("*.md")}
    built = pages(site)
    assert sources <= built.keys()
    assert len(sources) >= 14
    assert {page for page in sources - {"index.html"} if f'href="{page}"' not in built["index.html"]} == set()


def test_the_built_site_asks_nobody_else_for_anything(site: Path) -> None:
    foreign = re.compile(r"^(?:https?:)?//")
    for name, text in pages(site).items():
        parser = Resources()
        parser.feed(text)
        assert parser.found, name
        assert [address for address in parser.found if foreign.match(address)] == [], name


def test_its_styles_load_nothing_from_elsewhere(site: Path) -> None:
    styles = "".join(style.read_text(encoding="utf-8") for style in site.rglob("*.css"))
    assert len(styles) > 1000
    assert re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//[^)]*", styles) == []


def test_the_schema_can_be_downloaded(site: Path) -> None:
    (schema,) = site.glob("_downloads/*/config.schema.json")
    assert '"confcleanup configuration"' in schema.read_text(encoding="utf-8")
