"""The locks: one run at a time for each account and source; real processes, and threads in place of many."""

from __future__ import annotations

import logging
import os
import random
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from confcleanup import lock as locks
from confcleanup.errors import LedgerError, Locked, Stopped
from confcleanup.lock import Claim, Held, alone, lock

HOUR = timedelta(hours=1)
HOLDER = """
import pathlib, sys
from confcleanup.lock import Claim, lock
with lock(pathlib.Path(sys.argv[1]), [Claim("hq", "1", sys.argv[2:])]):
    print("held", flush=True)
    sys.stdin.read()
"""
ROOMS = Claim("hq", "1", ["conferences"])
FILES = Claim("hq", "1", ["recordings"])
BOTH = Claim("hq", "1", ["conferences", "recordings"])


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that cleans the recordings of hq."""
    words = [sys.executable, "-c", HOLDER, str(tmp_path), "recordings"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def free(state: Path, *claims: Claim) -> bool:
    """Whether all of these can be had."""
    try:
        with lock(state, claims) as held:
            return not held.busy
    except Locked:
        return False


def test_a_second_run_is_told_who_cleans_the_source_and_what_to_do(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(Locked) as caught, lock(tmp_path, [FILES]):
        pass
    who = f"process {holder.pid} on {socket.gethostname()}"
    assert str(caught.value) == (
        f"hq: another run ({who}) is cleaning recordings; nothing was done: wait for it to end"
    )


@pytest.mark.parametrize(
    "other",
    [ROOMS, Claim("b", "2", ["recordings"]), Claim("hq", "2", ["recordings"])],
    ids=["source", "account", "namesake"],
)
def test_another_source_account_or_namesake_is_free(
    tmp_path: Path, holder: subprocess.Popen[str], other: Claim
) -> None:
    assert free(tmp_path, other)


def test_an_account_of_which_one_source_is_busy_is_left_alone_as_a_whole(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    with lock(tmp_path, [BOTH, Claim("b", "2", ["recordings"])]) as held:
        assert list(held.busy) == ["hq"]
        assert list(held.sources) == ["b"]
        assert free(tmp_path, ROOMS)
        assert not free(tmp_path, Claim("b", "2", ["recordings"]))


def test_a_spare_source_is_taken_only_if_it_is_free(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with lock(tmp_path, [Claim("hq", "1", ["conferences"], ["recordings", "meetings"])]) as held:
        assert held.sources["hq"] == {"conferences", "meetings"}


def test_a_killed_holder_holds_nothing(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    with lock(tmp_path, [FILES]):
        (told,) = (tmp_path / locks.FOLDER).glob("*.holder")
        assert f"process {os.getpid()} on" in told.read_text("utf-8")


def test_the_locks_are_let_go_at_the_end_and_after_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), lock(tmp_path, [BOTH]):
        raise ZeroDivisionError
    assert free(tmp_path, BOTH)
    assert not list((tmp_path / locks.FOLDER).glob("*.holder"))


def test_a_state_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LedgerError, match="the state folder cannot be used"), lock(tmp_path / "file" / "s", [BOTH]):
        pass


def test_what_is_held_for_more_than_a_moment_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "PATIENCE", 0.01)
    file = tmp_path / "turns.lock"
    with FileLock(file), pytest.raises(LedgerError, match=r"another process has held .*turns\.lock"), alone(file):
        pass


MANY = """
import pathlib, resource, sys
from confcleanup.lock import Claim, lock
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
with lock(pathlib.Path(sys.argv[1]), [Claim(str(number), str(number), ["x"]) for number in range(100)]) as held:
    print(len(held.sources))
"""


@pytest.mark.skipif(os.name != "posix", reason="elsewhere there is no such limit")
def test_hundreds_of_accounts_do_not_run_out_of_open_files(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", MANY, str(tmp_path)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("100\n", "")


# Waiting -------------------------------------------------------------------------------------------


class Waiting(logging.Handler):
    """Does something as soon as a run says that it waits."""

    def __init__(self, then: threading.Event) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []
        self._then = then

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())
        self._then.set()

    def __enter__(self) -> Waiting:
        locks.log.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        locks.log.removeHandler(self)


def test_a_run_waits_says_so_and_goes_on_when_the_other_has_ended(
    tmp_path: Path, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "POLL", 0.01)
    waits = threading.Event()

    def end_the_other() -> None:
        waits.wait(30)
        assert free(tmp_path, ROOMS), "who waits holds nothing"
        holder.kill()

    helper = threading.Thread(target=end_the_other)
    helper.start()
    with Waiting(waits) as told, lock(tmp_path, [BOTH, Claim("b", "2", ["recordings"])], HOUR / 2) as held:
        assert (held.busy, held.waited) == ({}, True)
    helper.join()
    (said,) = told.said
    assert said.startswith(f"hq: another run (process {holder.pid} on ")
    assert said.endswith("is cleaning recordings; waiting for up to 30 minutes")


def test_when_the_time_is_up_what_is_free_is_taken(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with lock(tmp_path, [FILES, Claim("b", "2", ["recordings"])], timedelta(milliseconds=5)) as held:
        assert (list(held.busy), held.waited) == (["hq"], True)
    with pytest.raises(Locked, match="is cleaning recordings after"), lock(tmp_path, [FILES], timedelta(seconds=0.005)):
        pass


def test_a_signal_ends_the_waiting(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    asked = threading.Event()
    with (
        Waiting(asked),
        pytest.raises(Stopped, match="stopped while waiting for another run"),
        lock(tmp_path, [FILES], HOUR, asked),
    ):
        pass


# An earlier release --------------------------------------------------------------------------------


def test_a_run_of_an_earlier_release_keeps_all_others_out(tmp_path: Path) -> None:
    (tmp_path / "holder").write_text("process 812 on srv1", "utf-8")
    with (
        FileLock(tmp_path / "lock"),
        pytest.raises(Locked, match=r"hq, b: another run \(process 812 on srv1\) of an older release holds"),
        lock(tmp_path, [FILES, Claim("b", "2", ["recordings"])]),
    ):
        pass
    assert free(tmp_path, FILES)


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a lock cannot be shared")
def test_a_run_of_an_earlier_release_does_not_begin_while_others_are_at_work(tmp_path: Path) -> None:
    with lock(tmp_path, [FILES]):
        with lock(tmp_path, [ROOMS]), pytest.raises(Timeout):
            FileLock(tmp_path / "lock", timeout=0).acquire()
        with pytest.raises(Timeout):
            FileLock(tmp_path / "lock", timeout=0).acquire()
    with FileLock(tmp_path / "lock", timeout=0):
        pass


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that has none."""
    import errno

    def flock(file: int, operation: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(pytest.importorskip("fcntl"), "flock", flock)


@pytest.mark.usefixtures("no_locks")
def test_where_the_file_system_has_no_locks_one_line_says_so_and_runs_still_exclude_each_other(tmp_path: Path) -> None:
    with Waiting(threading.Event()) as told:
        for _ in range(2):
            with lock(tmp_path, [FILES]) as held:
                assert free(tmp_path, ROOMS)
                assert not free(tmp_path, FILES)
                assert not held.busy
    (said,) = told.said
    assert said.startswith(f"the file system of {tmp_path} has no file locks, so files *.lock in it stand for")


@pytest.mark.usefixtures("no_locks")
def test_there_the_file_of_an_earlier_release_counts(tmp_path: Path) -> None:
    if not hasattr(FileLock(tmp_path / "x"), "fallback_to_soft"):
        pytest.skip("this filelock has no locks of its own there, so no earlier release ran with it")
    assert free(tmp_path, FILES)
    (tmp_path / "lock").touch()
    assert not free(tmp_path, FILES)


# Another machine -----------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a lock cannot be shared")
def test_a_ledger_is_never_written_from_two_machines_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with lock(tmp_path, [FILES]):
        monkeypatch.setattr(locks, "machine", lambda: "another one")
        with (
            pytest.raises(Locked, match="hq: another run on another machine is using"),
            lock(tmp_path, [ROOMS]),
        ):
            pass
    with lock(tmp_path, [ROOMS]):
        assert len(list((tmp_path / locks.FOLDER).glob("machine-*"))) == 1, "what a machine left behind is removed"


# Many at once --------------------------------------------------------------------------------------


def test_runs_that_want_the_same_in_any_order_never_hold_it_together_and_all_come_to_their_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "POLL", 0.001)
    at_work, wrong, ended = Counter[tuple[str, str]](), list[object](), Counter[str]()
    guard = threading.Lock()

    def enter(claims: Sequence[Claim], held: Held, by: int) -> None:
        with guard:
            for claim in claims:
                for what in held.sources.get(claim.account, ()):
                    at_work[claim.account, what] += by
            wrong.extend(count for count in at_work.values() if count not in (0, 1))

    def run(name: str, dice: random.Random) -> None:
        for _ in range(8):
            claims = [
                Claim(account, account, dice.sample("xyz", dice.randint(1, 3))) for account in dice.sample("abc", 2)
            ]
            with lock(tmp_path, claims, HOUR) as held:
                enter(claims, held, 1)
                enter(claims, held, -1)
            assert not held.busy
            ended[name] += 1

    threads = [threading.Thread(target=run, args=(str(n), random.Random(n))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    assert (wrong, ended) == ([], Counter({str(n): 8 for n in range(4)}))
