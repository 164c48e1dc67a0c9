"""Write the result of a run as a file for Prometheus's node exporter; docs/operations.md explains each metric."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..items import Outcome
from . import data as report
from .summary import Summary

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

COUNTS = ("listed", "selected", *map(str, Outcome), "undecided", "notice")
STATUSES = ("ok", "partial", "refused", "failed")


def write(path: str, summary: Summary) -> None:
    """Replaces the file as a whole, readable by the exporter, which is another user.

    Raises ImportError without the extra, OSError if it cannot be written.
    """
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    _run(registry, summary)
    _accounts(registry, summary)
    beside = Path(f"{path}.{os.getpid()}")  # the exporter reads no file of this ending
    try:
        beside.write_bytes(generate_latest(registry))
        beside.chmod(0o644)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _run(registry: CollectorRegistry, summary: Summary) -> None:
    from prometheus_client import Gauge

    for name, text, value in (
        ("run_finished_timestamp_seconds", "When the last run ended.", summary.finished.timestamp()),
        ("run_duration_seconds", "How long the last run took.", (summary.finished - summary.began).total_seconds()),
        ("run_exit_status", "The exit status of the last run.", summary.status),
    ):
        Gauge(f"confcleanup_{name}", text, ["mode"], registry=registry).labels(summary.mode).set(value)


def _accounts(registry: CollectorRegistry, summary: Summary) -> None:
    from prometheus_client import Gauge

    good = Gauge(
        "confcleanup_account_last_success_timestamp_seconds",
        "When a run last did all that was asked of it in a source of the account.",
        ["account", "what"],
        registry=registry,
    )
    for (name, what), when in summary.last_good.items():
        if when:
            good.labels(name, what).set(when.timestamp())
    status = Gauge("confcleanup_account_status", "1 for how it went.", ["account", "status"], registry=registry)
    items = Gauge("confcleanup_account_items", "Items of the last run.", ["account", "state"], registry=registry)
    for plan in summary.plans:
        found = report.account(plan)
        for name in STATUSES:
            status.labels(plan.account, name).set(found["status"] == name)
        for name in COUNTS:
            items.labels(plan.account, name).set(found[name])
        items.labels(plan.account, "stuck").set(found["stuck"]["count"])
