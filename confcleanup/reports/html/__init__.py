"""Write a run, or the history in the ledger, as a self-contained HTML page: no script, no request, no font.

Text from outside is treated as hostile: each value that the template writes is shortened, made harmless, freed
of secrets and escaped in one place, ``_safe``.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
from datetime import UTC, datetime, tzinfo
from importlib import resources
from typing import Any

from ... import __version__
from ...errors import VERDICTS, ConfcleanupError, ExitCode
from ...items import Outcome
from ...plan import Group
from ...redact import harmless, redact
from ...run import Run
from ...system import install
from ..data import account
from .history import Past
from .tally import ROWS, Tally

LONGEST = 200
"""Characters of a value that the page shows."""
SHORT = 30
"""Lists are shown unfolded up to this many selected items."""


def require() -> None:
    """Raises ConfcleanupError if jinja2 is not installed."""
    try:
        importlib.import_module("jinja2")
    except ImportError:
        raise ConfcleanupError(f"the page needs one more package: {install('html')}") from None


def of_run(run: Run, tally: Tally, past: Past | None, zone: tzinfo, command: str) -> str:
    """The page of a plan or a run. ``command`` is the one that would carry out the plan."""
    for plan in run.plans:
        tally.take(plan, run.mode)
    dry = run.mode == "plan"
    accounts = [account(plan) for plan in run.plans]
    return _page(
        zone,
        mode="Dry run" if dry else "Run",
        headline=_planned(run) if dry else _done(run),
        rest=_missing(run),
        made=run.now,
        run=run,
        dry=dry,
        command=_whole(command) if dry and run.due else "",
        meaning=VERDICTS[run.exit_code],
        accounts=accounts,
        rows=tally.rows[Group.GOES],
        waiting=tally.rows[Group.WAITS],
        sums=tally.sums,
        short=run.selected <= SHORT,
        bad=tally.bad,
        past=past,
    )


def of_ledger(past: Past, now: datetime, zone: tzinfo) -> str:
    """The page of the history in the ledger."""
    total = past.sums.total()
    runs = f"{len(past.runs):,} run{'' if len(past.runs) == 1 else 's'}"
    undone = sum(bool(one.undone) for one in past.runs.values())
    rest = f"Not everything was done in {undone:,} run{'' if undone == 1 else 's'}." if undone else ""
    return _page(
        zone,
        mode="History",
        headline=f"Deleted {_items(total.goes.count)} in {runs}." if past.runs else "The history holds no run yet.",
        rest=rest,
        made=now,
        run=None,
        dry=False,
        command="",
        accounts=list(past.waiting.values()),
        sums=past.sums,
        bad=list(past.bad.values())[::-1],
        past=past,
    )


def _planned(run: Run) -> str:
    listed = sum(plan.listed for plan in run.plans)
    if run.due:
        return f"Nothing was deleted. {run.due:,} of {_items(listed)} would be deleted."
    refused = any(plan.refusals for plan in run.plans)
    doubt = any(plan.doubtful for plan in run.plans)
    return f"Nothing was deleted. {'A run would be refused.' if refused else _nothing(doubt)}"


def _missing(run: Run) -> str:
    """How many accounts are not, or not wholly, in the numbers above it."""
    refused = sum(bool(plan.refusals) for plan in run.plans)
    found = [
        (sum(plan.failed for plan in run.plans), "could not be listed"),
        (sum(bool(plan.unlisted) for plan in run.plans), "could be listed only in part"),
        (refused, f"{'was' if refused == 1 else 'were'} refused by a safety limit"),
    ]
    return " ".join(f"{count:,} account{'' if count == 1 else 's'} {words}." for count, words in found if count)


def _nothing(doubt: bool) -> str:
    return "Nothing that could be checked is due." if doubt else "Nothing is due."


def _done(run: Run) -> str:
    rest = "" if run.exit_code == ExitCode.DONE else " Not everything was done."
    if not run.selected:
        return _nothing(any(plan.doubtful for plan in run.plans)) + rest
    selected = f"{run.selected:,} selected item{'' if run.selected == 1 else 's'}"
    return f"Deleted {run.total(Outcome.DELETED):,} of {selected}.{rest}"


def _items(count: int) -> str:
    return f"{count:,} item{'' if count == 1 else 's'}"


def _safe(value: object) -> object:
    """A value as the page may show it; jinja2 escapes what this returns."""
    if type(value) is not str:  # numbers, and Markup, which is made only of this package's files and escaped text
        return value
    text = harmless(redact(value))
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _whole(text: str) -> object:
    """A text that must not be cut, such as a command to copy."""
    import markupsafe

    return markupsafe.escape(harmless(redact(text)))


def _page(zone: tzinfo, **facts: Any) -> str:
    import jinja2
    import markupsafe

    folder = resources.files(__package__)
    style = (folder / "page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment = jinja2.Environment(
        autoescape=True, finalize=_safe, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "n": lambda number: f"{number:,}",
        "when": lambda time: f"{time.astimezone(zone):%Y-%m-%d %H:%M %Z}",
        "parsed": datetime.fromisoformat,
        "iso": lambda time: time.astimezone(UTC).isoformat(timespec="seconds"),
    }
    template = environment.from_string((folder / "page.html").read_text(encoding="utf-8"))
    return template.render(
        # Escaping would break the selectors of page.css, and its digest would no longer be the one in the policy.
        style=markupsafe.Markup(style),  # noqa: S704  # this package's own page.css, nothing from outside
        digest=digest,
        version=__version__,
        rows_shown=ROWS,
        **facts,
    )
