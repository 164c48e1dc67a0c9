"""The site: Sphinx reads the Markdown that also reads well on its own, and adds navigation and the reference."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from sphinx.application import Sphinx

from confcleanup import __version__

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
reference = importlib.import_module("reference")  # it lies beside this file, which Sphinx does not import from

project = "confcleanup"
release = version = __version__
copyright = "the contributors of confcleanup"  # noqa: A001  # Sphinx reads the line under every page from this very name
html_show_copyright = False
html_show_sphinx = False
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"confcleanup {__version__}"
html_copy_source = False
html_theme_options: dict[str, object] = {"footer_icons": []}
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]
nitpicky = True

CHAPTERS = {
    "Begin": [
        "start",
        "providers/trueconf",
        "providers/vobiz",
        "providers/huawei",
        "providers/vonage",
        "cookbook",
        "notice",
    ],
    "Run": ["scheduling", "operations", "report", "performance"],
    "Trust": ["safety", "how-it-works", "compare"],
    "Look up": ["_generated/config", "_generated/cli", "output"],
    "Take part": ["adding-a-provider", "design"],
}
"""The pages by chapter. A page that is not there is left out, one that is not named comes at the end."""


def _pages() -> set[str]:
    found = (path.relative_to(HERE).with_suffix("").as_posix() for path in HERE.rglob("*.md"))
    return {page for page in found if not page.startswith("_build")} - {"index"}


def _navigation(app: Sphinx, page: str, source: list[str]) -> None:
    """Adds the tables of contents to the first page, which shows none of it on a code host."""
    if page != "index":
        return
    known = _pages()
    named = {name for names in CHAPTERS.values() for name in names}
    chapters = CHAPTERS | {"More": sorted(known - named)}
    for caption, names in chapters.items():
        if entries := [name for name in names if name in known]:
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n" + "\n".join(entries) + "\n```\n"


def setup(app: Sphinx) -> None:
    """Writes the reference before the pages are read."""
    reference.write(HERE / "_generated")
    app.connect("source-read", _navigation)
