"""The two schedules of docs/scheduling.md, as they are written there, both due at the same moment."""

from __future__ import annotations

import re
import shlex
import subprocess
import threading
from collections import Counter
from datetime import timedelta
from pathlib import Path

from click.testing import CliRunner, Result

from confcleanup.cli import cli
from confcleanup.records.ledger import Ledger
from confcleanup.sandbox.server import Request, Response, Server
from confcleanup.sandbox.vobiz import Vobiz

PAGE = Path(__file__).parents[2] / "docs" / "scheduling.md"
SECTION = PAGE.read_text(encoding="utf-8").split("## Several schedules")[1].split("\n## ")[0]
COMMANDS = [shlex.split(line) for line in re.findall(r"(?m)^confcleanup (.*)$", SECTION)]
PATIENCE = 30
HOUR = timedelta(hours=1)


def account() -> Vobiz:
    """Two rooms and two recordings, of which one each has to go."""
    emulator = Vobiz()
    emulator.add_room("left open", running=9 * HOUR)
    emulator.add_room("in use", running=HOUR)
    emulator.add_recording("7c1d2e3f-0000-4000-8000-000000000001", ended=40 * 24 * HOUR)
    emulator.add_recording("7c1d2e3f-0000-4000-8000-000000000002", ended=HOUR)
    return emulator


def together(emulator: Vobiz) -> Counter[str]:
    """Holds the first request about rooms, and the first about recordings, back until both have come; counts them."""
    both, seen, guard = threading.Barrier(2), Counter[str](), threading.Lock()

    def meet(request: Request) -> Response | None:
        what = "recordings" if "Recording" in request.path else "rooms"
        with guard:
            seen[what] += 1
            first = seen[what] == 1
        if first:
            both.wait(PATIENCE)
        return None

    emulator.interfere.append(meet)
    return seen


def test_live_rooms_and_recordings_are_cleaned_at_the_same_moment_by_the_jobs_of_the_docs(tmp_path: Path) -> None:
    emulator, config, state = account(), tmp_path / "config.toml", tmp_path / "state"

    def call(*words: str) -> Result:
        return CliRunner().invoke(cli, ["-c", str(config), "--state", str(state), *words])

    with Server(emulator) as server:
        config.write_text(emulator.account("calls", server.url), "utf-8")
        config.chmod(0o600)
        entries = [call(*words).stdout for words in COMMANDS if words[0] == "schedule"]
        lines = [entry.splitlines()[-1].split(maxsplit=5) for entry in entries]
        assert [" ".join(line[:5]) for line in lines] == ["0,15,30,45 * * * *", "30 3 * * 0"]
        seen = together(emulator)
        jobs = [
            subprocess.Popen(["/bin/sh", "-c", line[5]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for line in lines
        ]
        said = [job.communicate(timeout=PATIENCE)[0] for job in jobs]
    assert ([job.returncode for job in jobs], said) == ([0, 0], ["", ""])
    assert set(seen) == {"rooms", "recordings"}
    assert set(emulator.rooms) == {"in use"}
    assert [ident[-1] for ident in emulator.recordings] == ["2"]
    with Ledger(state, writable=False) as ledger:
        assert ledger.verify()
        assert {entry["what"] for entry in ledger.deletions()} == {"conferences", "recordings"}
    asked = [call(*words) for words in COMMANDS if words[0] == "check"]
    assert [done.exit_code for done in asked] == [0, 0], [done.stderr for done in asked]


def test_every_command_of_the_section_is_run_here() -> None:
    assert Counter(words[0] for words in COMMANDS) == {"schedule": 2, "check": 2}
