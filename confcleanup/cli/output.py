"""Show a run: a table on a terminal, one line for each account elsewhere, or data.

Data goes to standard output; questions, progress, warnings and errors to standard error.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from ..cutoff import humanize
from ..errors import ExitCode
from ..filter import Reason
from ..items import Outcome
from ..plan import Plan, Watcher
from ..redact import harmless, redact
from ..reports.findings import findings, totals
from ..run import Run
from .options import AGAIN, RESULTS, URGENT

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ..reports.attention import Finding
    from ..reports.data import Collector
    from ..worklist import Entry
    from .options import Globals
    from .progress import Bars
    from .reporting import Reporting

log = logging.getLogger("confcleanup")
results = logging.getLogger(RESULTS)
ROWS = 40
ID_WIDTH, TITLE_LEAST, REASON_WIDTH, OUTCOME_WIDTH = 36, 12, 50, 10
"""Columns of the table on a terminal; a title takes what the others leave."""
WORDS = {
    Reason.KEEP_TAG: "with a keep tag",
    Reason.STATE_UNKNOWN: "of unknown state",
    Reason.ROOM: "without a schedule",
    Reason.END_UNKNOWN: "without a known end",
    Reason.NOT_KNOWN: "with a field that is not known",
}
"""Reasons as they read after a number; the others are used as they are."""
SHORT = 5
"""Seconds below which the duration of a run is not shown."""
WIDE = 140
"""Columns of a terminal from which on an id of 36 characters and another number fit beside each other."""
NARROW = 80
"""On a terminal with fewer columns, an item takes two lines instead of a row."""


def screen_for(settings: Globals, style: str, *, selected_only: bool) -> Screen:
    """The screen that fits the options and what the program is connected to."""
    if style != "table":
        from ..reports.data import Collector

        return DataScreen(settings, Collector(style, sys.stdout, selected_only=selected_only))
    return TableScreen(settings) if sys.stdout.isatty() else Screen(settings)


class Screen:
    """Without a terminal: one line for each account, and warnings and errors on standard error. cron mails it."""

    declined = False
    """Whether the user was asked to confirm and did not."""

    def __init__(self, settings: Globals) -> None:
        self.quiet = settings.quiet
        self.watcher: Watcher = Watcher()
        self._bars: Bars | None = None
        if sys.stderr.isatty() and not self.quiet:
            from .progress import Bars

            self.watcher = self._bars = Bars()

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars:
            self._bars.stop()

    def confirm(self, run: Run, *, on_terminal: bool) -> bool:
        """Shows the plan and asks. Without a terminal the answer is no."""
        if not on_terminal:
            return False
        import click

        if self._bars:
            self._bars.stop()
        self.declined = True  # until there is another answer
        self.preview(run)
        accounts = sum(bool(plan.due) and not plan.refusals for plan in run.plans)
        what = f"{_items(run.due)} of {accounts} account{'' if accounts == 1 else 's'}"
        self.declined = not click.confirm(f"Delete {what}? This cannot be undone.", default=False, err=True)
        return not self.declined

    def preview(self, run: Run) -> None:
        """What is shown before the question."""
        for plan in run.plans:
            print(planned_line(run, plan), file=sys.stderr)

    def finish(self, run: Run, command: str, reporting: Reporting) -> None:
        """Shows the result of the run, and remembers what of it was reported."""
        log_results(run, command, declined=self.declined)
        if not self.quiet and not self.declined:
            self.body(run)
        self.report(run, reporting)
        if self.declined:
            print("Nothing was deleted.")
        elif not self.quiet:
            self.closing(run, command)

    def report(self, run: Run, reporting: Reporting) -> None:
        """Writes to standard error what the run found, and how it ended if something went wrong.

        With -q that is only what is due, and it is remembered; nothing if nothing is due.
        """
        found = findings(run, declined=self.declined)
        told = reporting.due(found) if self.quiet else found
        log_findings(found, told, reporting, quiet=self.quiet)
        if self.declined:
            return
        remembered = reporting.remember(found, told if self.quiet else (), run)
        if told if self.quiet else self.closes(run):
            log_closing(run, found, again=self.quiet and remembered)

    def closes(self, run: Run) -> bool:
        """Whether a line on standard error says how the run ended."""
        return run.mode == "run" and run.exit_code != ExitCode.DONE

    def body(self, run: Run) -> None:
        for plan in run.plans:
            if not plan.failed:
                print(account_line(run, plan))

    def closing(self, run: Run, command: str) -> None:
        if run.mode == "plan":
            print(closing_line(run, command))


class DataScreen(Screen):
    """json, jsonl, csv: data on standard output, warnings and errors on standard error."""

    def __init__(self, settings: Globals, collector: Collector) -> None:
        self.quiet = settings.quiet
        self._bars = None
        self._collector = collector
        self.watcher = collector

    def finish(self, run: Run, command: str, reporting: Reporting) -> None:
        self._collector.finish(run)
        log_results(run, command, declined=self.declined)
        self.report(run, reporting)
        if self.declined:
            print("Nothing was deleted.", file=sys.stderr)
        if run.mode == "plan" and not self.quiet:
            print(closing_line(run, command), file=sys.stderr)


class TableScreen(Screen):
    """On a terminal: a table for each account, and a closing line."""

    def __init__(self, settings: Globals) -> None:
        super().__init__(settings)
        self._shown = False

    def preview(self, run: Run) -> None:
        self._tables(run, before=True)
        self._shown = True

    def body(self, run: Run) -> None:
        if self._shown:
            for plan in run.plans:
                print(account_line(run, plan))
            return
        self._tables(run, before=run.mode == "plan")

    def _tables(self, run: Run, *, before: bool) -> None:
        from rich.console import Console

        console = Console(highlight=False, soft_wrap=False)
        for plan in run.plans:
            show_plan(console, run, plan, before=before)

    def closing(self, run: Run, command: str) -> None:
        print(closing_line(run, command))

    def closes(self, run: Run) -> bool:
        return False  # the last line on standard output does


def log_results(run: Run, command: str, *, declined: bool) -> None:
    """Writes the results as text to a log file."""
    for plan in run.plans:
        line = planned_line(run, plan) if declined else account_line(run, plan)
        results.info("%s", line, extra={"account": plan.account})
    results.info("%s", "Nothing was deleted." if declined else closing_line(run, command))


def show_plan(console: Console, run: Run, plan: Plan, *, before: bool) -> None:
    """Prints one account: what goes and why, and what stays, by reason. ``before``: nothing has been done yet."""
    from rich.text import Text

    console.print()
    console.print(Text(planned_line(run, plan) if before else account_line(run, plan), style="bold"))
    if not plan.selected:
        return
    shown = plan.selected.first(ROWS)
    if console.width < NARROW:
        for entry in shown:
            console.print(Text(redact(harmless(f"{entry.item.what} {entry.item.id} {entry.item.title or ''}"))))
            outcome = f"; {entry.outcome}" if entry.outcome else ""
            console.print(Text(redact(harmless(f"  {entry.decision.reason}{outcome}"))))
    else:
        console.print(_table(shown, console.width, before=before))
    if len(plan.selected) > ROWS:
        console.print(Text(f"  … and {len(plan.selected) - ROWS} more; --format csv shows them all", style="dim"))


def _table(shown: list[Entry], width: int, *, before: bool) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 2))
    what = max(len(entry.item.what) for entry in shown)
    widest = ID_WIDTH if width < WIDE else 2 * ID_WIDTH
    names = [_names(entry, widest) for entry in shown]
    ident = min(widest, max(map(len, names)))
    left = width - what - ident - REASON_WIDTH - (OUTCOME_WIDTH if not before else 0)
    table.add_column("what", no_wrap=True)
    table.add_column("id", no_wrap=True, min_width=ident, overflow="ellipsis", max_width=widest)
    table.add_column("title", no_wrap=True, overflow="ellipsis", max_width=max(TITLE_LEAST, left))
    table.add_column("why it goes")
    if not before:
        table.add_column("outcome", no_wrap=True)
    for entry, name in zip(shown, names, strict=True):
        cells = [entry.item.what, name, entry.item.title or "", entry.decision.reason]
        cells += [str(entry.outcome or "")] if not before else []
        table.add_row(*(Text(redact(harmless(text))) for text in cells))
    return table


def _names(entry: Entry, widest: int) -> str:
    """An item's id, and its other numbers where there is room for them."""
    item = entry.item
    whole = f"{item.id} ({', '.join(item.aliases)})"
    return whole if item.aliases and len(whole) <= widest else item.id


def account_line(run: Run, plan: Plan) -> str:
    """One account in one line."""
    if plan.failed:
        return f"{plan.account}: could not be listed; nothing was deleted here"
    if plan.refusals:
        return f"{plan.account}: refused; nothing was deleted here ({len(plan.selected)} of {plan.listed} selected)"
    return _planned(plan) if run.mode == "plan" else _deleted(plan)


def planned_line(run: Run, plan: Plan) -> str:
    """One account in one line, before anything is done."""
    return account_line(run, plan) if plan.failed or plan.refusals else _planned(plan)


def _planned(plan: Plan) -> str:
    return f"{plan.account}: would delete {plan.due} of {plan.listed} {plan.which}{_duration(plan)}{_kept(plan)}"


def _duration(plan: Plan) -> str:
    """How long a run would take, if that is long enough to be shown."""
    if not plan.due or plan.seconds < SHORT:
        return ""
    runs = f" over {plan.runs} runs" if plan.runs > 1 else ""
    return f", in about {humanize(timedelta(seconds=plan.seconds))}{runs}"


def _deleted(plan: Plan) -> str:
    counts = {outcome: plan.count(outcome) for outcome in Outcome if outcome is not Outcome.DELETED}
    words = {Outcome.GONE: "already gone", Outcome.DEFERRED: "left for the next run"}
    others = "".join(f", {count} {words.get(outcome, outcome)}" for outcome, count in counts.items() if count)
    return (
        f"{plan.account}: deleted {plan.count(Outcome.DELETED)} of {len(plan.selected)} selected{others}{_kept(plan)}"
    )


def _kept(plan: Plan) -> str:
    if not plan.kept:
        return ""
    reasons = ", ".join(f"{count} {WORDS.get(why, why)}" for why, count in plan.kept.most_common())
    return f"; kept {plan.kept.total()} ({reasons})"


def closing_line(run: Run, command: str) -> str:
    """The last line: the mode, and what is left to do."""
    stuck = sum(plan.stuck.count for plan in run.plans)
    needs = f" Stuck: {_items(stuck)} need{'s' if stuck == 1 else ''} manual action." if stuck else ""
    if run.mode == "plan":
        failed = sum(plan.failed for plan in run.plans)
        unknown = f" {failed} account{'' if failed == 1 else 's'} could not be listed." if failed else ""
        if partly := sum(bool(plan.unlisted) for plan in run.plans):
            unknown += f" {partly} account{'' if partly == 1 else 's'} could be listed only in part."
        if run.due:
            return f"Dry run: nothing was deleted.{unknown}{needs} To delete {_items(run.due)}: {command}"
        if any(plan.refusals for plan in run.plans):
            return f"Dry run: nothing was deleted.{unknown}{needs} A run would be refused."
        doubtful = any(plan.doubtful for plan in run.plans)
        nothing = " Nothing that could be checked is due." if doubtful else " Nothing is due."
        return f"Dry run: nothing was deleted.{unknown or nothing}{needs}"
    counts = Counter({outcome: run.total(outcome) for outcome in Outcome})
    text = f"Deleted {_items(counts[Outcome.DELETED])} of {run.selected} selected."
    if gone := counts[Outcome.GONE]:
        text += f" {gone} {'was' if gone == 1 else 'were'} already gone."
    if left := counts[Outcome.DEFERRED]:
        text += f" {left} {'was' if left == 1 else 'were'} not tried: left for the next run."
    return text + needs + ("" if run.exit_code == 0 else f" Not everything was done: exit status {int(run.exit_code)}.")


def _items(count: int) -> str:
    return f"{count} item{'' if count == 1 else 's'}"


def log_findings(found: Sequence[Finding], told: Sequence[Finding], reporting: Reporting, *, quiet: bool) -> None:
    """Writes findings as warnings and errors. With ``quiet`` standard error gets those that are ``told``."""
    for finding in found:
        logger = logging.LoggerAdapter(log, {"account": finding.account or None, "urgent": finding in told})
        account = f"{finding.account}: " if finding.account else ""
        line = reporting.line(finding) if quiet else f"{account}{finding.line()}"
        logger.log(logging.ERROR if finding.error else logging.WARNING, "%s", line)


def log_closing(run: Run, found: Sequence[Finding], *, again: bool) -> None:
    """Writes how the run ended, and what the accounts came to on which a person has to act."""
    line = totals(run, {finding.account for finding in found if finding.acts})
    level = logging.ERROR if run.exit_code else logging.WARNING
    log.log(level, "%s", f"{line}. {AGAIN}" if again else line, extra=URGENT)
