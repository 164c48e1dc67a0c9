"""Runs of the program itself, in a process of its own, with what they cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

CONFIG = """
[accounts.bench]
provider = "trueconf"
url = "{url}"
api = "v4"
client_id = "bench"
client_secret = {{ env = "BENCH_SECRET" }}
rate = "{rate}"
concurrency = {concurrency}
max_deletions = 10000000
[[accounts.bench.rules]]
name = "old"
what = "conferences"
older_than = "30 days"
"""


COMPILED = TemporaryDirectory(prefix="benchmarks-")
ENV = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
ENV |= {"BENCH_SECRET": "bench", "PYTHONPYCACHEPREFIX": COMPILED.name}
"""Modules are compiled once, as where a program is installed."""


@dataclass(frozen=True)
class Cost:
    """What one process took: seconds by the clock, seconds of the processor, MiB at its peak; and what it printed."""

    wall: float
    cpu: float
    peak: float
    output: str


def measured(command: list[str], ok: tuple[int, ...] = (0,)) -> Cost:
    """Runs a command to its end and measures it."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENV) as process:
        output, errors = process.communicate()
    if process.returncode not in ok:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}: {errors}")
    *_, line = errors.strip().splitlines()  # the launcher's
    wall, cpu, peak = json.loads(line)
    return Cost(wall, cpu, peak, output)


LAUNCH = """
import json, os, sys, time
began = time.perf_counter()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, used = os.wait4(pid, 0)
cost = [time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]
sys.stderr.write("\\n" + json.dumps(cost) + "\\n")
sys.exit(os.waitstatus_to_exitcode(status))
"""


def python(*words: str, ok: tuple[int, ...] = (0,)) -> Cost:
    """Runs this Python with these words."""
    return measured([sys.executable, "-c", LAUNCH, sys.executable, *words], ok)


def in_state(folder: Path, url: str, rate: str = "unlimited", concurrency: int = 32) -> list[str]:
    """The words that begin a command of the program with a config and a state in this folder."""
    config = folder / "config.toml"
    config.write_text(CONFIG.format(url=url, rate=rate, concurrency=concurrency), encoding="utf-8")
    config.chmod(0o600)
    return ["-m", "confcleanup", "-c", str(config), "--state", str(folder)]


def confcleanup(url: str, *words: str, rate: str = "unlimited", concurrency: int = 32) -> Cost:
    """Runs the program against a server, with a config and a state folder of its own."""
    with TemporaryDirectory() as folder:
        return python(*in_state(Path(folder), url, rate, concurrency), *words)
