"""Show a plan or a run, for people or as data.

A plan shows every item, also where there is no terminal; a run without a terminal prints one line for each account.
Results go to standard output; questions, progress, warnings and errors to standard error.
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
from ..plan import Both, Plan, Watcher
from ..reports.findings import findings, totals
from ..run import Run
from . import expired
from .item_tables import ROWS, ItemTables, ListedOnly
from .options import AGAIN, RESULTS, URGENT

if TYPE_CHECKING:
    from ..config.load import Config
    from ..reports.attention import Finding
    from ..reports.data import Collector
    from .options import Globals
    from .progress import Bars
    from .reporting import Reporting

log = logging.getLogger("confcleanup")
results = logging.getLogger(RESULTS)
WORDS = {
    Reason.KEEP_TAG: "with a keep tag",
    Reason.UNDELETABLE: "that cannot be deleted",
    Reason.STATE_UNKNOWN: "whose state is not known",
    Reason.ROOM: "without a schedule",
    Reason.END_UNKNOWN: "whose end is not known",
    Reason.NOT_KNOWN: "with a field that is not known",
}
"""Reasons as they read after a number; the others are used as they are."""
SHORT = 5
"""Seconds below which the duration of a run is not shown."""


def screen_for(settings: Globals, config: Config, style: str, *, selected_only: bool, delete: bool) -> Screen:
    """The screen that fits the options and what the program is connected to."""
    if style != "table":
        from ..reports.data import Collector

        return DataScreen(settings, config, Collector(style, sys.stdout, selected_only=selected_only))
    return Screen(settings, config, listed_only=not delete)


class Screen:
    """For people: results on standard output, warnings and errors on standard error. cron mails both."""

    declined = False
    """Whether the user was asked to confirm and did not."""

    def __init__(self, settings: Globals, config: Config, *, listed_only: bool = False) -> None:
        self.quiet = settings.quiet
        self.watcher: Watcher = Watcher()
        self._zone = config.zone
        self._bars: Bars | None = None
        self._previewed = False
        if sys.stderr.isatty() and not self.quiet:
            from .progress import Bars

            self.watcher = self._bars = Bars()
        sources = {name: account.provider.sources for name, account in config.accounts.items()}
        self._listed_only = ListedOnly(sources)
        if listed_only and not self.quiet:
            self.watcher = Both(self.watcher, self._listed_only)

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
        tables = ItemTables(sys.stderr, self._zone, {})
        for plan in run.plans:
            tables.show(plan, planned_line(run, plan), ROWS, "confcleanup plan shows them all")
        self._previewed = True
        self.declined = not click.confirm(question(run), default=False, err=True)
        return not self.declined

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
        """Whether a line on standard error says how the run ended; on a terminal the last line of the results does."""
        return run.mode == "run" and run.exit_code != ExitCode.DONE and not sys.stdout.isatty()

    def body(self, run: Run) -> None:
        """Shows every item of a plan; of a run one line for each account, and on a terminal the first items too."""
        tables = ItemTables(sys.stdout, self._zone, self._listed_only.found)
        for plan in run.plans:
            if run.mode == "plan":
                tables.show(plan, planned_line(run, plan))
            elif tables.width is not None and not self._previewed:
                tables.show(plan, account_line(run, plan), ROWS, "confcleanup history shows them all")
            elif tables.width is not None or not plan.failed:
                print(account_line(run, plan))

    def closing(self, run: Run, command: str) -> None:
        if run.mode == "plan" or sys.stdout.isatty():
            print(closing_line(run, command))


class DataScreen(Screen):
    """json, jsonl, csv: data on standard output, warnings and errors on standard error."""

    def __init__(self, settings: Globals, config: Config, collector: Collector) -> None:
        super().__init__(settings, config)
        self._collector = self.watcher = collector
        self._bars = None

    def body(self, run: Run) -> None:
        """The collector has written the items."""

    def closes(self, run: Run) -> bool:
        return run.mode == "run" and run.exit_code != ExitCode.DONE

    def finish(self, run: Run, command: str, reporting: Reporting) -> None:
        self._collector.finish(run)
        log_results(run, command, declined=self.declined)
        self.report(run, reporting)
        if self.declined:
            print("Nothing was deleted.", file=sys.stderr)
        if run.mode == "plan" and not self.quiet:
            print(closing_line(run, command), file=sys.stderr)


def log_results(run: Run, command: str, *, declined: bool) -> None:
    """Writes the results as text to a log file."""
    for plan in run.plans:
        line = planned_line(run, plan) if declined else account_line(run, plan)
        results.info("%s", line, extra={"account": plan.account})
    results.info("%s", "Nothing was deleted." if declined else closing_line(run, command))


def question(run: Run) -> str:
    """The question before the first deletion. It says how many people are disconnected, as far as that is known."""
    accounts = sum(bool(plan.due) and not plan.refusals for plan in run.plans)
    what = expired.due(run, f"{_items(run.due)} of {accounts} account{'' if accounts == 1 else 's'}")
    rooms = [
        entry.item.live for plan in run.plans if not plan.refusals for entry in plan.selected.due() if entry.item.live
    ]
    if not rooms:
        return f"Delete {what}? This cannot be undone."
    known = [room.members for room in rooms if room.members is not None]
    people = sum(known)
    told = [f"{people} {'person' if people == 1 else 'people'} in {_rooms(len(known))}"] if known else []
    if silent := len(rooms) - len(known):
        told.append(f"an unknown number of people in {_rooms(silent)}")
    return f"Delete {what}? This hangs up on {' and on '.join(told)}. It cannot be undone."


def _rooms(count: int) -> str:
    return f"{count} live room{'' if count == 1 else 's'}"


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
    would = f"{plan.account}: would delete {plan.due} of {plan.listed} {plan.which}{_duration(plan)}"
    return f"{would}{_waiting(plan, 'to be announced')}{_stays(plan)}"


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
        f"{plan.account}: deleted {plan.count(Outcome.DELETED)} of {len(plan.selected)} selected{others}"
        f"{_waiting(plan, 'new')}{_stays(plan)}"
    )


def _waiting(plan: Plan, new: str) -> str:
    """What waits for the end of its notice; ``new`` says how that is called which was not announced before."""
    if not plan.goes_from:
        return ""
    news = f" ({plan.news} {new})" if plan.news else ""
    return f"; {len(plan.waiting)} on notice{news}, from {plan.goes_from:%Y-%m-%d %H:%M} UTC on"


def _stays(plan: Plan) -> str:
    return _kept(plan) + expired.summary(plan)


def _kept(plan: Plan) -> str:
    if not plan.kept:
        return ""
    reasons = ", ".join(f"{count} {WORDS.get(why, why)}" for why, count in plan.kept.most_common())
    return f"; kept {plan.kept.total()} ({reasons})"


def closing_line(run: Run, command: str) -> str:
    """The last line: the mode, and what is left to do."""
    stuck = sum(plan.stuck.count for plan in run.plans)
    needs = f" Stuck: {_items(stuck)} need{'s' if stuck == 1 else ''} manual action." if stuck else ""
    waiting = sum(len(plan.waiting) for plan in run.plans)
    needs = (
        f" {_items(waiting)} wait{'s' if waiting == 1 else ''} for the end of a notice." if waiting else ""
    ) + needs
    if run.mode == "plan":
        failed = sum(plan.failed for plan in run.plans)
        unknown = f" {failed} account{'' if failed == 1 else 's'} could not be listed." if failed else ""
        if partly := sum(bool(plan.unlisted) for plan in run.plans):
            unknown += f" {partly} account{'' if partly == 1 else 's'} could be listed only in part."
        if due := expired.due(run, _items(run.due)):
            return f"Dry run: nothing was deleted.{unknown}{needs} To delete {due}: {command}"
        if any(plan.refusals for plan in run.plans):
            return f"Dry run: nothing was deleted.{unknown}{needs} A run would be refused."
        doubtful = any(plan.doubtful for plan in run.plans)
        nothing = " Nothing that could be checked is due." if doubtful else " Nothing is due."
        nothing = " Nothing goes now." if waiting else nothing
        return f"Dry run: nothing was deleted.{unknown or nothing}{needs}"
    counts = Counter({outcome: run.total(outcome) for outcome in Outcome})
    text = f"Deleted {_items(counts[Outcome.DELETED])} of {run.selected} selected."
    if gone := counts[Outcome.GONE]:
        text += f" {gone} {'was' if gone == 1 else 'were'} already gone."
    if removed := sum(plan.copies.removed for plan in run.plans):
        text += f" Removed {expired.expired(removed)}."
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
