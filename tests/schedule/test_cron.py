"""The machine's own cron runs what ``schedule crontab`` prints. Replaces root's crontab for two minutes."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from confcleanup.cli import cli
from confcleanup.records.ledger import Ledger
from confcleanup.sandbox.server import Server
from confcleanup.sandbox.trueconf import TrueConf
from tests.fake import one_rule

pytestmark = [
    pytest.mark.cron,
    pytest.mark.timeout(200),
    pytest.mark.skipif(not shutil.which("cron"), reason="needs cron: apt-get install cron"),
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root, to start cron"),
]
PATIENCE = 150


@contextmanager
def cron(crontab: str) -> Iterator[None]:
    """Has cron run these lines; puts back what was there. A cron that runs already serves as well."""
    before = subprocess.run(["crontab", "-l"], capture_output=True, check=False)
    subprocess.run(["crontab", "-"], input=crontab.encode(), check=True)
    daemon = subprocess.Popen(["cron", "-f"])
    try:
        yield
    finally:
        daemon.terminate()
        daemon.wait(10)
        back = ["crontab", "-"] if before.returncode == 0 else ["crontab", "-r"]
        subprocess.run(back, input=before.stdout, check=True)


def entry(folder: Path, server: TrueConf, url: str, when: datetime, **extra: object) -> str:
    """A config in this folder, and the crontab for it, due at that minute."""
    folder.mkdir()
    config = folder / "config.toml"
    config.write_text(one_rule(server.account("hq", url, **extra)), "utf-8")
    config.chmod(0o600)
    words = ["-c", str(config), "--state", str(folder / "state"), "schedule", "crontab"]
    done = CliRunner().invoke(cli, [*words, "--every", "day", "--at", f"{when:%H:%M}", "--log", str(folder / "log")])
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_cron_runs_the_entries_and_their_exit_status_is_kept(tmp_path: Path) -> None:
    statuses, shell = tmp_path / "statuses", tmp_path / "shell"
    shell.write_text(f'#!/bin/sh\n/bin/sh "$@"\necho $? >>{statuses}\n', "utf-8")
    shell.chmod(0o700)
    when = datetime.now().astimezone() + timedelta(seconds=75)  # cron looks once a minute
    good, brake = TrueConf(), TrueConf()
    for server in (good, brake):
        server.add_conference("0073310045", ended=timedelta(days=41))
        server.add_conference("0073310046", ended=timedelta(days=1))
    odd, refused = tmp_path / "it's 100% Bücher", tmp_path / "refused"
    with Server(good) as one, Server(brake) as two:
        lines = entry(odd, good, one.url, when) + entry(refused, brake, two.url, when, max_deletions=0)
        with cron(f"SHELL={shell}\n{lines}"):
            until = time.monotonic() + PATIENCE
            while not (statuses.is_file() and len(statuses.read_text().split()) == 2) and time.monotonic() < until:
                time.sleep(0.5)
    print(f"\n{lines}\nexit statuses: {statuses.read_text().split()}")
    assert sorted(statuses.read_text().split()) == ["0", "3"]
    with Ledger(odd / "state", writable=False) as ledger:
        (deletion,) = ledger.deletions()
    print({key: deletion[key] for key in ("run", "account", "id", "outcome")})
    assert (deletion["id"], deletion["outcome"]) == ("0073310045", "deleted")
    assert set(good.conferences) == {"0073310046"}
    assert len(brake.conferences) == 2
    assert "max_deletions" in (refused / "log").read_text("utf-8")
    assert (odd / "log").read_text("utf-8") == ""
