"""Say in words what a run found beside its counts, and what each account came to."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain

import msgspec

from ..errors import VERDICTS
from ..items import Outcome
from ..plan import Plan, Stuck
from ..redact import harmless
from ..run import NO_ANSWER, Run
from ..worklist import Entry
from .attention import Finding, Kind, without_numbers

CAUSES = 20
"""So many causes for which items failed are told of an account."""
TOLD_APART = 200
"""So many items of one cause are told apart; of the others only the number is known."""
LONGEST = 300
OTHERS = "other causes"


def not_started(text: str) -> Finding:
    """The finding of a run that ended before anything was listed, for this reason."""
    return Finding("", Kind.START, text, text, text)


def findings(run: Run, *, declined: bool = False) -> list[Finding]:
    """Everything that is to be said of a run beside its counts.

    Of a status other than 0 at least one finding says that a person has to act. ``declined``: the user said no at the
    prompt, and needs no advice on how to say yes.
    """
    found = [finding for plan in run.plans for finding in _account(plan, declined=declined)]
    if run.signal is not None:
        verdict = VERDICTS[run.exit_code]
        text = f"the run was {verdict} before its end; what was in progress is recorded, and the next run continues"
        found.append(Finding("", Kind.SIGNAL, text, text, text, error=False))
    elif run.exit_code and not declined and not any(finding.acts for finding in found):
        text = f"{VERDICTS[run.exit_code]}; confcleanup plan shows more"
        found.append(Finding("", Kind.STOPPED, text, text, text))
    return found


def _account(plan: Plan, *, declined: bool) -> Iterator[Finding]:
    name = plan.account
    for text in plan.warnings + plan.notices:
        brief = "a warning needs action; confcleanup plan shows it"
        acts, again = text in plan.attention, plan.attention.get(text, True)
        yield Finding(name, Kind.WARNING, text, brief, text, error=False, acts=acts, again=again)
    if plan.stuck.oldest:
        yield _stuck(plan, plan.stuck.oldest)
    if plan.busy:
        text = f"was left alone: {plan.error}; --wait 30min would let this run wait"
        yield Finding(name, Kind.FAILED, text, text, text)
    elif plan.failed:
        text = f"could not be listed, so nothing was deleted there: {plan.error}"
        yield Finding(name, Kind.FAILED, text, text, "" if plan.cause else text, keys=(plan.cause,))
    elif plan.error:
        text = f"stopped early, {_counted(plan)}: {plan.error}"
        yield Finding(name, Kind.STOPPED, text, text, plan.error)
    elif not plan.refusals and (left := plan.count(Outcome.DEFERRED)):
        yield _backlog(plan, left)
    if plan.untold:
        yield Finding(name, Kind.NOTICE, plan.untold, plan.untold, plan.untold, error=False)
    for text in plan.copies.errors:
        yield Finding(name, Kind.STOPPED, text, text, text)
    for part in plan.unlisted:
        text = f"could not be listed, so nothing in it was deleted: {short(part)}"
        yield Finding(name, Kind.PART, text, text, text)
    for refusal in plan.refusals:
        if not (declined and refusal == NO_ANSWER):
            text = f"refused, nothing is deleted there: {refusal}"
            yield Finding(name, Kind.REFUSED, text, text, refusal)
    yield from _items(plan)


def _counted(plan: Plan) -> str:
    """How far the deletion of an account came."""
    counts = {outcome: plan.count(outcome) for outcome in Outcome}
    words = {Outcome.GONE: "already gone", Outcome.DEFERRED: "not tried"}
    others = [f", {count} {words.get(out, out)}" for out, count in counts.items() if count and out != Outcome.DELETED]
    return f"{counts[Outcome.DELETED]} of {len(plan.selected)} deleted{''.join(others)}"


def _stuck(plan: Plan, oldest: Entry) -> Finding:
    text = stuck_line(plan.stuck)
    failed = plan.count(Outcome.FAILED) + plan.count(Outcome.UNKNOWN)
    # Items that failed now are told by themselves.
    acts = oldest.outcome not in (Outcome.FAILED, Outcome.UNKNOWN) or plan.stuck.count > failed
    it = "it" if plan.stuck.count == 1 else "them"
    hint = f"; delete {it} by hand, or keep {it} with keep_ids or a hold"
    return Finding(
        plan.account,
        Kind.STUCK,
        text,
        plan.stuck.told(),
        oldest.error or oldest.decision.reason,
        keys=(repr(oldest.item.key),),
        count=plan.stuck.count,
        hint=hint,
        error=False,
        acts=acts,
    )


def _backlog(plan: Plan, left: int) -> Finding:
    """Items that were not tried. That needs nobody, unless there are no fewer than a week ago."""
    were = f"{left} item{' was' if left == 1 else 's were'} not tried"
    brief = f"{left} left for the next run"
    why = "max_runtime was reached, or the run was told to stop; the next run continues"
    lasting = plan.backlog is not None
    if lasting:
        why = f"max_runtime was reached in every run for a week, and {plan.backlog} were left a week ago; "
        why += "raise max_runtime or rate, or run more often"
        brief = f"{brief}, and it does not shrink: {plan.backlog} were left a week ago"
    return Finding(plan.account, Kind.BACKLOG, f"{were}: {why}", brief, "", error=False, acts=lasting)


def _items(plan: Plan) -> Iterator[Finding]:
    """Items that failed, whose outcome is unknown, or that should have ended, by cause."""
    groups: dict[str, _Group] = {}
    for entry in chain(plan.selected.ended(Outcome.FAILED, Outcome.UNKNOWN), plan.overdue):
        if entry.ended_account(plan.error):
            continue  # it is told of the account
        outcome = str(entry.outcome or "kept")
        said = (entry.error if entry.outcome else entry.decision.reason) or "no reason is known"
        cause = f"{outcome}: {without_numbers(said.replace(entry.item.id, '#') if entry.item.id else said)}"
        if cause not in groups and len(groups) >= CAUSES:
            cause, said = OTHERS, "for other reasons; --format json shows all"
        group = groups.setdefault(cause, _Group(outcome, said))
        group.count += 1
        if len(group.entries) < TOLD_APART:
            group.entries.append(entry)
    yield from (group.finding(plan, cause) for cause, group in groups.items())


class _Group(msgspec.Struct):
    """Items that ended in the same way for the same reason."""

    outcome: str
    said: str
    entries: list[Entry] = msgspec.field(default_factory=list)
    count: int = 0

    def finding(self, plan: Plan, cause: str) -> Finding:
        one, items = self.count == 1, [entry.item for entry in self.entries]
        hint = f"; to keep {'it' if one else 'them'}, use keep_ids or a hold" if self.outcome == Outcome.FAILED else ""
        return Finding(
            plan.account,
            Kind.ITEMS,
            short(f"{self.outcome}: {self.said}"),
            f"{self.count} item{'' if one else 's'} {self.outcome}",
            cause,
            keys=[repr(item.key) for item in items],
            names=[f"{item.what} {short(item.id)} ({short(item.title or 'no title')})" for item in items],
            count=self.count,
            hint=hint,
        )


def stuck_line(stuck: Stuck) -> str:
    """The items that are stuck, and the oldest of them."""
    entry = stuck.oldest
    if entry is None:
        return "nothing is stuck"
    item = entry.item
    since = f"from {stuck.since:%Y-%m-%d}, " if stuck.since else ""
    why = short(entry.error or entry.decision.reason)
    return f"{stuck.told()}; oldest: {item.what} {short(item.id)} ({since}{why})"


def short(text: str) -> str:
    """Text from outside, made harmless and shortened."""
    text = harmless(text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


# What it came to ----------------------------------------------------------------------------------

WORDS = {Outcome.GONE: "already gone", Outcome.UNKNOWN: "with an unknown outcome", Outcome.DEFERRED: "not tried"}


def totals(run: Run, about: Collection[str]) -> str:
    """How the run ended, and what these accounts came to, in one line. Of the others only the number is told."""
    dry = run.mode == "plan"
    told = [f"{plan.account}: {tally(plan, dry=dry)}" for plan in run.plans if plan.account in about]
    if others := len(run.plans) - len(told):
        told.append(f"{others} other account{'' if others == 1 else 's'} without errors")
    ended = f"{'dry run, ' if dry else ''}{VERDICTS[run.exit_code]}, exit status {int(run.exit_code)}"
    return f"{ended}: {'; '.join(told)}" if told else ended


def tally(plan: Plan, *, dry: bool = False) -> str:
    """What became of an account's items: ``98 deleted, 22 failed of 120``."""
    if plan.failed:
        return "not listed, nothing deleted"
    selected = len(plan.selected)
    if dry and not plan.refusals:
        return f"would delete {plan.due} of {plan.listed} listed"
    if not selected:
        return f"nothing to delete among {plan.listed} listed"
    counts = {outcome: plan.count(outcome) for outcome in Outcome}
    told = [] if counts[Outcome.DELETED] else ["0 deleted"]
    told += [f"{count} {WORDS.get(outcome, outcome)}" for outcome, count in counts.items() if count]
    return f"{', '.join(told)} of {selected}"
