"""What all tests share: generated cases run without a time limit of their own, as machines differ."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from confcleanup import follow_up
from confcleanup.deadline import Deadline
from confcleanup.redact import Redactor, redact
from tests import old_click as old_click
from tests.witness.statements import pytest_terminal_summary as pytest_terminal_summary

settings.register_profile("here", deadline=None)
settings.load_profile("here")
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each process that a test starts compiles the package
if Path("/dev/shm").is_dir() and shutil.disk_usage("/dev/shm").free > 2**30:
    # Each ledger and archive is written through to the disk; in memory that costs nothing.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", "/dev/shm")
if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A shell starts programs in the background with Ctrl-C ignored, and what a test starts would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.umask(0o077)  # what a test writes is private, as the program asks of files that hold secrets


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Twice as many workers as processors: nearly half of the time a test waits for a socket or another process."""
    return 2 * (os.cpu_count() or 1)


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A command line sets up logging for its process; the next test starts without that."""
    yield
    logger = logging.getLogger("confcleanup")
    logger.handlers.clear()
    logger.propagate = True
    logger.setLevel(logging.NOTSET)


@pytest.fixture(autouse=True)
def _no_secrets_of_another_test() -> Iterator[None]:
    """The register of secrets is the process's; a secret of one test must not blacken the words of the next."""
    yield
    vars(redact).update(vars(Redactor()))


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause before a repetition ends at once."""
    monkeypatch.setattr(Deadline, "wait", lambda self, seconds: self.check())


@pytest.fixture(autouse=True)
def _vendors_that_do_not_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks after a deletion follow each other at once; tests of the waiting itself pass their own."""
    monkeypatch.setattr(follow_up, "LAGS", (0.0,) * 4)
