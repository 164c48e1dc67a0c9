"""``confcleanup demo``: the whole story on emulated vendors, over real HTTP, in one screen."""

from __future__ import annotations

import sys
import tempfile
import textwrap
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import ExitCode
from ..filter import Reason
from ..items import Outcome
from ..redact import harmless
from ..worklist import Entry
from .files import write_private
from .options import Globals, clock, global_options

if TYPE_CHECKING:
    from ..config.load import Config
    from ..records.ledger import Ledger
    from ..run import Run
    from ..sandbox.sandbox import Sandbox

WIDTH = 80
EXAMPLES = ("trueconf-v3", "vobiz", "huawei")
"""Accounts of which one item is shown."""
IN_WORDS = {
    Reason.TOO_YOUNG: "It ended less than 30 days ago, or is not over yet.",
    Reason.END_UNKNOWN: "The vendor gives no end time that can be read.",
    Reason.STATE_UNKNOWN: "The vendor does not say whether it is over.",
    Reason.RUNNING: "It is in progress, or its recording is unfinished.",
    Reason.KEEP_TAG: "It carries a tag that the config says to keep.",
    Reason.KEEP_ID: "The config names it as one to keep.",
    Reason.RECURS: "It is repeated, like a weekly meeting.",
    Reason.ROOM: "It is a permanent room: it has no end.",
}
"""Why items are kept, for somebody who has read nothing."""


@click.command("demo")
@global_options
def command(settings: Globals) -> None:
    """Show the whole tool on emulated vendors: plan, run, and a second plan that finds nothing.

    It needs no config, no network and no account, and leaves nothing behind.
    """
    from ..config import load as config
    from ..records.ledger import Ledger
    from ..sandbox.sandbox import Sandbox

    with Sandbox() as sandbox, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.toml"
        write_private(file, sandbox.config)
        loaded = config.load(file)
        with Ledger(Path(folder)) as ledger:
            planned = _run(loaded, ledger, delete=False)
            _show_plan(planned)
            done = _run(loaded, ledger, delete=True)
            _show_run(done)
            again = _run(loaded, ledger, delete=False)
            _show_end(again)
        mistakes = _mistakes(sandbox, planned, done, again)
    if mistakes:
        print("\n".join(mistakes), file=sys.stderr)
        sys.exit(int(ExitCode.NOT_DONE))


def _run(config: Config, ledger: Ledger, *, delete: bool) -> Run:
    from ..run import Ports, resolve, run

    options = resolve(config, list(config.accounts.values()), clock(), delete=delete)
    return run(options, Ports(clock=clock, confirm=None, ledger=ledger))


def _show_plan(run: Run) -> None:
    listed = sum(plan.listed for plan in run.plans)
    print("This demo needs no account and no network, and it changes nothing of yours. It")
    print(f"emulates the servers of four vendors on this computer, with {listed} meetings, rooms")
    print("and recordings, many of them odd on purpose. The rules: delete what ended more")
    print("than 30 days ago, end live rooms that are open for too long, keep all in doubt.")
    print("\n1. The dry run, confcleanup plan. It shows what would be deleted, and why.\n")
    print(f"   {'account':14} {'found':>6} {'would be deleted':>17} {'kept':>6}")
    for plan in run.plans:
        print(f"   {plan.account:14} {plan.listed:6} {len(plan.selected):17} {plan.kept.total():6}")
    print("\n   Would be deleted, for example:")
    for plan in run.plans:
        if plan.account in EXAMPLES:
            _example(plan.account, plan.selected.first(1)[0])
    kept = sum((plan.kept for plan in run.plans), Counter[Reason]())
    print("\n   Kept, and why:")
    for why, count in kept.most_common():
        print(f"   {count:6}  {IN_WORDS.get(why, f'{why[0].upper()}{why[1:]}.')}")


def _example(account: str, entry: Entry) -> None:
    title = harmless(entry.item.title or entry.item.id)
    text = f'"{title}" ({account}): {entry.decision.reason}'
    print(textwrap.fill(text, WIDTH, initial_indent=" " * 3, subsequent_indent=" " * 6))


def _show_run(run: Run) -> None:
    print("\n2. The deletion, confcleanup run --yes. The vendors answer over real HTTP.")
    for plan in run.plans:
        others = [f", {plan.count(o)} {o}" for o in Outcome if o is not Outcome.DELETED and plan.count(o)]
        done = f"{plan.count(Outcome.DELETED)} of {len(plan.selected)}{''.join(others)}"
        print(f"   {plan.account:14} deleted {done}")


def _show_end(run: Run) -> None:
    kept = sum(plan.listed for plan in run.plans)
    left = f"{run.selected} items are left to delete" if run.selected else "nothing is left to delete"
    print(f"\n3. The dry run once more: {left}; the {kept} others are kept.")
    print("\nFor your own platform, run these in turn, and then confcleanup run:")
    print("   confcleanup init    asks a few questions and writes a config file")
    print("   confcleanup check   tries the sign-in; deletes nothing")
    print("   confcleanup plan    shows what would be deleted; deletes nothing")


def _mistakes(sandbox: Sandbox, planned: Run, done: Run, again: Run) -> list[str]:
    """What did not go as the sandbox knows it must; empty if all is well."""
    selected: dict[tuple[str, str], set[str]] = {}
    for plan in planned.plans:
        for entry in plan.selected:
            selected.setdefault((plan.account, entry.item.what), set()).add(entry.item.id)
    found = [
        f"{account}, {what}: selected {sorted(selected.get((account, what), set()))}, expected {sorted(ids)}"
        for (account, what), ids in sandbox.doomed.items()
        if selected.get((account, what), set()) != ids
    ]
    found += [f"{plan.account}: {plan.error}" for run in (planned, done, again) for plan in run.plans if plan.error]
    found += [f"{name}: {line}" for name, served in sandbox.served.items() for line in served.emulator.disasters]
    return found
