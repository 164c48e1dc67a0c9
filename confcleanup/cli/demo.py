"""``confcleanup demo``: the whole story on emulated vendors, over real HTTP, in one screen."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import ExitCode
from ..items import Outcome
from ..plan import Watcher
from ..redact import harmless
from ..worklist import Entry
from .files import write_private
from .options import Globals, clock, global_options
from .output import WORDS

if TYPE_CHECKING:
    from ..config.load import Config
    from ..records.ledger import Ledger
    from ..run import Run
    from ..sandbox.sandbox import Sandbox

WIDTH = 96


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
        print(f"{len(loaded.accounts)} accounts of four emulated vendors are served on loopback. Each holds every kind")
        print("of item, old and young; the rules keep everything for 30 days.")
        stayed = _Stayed()
        with Ledger(Path(folder)) as ledger:
            planned = _run(loaded, stayed, ledger, delete=False)
            _show_plan(planned, stayed)
            done = _run(loaded, Watcher(), ledger, delete=True)
            _show_run(done)
            again = _run(loaded, Watcher(), ledger, delete=False)
        mistakes = _mistakes(sandbox, planned, done, again)
    left = f"{again.selected} items are still due" if again.selected else "nothing is due any more"
    print(f"\n3. confcleanup plan, once more: {left}, {sum(plan.listed for plan in again.plans)} items stay.")
    print("\nAll of this was emulated. For your own platform: confcleanup init, then check, then plan.")
    if mistakes:
        print("\n".join(mistakes), file=sys.stderr)
        sys.exit(int(ExitCode.NOT_DONE))


class _Stayed(Watcher):
    """Remembers kept items, to show a few."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, Entry]] = []

    def kept(self, account: str, entry: Entry) -> None:
        self.entries.append((account, entry))


def _run(config: Config, watcher: Watcher, ledger: Ledger, *, delete: bool) -> Run:
    from ..run import Ports, resolve, run

    options = resolve(config, list(config.accounts.values()), clock(), delete=delete)
    return run(options, Ports(clock=clock, confirm=None, ledger=ledger, watcher=watcher))


def _show_plan(run: Run, stayed: _Stayed) -> None:
    print("\n1. confcleanup plan: the dry run; nothing is deleted yet.\n")
    for plan in run.plans:
        reasons = ", ".join(f"{count} {WORDS.get(why, why)}" for why, count in plan.kept.most_common(3))
        would = f"{len(plan.selected):3} of {plan.listed:3} would go; {plan.kept.total():3} stay"
        line = f"   {plan.account:13} {would}: {reasons}, …"
        print(line if len(line) <= WIDTH else line[:WIDTH].rpartition(",")[0] + ", …")
    print()
    for plan in run.plans[::2]:
        _show("goes", plan.account, plan.selected.first(1)[0])
    shown: dict[str, tuple[str, Entry]] = {}
    for account, entry in stayed.entries:
        shown.setdefault(entry.decision.why, (account, entry))
    for account, entry in list(shown.values())[:6]:
        _show("stays", account, entry)


def _show(word: str, account: str, entry: Entry) -> None:
    title = harmless(entry.item.title or entry.item.id)
    print(f"   {word:5} {account:13} {title[:28]:28}  {entry.decision.reason}"[:WIDTH])


def _show_run(run: Run) -> None:
    print("\n2. confcleanup run --yes\n")
    for plan in run.plans:
        others = [f", {plan.count(o)} {o}" for o in Outcome if o is not Outcome.DELETED and plan.count(o)]
        print(f"   {plan.account:13} deleted {plan.count(Outcome.DELETED)} of {len(plan.selected)}{''.join(others)}")


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
