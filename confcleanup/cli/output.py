"""Show a run: a table on a terminal, one line for each account elsewhere, or data.

Data goes to standard output; questions, progress, warnings and errors to standard error.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from datetime import timedelta
from itertools import chain, islice
from typing import TYPE_CHECKING

from ..cutoff import humanize
from ..filter import Reason
from ..items import Outcome
from ..plan import Plan, Stuck, Watcher
from ..redact import harmless, redact
from ..run import NO_ANSWER, Run
from .options import RESULTS, URGENT

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ..reports.data import Collector
    from ..worklist import Entry
    from .options import Globals
    from .progress import Bars

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
LINES = 20
LONGEST = 300


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

    def finish(self, run: Run, command: str) -> None:
        """Shows the result of the run."""
        log_results(run, command, declined=self.declined)
        if not self.quiet and not self.declined:
            self.body(run)
        for plan in run.plans:
            log_problems(plan, declined=self.declined)
        if self.declined:
            print("Nothing was deleted.")
        elif not self.quiet:
            self.closing(run, command)

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

    def finish(self, run: Run, command: str) -> None:
        self._collector.finish(run)
        log_results(run, command, declined=self.declined)
        for plan in run.plans:
            log_problems(plan, declined=self.declined)
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


def stuck_line(stuck: Stuck) -> str:
    """The items that are stuck, and the oldest of them."""
    entry = stuck.oldest
    if entry is None:
        return "nothing is stuck"
    item = entry.item
    since = f"from {stuck.since:%Y-%m-%d}, " if stuck.since else ""
    return (
        f"{stuck.told()}; oldest: {item.what} {_short(item.id)} ({since}{_short(entry.error or entry.decision.reason)})"
    )


def _short(text: str) -> str:
    """Text from outside, made harmless and shortened."""
    text = harmless(text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _items(count: int) -> str:
    return f"{count} item{'' if count == 1 else 's'}"


def log_problems(plan: Plan, *, declined: bool = False) -> None:
    """Writes warnings and errors of an account to standard error.

    ``declined``: the user said no, and needs no advice on how to say yes.
    """
    name = plan.account
    logger = logging.LoggerAdapter(log, {"account": name})
    for warning in plan.warnings + plan.notices:
        logger.warning("%s: %s", name, warning)
    if plan.stuck.oldest:
        urgent = logging.LoggerAdapter(log, {"account": name, **URGENT})
        urgent.warning("%s: %s", name, stuck_line(plan.stuck))
    if plan.failed:
        logger.error("%s: could not be listed, so nothing was deleted there: %s", name, plan.error)
    elif plan.error:
        logger.error("%s: stopped early: %s", name, plan.error)
    elif not plan.refusals and (left := plan.count(Outcome.DEFERRED)):
        why = "max_runtime was reached, or the run was told to stop; the next run continues"
        urgent = logging.LoggerAdapter(log, {"account": name, **URGENT})
        urgent.warning("%s: %s not tried: %s", name, f"{_items(left)} {'was' if left == 1 else 'were'}", why)
    for part in plan.unlisted:
        logger.error("%s: could not be listed, so nothing in it was deleted: %s", name, _short(part))
    for refusal in plan.refusals:
        if not (declined and refusal == NO_ANSWER):
            logger.error("%s: refused, nothing is deleted there: %s", name, refusal)
    bad = plan.selected.ended(Outcome.FAILED, Outcome.UNKNOWN)
    for entry in islice(chain(bad, plan.overdue), LINES):
        what = f"{entry.item.what} {_short(entry.item.id)} ({_short(entry.item.title or 'no title')})"
        said = f"{entry.outcome}: {entry.error}" if entry.outcome else f"kept: {entry.decision.reason}"
        logger.error("%s: %s: %s", name, what, _short(said))
    more = plan.count(Outcome.FAILED) + plan.count(Outcome.UNKNOWN) + len(plan.overdue) - LINES
    if more > 0:
        logger.error("%s: and %d more like these; --format json shows all", name, more)
