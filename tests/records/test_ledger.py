"""The ledger: durable before the deletion, chained, readable while it is written, pruned from its beginning."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confcleanup.deadline import Deadline
from confcleanup.errors import HttpError, LedgerError
from confcleanup.items import Item, Kind, Live, Outcome, Result
from confcleanup.outcomes import settle
from confcleanup.records.entries import Owner
from confcleanup.records.journal import Journal
from confcleanup.records.ledger import Ledger
from confcleanup.records.proof import FILE, HEAD, ORIGIN, Proof
from confcleanup.records.queries import RECORDED
from tests.fake import NOW, Fake, thing

DAY = timedelta(days=1)
HQ = Owner("hq", "fake")
WHAT = ("things", "files")
posix = pytest.mark.skipif(os.name != "posix", reason="only POSIX files have modes")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "state") as opened:
        yield opened


def journal(ledger: Ledger, account: str = "hq", at: datetime = NOW) -> Journal:
    return Journal(ledger, "run-1", account, "fake", lambda: at)


def event(number: int = 0, at: datetime = NOW) -> tuple[str, dict[str, Any], None]:
    return "listing", {"account": "hq", "number": number, "at": at.isoformat()}, None


def rows(ledger: Ledger) -> list[Any]:
    """What another process sees."""
    with closing(sqlite3.connect(ledger.path)) as other:
        return other.execute("SELECT seq, kind, body, hash, intent FROM event ORDER BY seq").fetchall()


def tamper(ledger: Ledger, *statements: str) -> None:
    with closing(sqlite3.connect(ledger.path)) as other, other:
        for statement in statements:
            other.execute(statement)


def deleted(ledger: Ledger, ident: str, at: datetime = NOW, outcome: Outcome = Outcome.DELETED) -> int:
    """A whole deletion: an intent and its outcome."""
    book = journal(ledger, at=at)
    (number,) = book.intend([(thing(ident), "old")])
    book.finish(number, Result(outcome))
    book.flush()
    return number


def shown(ledger: Ledger) -> list[tuple[str, str]]:
    return [(entry["id"], entry["outcome"]) for entry in ledger.deletions()]


class Broken:
    """A connection that fails at some statements."""

    def __init__(self, real: sqlite3.Connection, why: str, failures: int = 10**9) -> None:
        self._real, self._why, self._failures = real, why, failures

    def executemany(self, *words: Any) -> object:
        self._failures -= 1
        if self._failures >= 0:
            raise sqlite3.OperationalError(self._why)
        return self._real.executemany(*words)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


# Durability --------------------------------------------------------------------------------------


def test_an_intent_is_on_disk_before_intend_returns(ledger: Ledger) -> None:
    journal(ledger).intend([(thing("a"), "old"), (thing("b"), "old")])
    assert [kind for _, kind, *_ in rows(ledger)] == ["intent", "intent"]


def test_every_commit_is_flushed_to_the_disk(ledger: Ledger) -> None:
    assert ledger._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert ledger._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_an_outcome_is_written_with_the_next_intents(ledger: Ledger) -> None:
    book = journal(ledger)
    (first,) = book.intend([(thing("a"), "old")])
    book.finish(first, Result(Outcome.DELETED))
    assert len(rows(ledger)) == 1
    book.intend([(thing("b"), "old")])
    assert [(kind, intent) for _, kind, _, _, intent in rows(ledger)] == [
        ("intent", None),
        ("outcome", first),
        ("intent", None),
    ]


def test_an_outcome_is_written_at_once_if_the_last_commit_was_long_ago(ledger: Ledger) -> None:
    book = journal(ledger)
    (first,) = book.intend([(thing("a"), "old")])
    ledger._written -= 10
    book.finish(first, Result(Outcome.DELETED))
    assert len(rows(ledger)) == 2


def test_flush_writes_what_was_gathered(ledger: Ledger) -> None:
    deleted(ledger, "a")
    assert [kind for _, kind, *_ in rows(ledger)] == ["intent", "outcome"]


def test_many_threads_write_every_event_exactly_once_and_the_chain_holds(ledger: Ledger) -> None:
    def write(first: int) -> None:
        for number in range(first, first + 25):
            numbers[number] = ledger.append(event(number))[0]
            ledger.gather(event(1000 + number))

    numbers: dict[int, int] = {}
    threads = [threading.Thread(target=write, args=(25 * n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ledger.append()
    found = rows(ledger)
    assert ledger.verify()[0] == len(found) == 800
    written = {seq: body for seq, _, body, *_ in found}
    assert len(set(written.values())) == 800
    assert all(f'"number":{number}}}' in written[seq] for number, seq in numbers.items())


def test_threads_that_wait_for_the_same_commit_share_it(ledger: Ledger) -> None:
    commits: list[str] = []
    ledger._db.set_trace_callback(commits.append)
    together(ledger, [partial(ledger.append, event(n)) for n in range(8)])
    assert len([line for line in commits if line == "COMMIT"]) == 1
    assert len(rows(ledger)) == 8


def together(ledger: Ledger, calls: list[Callable[[], object]]) -> list[object]:
    """Calls that all have queued their events before the first of them writes; what each returned or raised."""

    class Queue(list[Any]):
        def __iadd__(self, tickets: Any) -> Queue:  # type: ignore[misc, override]  # narrower than list's own
            self.extend(tickets)
            queued.release()
            return self

    def call(number: int) -> None:
        try:
            results[number] = calls[number]()
        except LedgerError as error:
            results[number] = error

    queued = threading.Semaphore(0)
    results: list[object] = [None] * len(calls)
    threads = [threading.Thread(target=call, args=(number,)) for number in range(len(calls))]
    ledger._queue = Queue()
    with ledger._lock:
        for thread in threads:
            thread.start()
        for _ in threads:
            assert queued.acquire(timeout=30)
    for thread in threads:
        thread.join()
    return results


def test_a_commit_that_fails_fails_for_every_thread_that_waited_for_it(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "_db", Broken(ledger._db, "database or disk is full", failures=1))
    results = together(ledger, [partial(ledger.append, event(n)) for n in range(4)])
    assert all(isinstance(result, LedgerError) for result in results)
    assert rows(ledger) == []


def test_outcomes_whose_commit_failed_are_written_with_the_next_one(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = journal(ledger)
    (number,) = book.intend([(thing("a"), "old")])
    book.finish(number, Result(Outcome.DELETED))
    monkeypatch.setattr(ledger, "_db", Broken(ledger._db, "database is locked", failures=1))
    with pytest.raises(LedgerError, match="database is locked"):
        book.flush()
    book.flush()
    assert shown(ledger) == [("a", "deleted")]
    assert ledger.verify()[0] == 2


# The chain ---------------------------------------------------------------------------------------


@pytest.fixture
def chain(ledger: Ledger) -> Ledger:
    for number in range(6):
        ledger.append(event(number))
    return ledger


def test_what_nobody_touched_is_proven_and_the_last_hash_is_told(chain: Ledger) -> None:
    assert chain.verify() == Proof(6, rows(chain)[-1][3], first=1, last=6, pruned=None, headed=True)


def test_an_empty_ledger_is_proven(ledger: Ledger) -> None:
    assert ledger.verify()[0] == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE event SET body = replace(body, 'hq', 'hp') WHERE seq = 3", "entry 3 was altered"),
        ("UPDATE event SET kind = 'outcome' WHERE seq = 3", "entry 3 was altered"),
        ("UPDATE event SET intent = 1 WHERE seq = 3", "entry 3 was altered"),
        ("UPDATE event SET hash = upper(hash) WHERE seq = 3", "entry 3 was altered"),
        ("DELETE FROM event WHERE seq = 3", "entries are missing between 2 and 4"),
        ("DELETE FROM event WHERE seq = 1", "entries are missing between 0 and 2"),
        ("DELETE FROM anchor", "the beginning of the chain is missing"),
    ],
)
def test_a_change_anywhere_is_found(chain: Ledger, change: str, told: str) -> None:
    tamper(chain, change)
    with pytest.raises(LedgerError, match=told):
        chain.verify()


def test_two_swapped_entries_are_found(chain: Ledger) -> None:
    tamper(chain, *(f"UPDATE event SET seq = {new} WHERE seq = {old}" for old, new in ((3, 99), (4, 3), (99, 4))))
    with pytest.raises(LedgerError, match="entry 3 was altered"):
        chain.verify()


def test_a_removed_entry_is_found_even_if_the_others_are_renumbered(chain: Ledger) -> None:
    tamper(
        chain,
        "DELETE FROM event WHERE seq = 3",
        *(f"UPDATE event SET seq = {n} WHERE seq = {n + 1}" for n in (3, 4, 5)),
    )
    with pytest.raises(LedgerError, match="entry 3 was altered"):
        chain.verify()


@given(st.integers(1, 6), st.sampled_from(["kind", "body", "hash"]), st.sampled_from([" ", "\t"]))
def test_no_column_of_any_entry_can_be_changed_unseen(number: int, column: str, added: str) -> None:
    with TemporaryDirectory() as folder, Ledger(Path(folder)) as ledger:
        for n in range(6):
            ledger.append(event(n))
        ledger._db.execute(f"UPDATE event SET {column} = {column} || ? WHERE seq = ?", (added, number))
        with pytest.raises(LedgerError, match=f"entry {number} "):
            list(ledger._chain.events(ledger._db, ledger._chain.anchor(ledger._db)))


# Opening -----------------------------------------------------------------------------------------


@posix
def test_file_and_folder_are_for_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with Ledger(tmp_path / "a" / "state") as ledger:
            ledger.append(event())
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in ledger.path.parent.iterdir()}
    finally:
        os.umask(before)
    assert FILE in modes
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE((tmp_path / "a" / "state").stat().st_mode) == 0o700


def test_a_ledger_is_continued_where_it_ended(tmp_path: Path) -> None:
    for number in range(3):
        with Ledger(tmp_path) as ledger:
            ledger.append(event(number))
    with Ledger(tmp_path, writable=False) as ledger:
        assert ledger.verify()[0] == 3


@pytest.mark.parametrize("writable", [True, False])
def test_a_newer_ledger_is_refused_and_left_as_it_is(tmp_path: Path, writable: bool) -> None:
    with Ledger(tmp_path) as ledger:
        tamper(ledger, "PRAGMA user_version = 3")
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(LedgerError, match=r"newer confcleanup \(ledger version 3\); update this one"):
        Ledger(tmp_path, writable=writable)
    assert (tmp_path / FILE).read_bytes() == before


@pytest.mark.parametrize("writable", [True, False])
def test_a_damaged_file_is_told_before_anything_is_deleted(tmp_path: Path, writable: bool) -> None:
    (tmp_path / FILE).write_bytes(b"this was a database once " * 100)
    with pytest.raises(LedgerError, match=r"cannot be used, and what .*: file is not a database"):
        Ledger(tmp_path, writable=writable)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LedgerError, match="what cannot be recorded is not deleted"):
        Ledger(tmp_path / "file" / "state")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(LedgerError, match="what cannot be recorded is not deleted"):
        Ledger(tmp_path)


def test_a_file_that_cannot_be_written_is_told_when_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Ledger(tmp_path).close()
    real = sqlite3.connect

    def read_only(path: Path, **options: Any) -> sqlite3.Connection:
        return real(f"{path.as_uri()}?mode=ro", uri=True, **options)

    monkeypatch.setattr(sqlite3, "connect", read_only)
    with pytest.raises(LedgerError, match="readonly database"):
        Ledger(tmp_path)


def test_a_full_disk_stops_at_the_intent(ledger: Ledger) -> None:
    pages = ledger._db.execute("PRAGMA page_count").fetchone()[0]
    ledger._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(LedgerError, match=r"the disk of .* is full"):
        journal(ledger).intend([(thing("a", title="x" * 100_000), "old")])
    assert rows(ledger) == []


def test_reading_where_there_is_no_ledger_creates_nothing(tmp_path: Path) -> None:
    assert not Ledger.exists(tmp_path)
    for folder in (tmp_path, tmp_path / "state"):
        with pytest.raises(LedgerError):
            Ledger(folder, writable=False)
    assert list(tmp_path.iterdir()) == []


def test_a_ledger_opened_for_reading_cannot_be_written(tmp_path: Path) -> None:
    Ledger(tmp_path).close()
    with Ledger(tmp_path, writable=False) as ledger, pytest.raises(sqlite3.OperationalError, match="readonly"):
        ledger._db.execute("DELETE FROM anchor")


# Reading -----------------------------------------------------------------------------------------


def test_history_shows_each_attempt_with_its_outcome_and_none_that_was_deferred(ledger: Ledger) -> None:
    for ident, outcome in (("a", Outcome.DELETED), ("b", Outcome.DEFERRED), ("c", Outcome.FAILED)):
        deleted(ledger, ident, outcome=outcome)
    journal(ledger).intend([(thing("open"), "old")])
    assert shown(ledger) == [("a", "deleted"), ("c", "failed"), ("open", "unknown")]


def test_history_is_read_one_by_one_while_others_write(ledger: Ledger) -> None:
    for number in range(3):
        deleted(ledger, f"{number}")
    found = ledger.deletions()
    next(found)
    deleted(ledger, "later")
    assert len(list(found)) == 2


def test_the_whole_ledger_is_never_fetched_at_once(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    deleted(ledger, "a")

    def everything(*_: object) -> None:
        raise AssertionError("fetched everything")

    monkeypatch.setattr(ledger, "_rows", everything)
    assert ledger.verify()[0] == 2
    assert shown(ledger) == [("a", "deleted")]


def test_a_secret_in_an_error_is_not_recorded(ledger: Ledger) -> None:
    from confcleanup.redact import redact

    redact.add("s3cr3t-of-the-ledger-test")
    book = journal(ledger)
    (number,) = book.intend([(thing("a"), "old")])
    book.finish(number, Result(Outcome.FAILED, "refused s3cr3t-of-the-ledger-test"))
    book.flush()
    assert not any("s3cr3t" in body for _, _, body, *_ in rows(ledger))


def listing(ledger: Ledger, selected: int, account: str = "hq", rules: str = "r", **left: int) -> None:
    journal(ledger, account).note("listing", rules=rules, refused=False, selected=selected, left=left)


def test_the_last_runs_of_the_same_rules_in_an_account_are_found_newest_first(ledger: Ledger) -> None:
    for number in range(5):
        listing(ledger, number)
    listing(ledger, 99, account="other")
    listing(ledger, 98, rules="others")
    journal(ledger).note("listing", rules="r", refused=True, selected=97, left={})
    journal(ledger).note("listing", scope="of an older version", selected=96, left=96)
    assert ledger.selections(HQ, "r", 3) == [4, 3, 2]


def test_what_was_left_of_a_list_is_what_the_last_run_that_knew_it_left(ledger: Ledger) -> None:
    listing(ledger, 1, things=30, files=7)
    listing(ledger, 1, things=20)
    listing(ledger, 1, account="other", things=99)
    journal(ledger).note("listing", scope="of an older version", selected=96, left=96)
    assert ledger.left(HQ, "things", "things") == 20
    assert ledger.left(HQ, "files", "files") == 7
    assert ledger.left(HQ, "heaps", "heaps") is None


def test_what_was_begun_to_be_deleted_since_is_not_left(ledger: Ledger) -> None:
    deleted(ledger, "before")
    listing(ledger, 1, things=2, files=2)
    for ident in ("a", "b", "c"):
        deleted(ledger, ident)
    assert ledger.left(HQ, "things", "things") == 0
    assert ledger.left(HQ, "files", "files") == 2


def test_the_item_that_was_deleted_last_is_found_by_its_id(ledger: Ledger) -> None:
    deleted(ledger, "a")
    deleted(ledger, "b", outcome=Outcome.FAILED)
    found = ledger.deleted("hq", "a")
    assert found
    assert (found.id, found.title) == ("a", "Title of a")
    assert ledger.deleted("hq", "b") is None
    assert ledger.deleted("other", "a") is None


# What an earlier run left open -------------------------------------------------------------------


def begun(ledger: Ledger, *items: Item) -> Journal:
    """Intents of a run that was cut off, as a new run's journal sees them."""
    journal(ledger).intend([(item, "old") for item in items])
    return journal(ledger)


def test_an_intent_without_an_outcome_is_open_until_it_has_one(ledger: Ledger) -> None:
    deleted(ledger, "done")
    book = begun(ledger, thing("a"))
    ((number, item),) = book.left_open(WHAT)
    assert item.key == thing("a").key
    assert journal(ledger, "other").left_open(WHAT) == []
    book.finish(number, Result(Outcome.DELETED))
    book.flush()
    assert book.left_open(WHAT) == []


def settled(ledger: Ledger, provider: Fake, book: Journal) -> list[str]:
    return settle(provider, book.left_open(WHAT), book, provider.stop)


def test_what_is_gone_was_deleted(ledger: Ledger) -> None:
    assert settled(ledger, Fake(), begun(ledger, thing("a"))) == []
    assert shown(ledger) == [("a", "deleted")]


def test_what_is_still_there_failed_and_is_not_deleted_by_settling(ledger: Ledger) -> None:
    provider = Fake(thing("a"))
    assert settled(ledger, provider, begun(ledger, thing("a"))) == []
    assert shown(ledger) == [("a", "failed")]
    assert provider.sent("a") == 0


def test_what_cannot_be_looked_at_stays_open_and_is_told(ledger: Ledger) -> None:
    def refuse(item: Item) -> None:
        raise HttpError("no answer")

    provider, book = Fake(thing("a")), begun(ledger, thing("a"), thing("b"))
    provider.before_look = refuse
    told = settled(ledger, provider, book)
    assert len(told) == 2
    assert "things a, begun by an earlier run, is not known: no answer" in told[0]
    assert len(book.left_open(WHAT)) == 2


def unknown(ledger: Ledger, *items: Item) -> Journal:
    """A run that did not find out what became of these, as a new run's journal sees it."""
    before = journal(ledger)
    for number in before.intend([(item, "old") for item in items]):
        before.finish(number, Result(Outcome.UNKNOWN, "still there"))
    before.flush()
    return journal(ledger)


def test_an_outcome_that_was_not_known_is_judged_by_the_next_run(ledger: Ledger) -> None:
    book = unknown(ledger, thing("gone"), thing("there"))
    assert [item.id for _, item in book.left_unknown(WHAT)] == ["gone", "there"]
    assert settle(Fake(thing("there")), [], book, Deadline(), book.left_unknown(WHAT)) == []
    assert shown(ledger) == [("gone", "deleted"), ("there", "unknown")]
    assert [item.id for _, item in book.left_unknown(WHAT)] == ["there"]
    assert ledger.verify()


def test_an_outcome_that_was_not_known_is_not_looked_into_for_ever(ledger: Ledger) -> None:
    unknown(ledger, thing("there"))
    later = Journal(ledger, "run", "hq", "fake", lambda: NOW + timedelta(days=4), "")
    assert later.left_unknown(WHAT) == []


def test_a_room_without_details_is_never_taken_for_ended_by_settling(ledger: Ledger) -> None:
    book = begun(ledger, thing("Room", kind=Kind.LIVE, live=Live()))
    assert settled(ledger, Fake(room(timedelta(minutes=5), NOW)), book) == []
    assert shown(ledger) == [("Room", "unknown")]


def test_what_could_not_be_looked_at_in_time_stays_open(ledger: Ledger) -> None:
    stop = Deadline()
    stop.asked.set()
    book = begun(ledger, thing("a"))
    assert len(settled(ledger, Fake(stop=stop), book)) == 1
    assert len(book.left_open(WHAT)) == 1


def room(running: timedelta | None, began: datetime = NOW - timedelta(hours=9)) -> Item:
    return thing("Room", kind=Kind.LIVE, live=Live(running), started_at=began)


@pytest.mark.parametrize(
    ("now_there", "outcome"),
    [
        (None, "deleted"),
        (room(timedelta(hours=10)), "failed"),
        (room(timedelta(minutes=5), NOW), "deleted"),
        (room(None), "unknown"),
    ],
    ids=["gone", "the same room", "another room of its name", "a room without details"],
)
def test_a_room_that_was_being_ended_is_told_from_a_new_one(
    ledger: Ledger, now_there: Item | None, outcome: str
) -> None:
    book = begun(ledger, room(timedelta(hours=9)))
    assert settled(ledger, Fake(*filter(None, [now_there])), book) == []
    assert shown(ledger) == [("Room", outcome)]


# Pruning -----------------------------------------------------------------------------------------


def test_the_oldest_events_go_and_the_rest_is_still_proven(ledger: Ledger) -> None:
    for days in (400, 300, 200, 100):
        deleted(ledger, f"{days}", at=NOW - days * DAY)
    assert ledger.prune(NOW - 250 * DAY, NOW) == 4
    assert shown(ledger) == [("200", "deleted"), ("100", "deleted")]
    assert ledger.verify()[0] == 5
    assert rows(ledger)[-1][1] == "prune"


def test_what_is_written_after_pruning_continues_the_chain(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        deleted(ledger, "old", at=NOW - 400 * DAY)
        ledger.prune(NOW, NOW)
        deleted(ledger, "new")
    with Ledger(tmp_path) as ledger:
        deleted(ledger, "newer")
        assert ledger.verify()[0] == 5


def test_a_ledger_pruned_to_nothing_goes_on_where_it_ended(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        deleted(ledger, "old", at=NOW - 400 * DAY)
        assert ledger.prune(NOW, NOW) == 2
        last = ledger.verify()
    with Ledger(tmp_path) as ledger:
        assert ledger.verify() == last
        assert (last.first, last.last) == (3, 3)
        assert ledger.append(event()) == [4]


def test_a_change_after_pruning_is_still_found(ledger: Ledger) -> None:
    for days in (400, 100):
        deleted(ledger, f"{days}", at=NOW - days * DAY)
    ledger.prune(NOW - 250 * DAY, NOW)
    tamper(ledger, "DELETE FROM event WHERE seq = 3")
    with pytest.raises(LedgerError, match="entries are missing between 2 and 4"):
        ledger.verify()


def test_an_open_intent_stays_and_so_does_everything_after_it(ledger: Ledger) -> None:
    deleted(ledger, "first", at=NOW - 400 * DAY)
    begun(ledger, thing("open"))
    journal(ledger, at=NOW - 300 * DAY).note("listing", number=1)
    assert ledger.prune(NOW + DAY, NOW) == 2
    assert [kind for _, kind, *_ in rows(ledger)] == ["intent", "listing", "prune"]


def test_an_intent_whose_outcome_is_younger_stays(ledger: Ledger) -> None:
    (number,) = journal(ledger, at=NOW - 400 * DAY).intend([(thing("a"), "old")])
    late = journal(ledger, at=NOW)
    late.finish(number, Result(Outcome.DELETED))
    late.flush()
    assert ledger.prune(NOW - DAY, NOW) == 0
    assert shown(ledger) == [("a", "deleted")]


def test_an_event_exactly_at_the_cutoff_stays(ledger: Ledger) -> None:
    ledger.append(event(1, NOW - DAY), event(2, NOW))
    assert ledger.prune(NOW, NOW) == 1


def test_an_event_without_a_readable_time_stays(ledger: Ledger) -> None:
    ledger.append(("note", {"at": "soon"}, None), event(1, NOW - 400 * DAY))
    assert ledger.prune(NOW, NOW) == 0


def test_a_ledger_that_was_altered_is_not_pruned(chain: Ledger) -> None:
    tamper(chain, "UPDATE event SET kind = 'x' WHERE seq = 2")
    with pytest.raises(LedgerError, match="entry 2 was altered"):
        chain.prune(datetime(2100, 1, 1, tzinfo=UTC), NOW)
    assert len(rows(chain)) == 6


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=8), st.integers(0, 10))
def test_whatever_is_pruned_is_old_and_answered_and_the_rest_is_proven(
    written: list[tuple[int, bool]], keep: int
) -> None:
    with TemporaryDirectory() as folder, Ledger(Path(folder)) as ledger:
        for days, answered in written:
            at = NOW - days * DAY
            if answered:
                deleted(ledger, "x", at=at)
            else:
                journal(ledger, at=at).intend([(thing("y"), "old")])
        before = rows(ledger)
        count = ledger.prune(NOW - keep * DAY, NOW)
        kept = rows(ledger)
        assert kept[: len(before) - count] == before[count:]
        assert [kind for _, kind, *_ in kept[len(before) - count :]] == ["prune"] * bool(count)
        assert ledger.verify()[0] == len(kept)
        gone = written[: count // 2]
        assert count % 2 == 0
        assert all(days > keep and answered for days, answered in gone)
        rest = written[count // 2 :]
        assert not rest or rest[0][0] <= keep or not rest[0][1]


# The two ends ------------------------------------------------------------------------------------


def filled(folder: Path, count: int = 6) -> Path:
    """The file of a ledger with so many entries, as a run leaves it."""
    with Ledger(folder) as ledger:
        for number in range(count):
            ledger.append(event(number, NOW - (400 - number) * DAY))
    return folder / FILE


def change(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file)) as other, other:
        for statement in statements:
            other.execute(statement)


MOVED = "UPDATE anchor SET seq = 4, hash = (SELECT hash FROM event WHERE seq = 4)"


@pytest.mark.parametrize(
    ("statements", "told"),
    [
        (["DELETE FROM event WHERE seq <= 4"], "entries are missing between 0 and 5"),
        ([MOVED, "DELETE FROM event WHERE seq <= 4"], "no entry says that those up to 4 were pruned"),
        ([MOVED.replace("4", "6"), "DELETE FROM event"], "no entry says that those up to 6 were pruned"),
        (["DELETE FROM event"], "it ends with entry 0, but 6 were written"),
        (["DELETE FROM event WHERE seq = 6"], "it ends with entry 5, but 6 were written"),
    ],
    ids=["the oldest", "the oldest, anchor moved", "all, anchor moved", "all", "the newest"],
)
def test_entries_cut_off_at_either_end_are_found_and_no_run_goes_on_without_them(
    tmp_path: Path, statements: list[str], told: str
) -> None:
    change(filled(tmp_path), *statements)
    for writable in (True, False):
        with pytest.raises(LedgerError, match=f"{told}.*restore"):
            Ledger(tmp_path, writable=writable)
    with Ledger(tmp_path, writable=False, whole=False) as ledger:
        assert told in str(ledger.doubt)
        with pytest.raises(LedgerError, match=told):
            ledger.verify()


def test_what_is_cut_off_while_the_ledger_is_open_is_found_too(chain: Ledger) -> None:
    tamper(chain, MOVED, "DELETE FROM event WHERE seq <= 4")
    with pytest.raises(LedgerError, match="no entry says that those up to 4 were pruned"):
        chain.verify()


def test_a_pruning_is_an_entry_that_says_exactly_what_went(ledger: Ledger) -> None:
    for days in (400, 300, 200):
        deleted(ledger, f"{days}", at=NOW - days * DAY)
    last_gone = rows(ledger)[3]
    ledger.prune(NOW - 250 * DAY, NOW)
    proof = ledger.verify()
    assert proof.pruned == {
        "at": "2026-03-01T12:00:00Z",
        "before": "2025-06-24T12:00:00Z",
        "first": 1,
        "last": 4,
        "count": 4,
        "hash": last_gone[3],
    }
    assert (proof.entries, proof.first, proof.last) == (3, 5, 7)


def test_prunings_are_pruned_and_the_newest_always_says_where_the_chain_begins(tmp_path: Path) -> None:
    """Ten years of a run a day, of which 30 days are kept."""
    with Ledger(tmp_path) as ledger:
        for day in range(0, 3650, 10):
            at = NOW + day * DAY
            ledger.append(event(day, at))
            ledger.prune(at - 30 * DAY, at)
            assert ledger.verify().last == ledger._seq
    with Ledger(tmp_path) as ledger:
        proof = ledger.verify()
        assert proof.pruned
        assert (proof.pruned["last"], proof.first) == (proof.first - 1, ledger._chain.anchor(ledger._db)[0] + 1)
        assert proof.entries < 12


def test_a_pruning_that_finds_nothing_old_writes_nothing(ledger: Ledger) -> None:
    ledger.append(event())
    assert ledger.prune(NOW - DAY, NOW) == 0
    assert ledger.verify().pruned is None
    assert len(rows(ledger)) == 1


def test_entries_that_an_older_pruning_took_out_cannot_be_put_back(ledger: Ledger) -> None:
    ledger.append(event(1, NOW - 400 * DAY), event(2))
    (first, *_) = rows(ledger)
    ledger.prune(NOW, NOW)
    with closing(sqlite3.connect(ledger.path)) as other, other:
        other.execute("INSERT INTO event (seq, kind, body, hash, intent) VALUES (?, ?, ?, ?, ?)", first)
        other.execute("UPDATE anchor SET seq = 0, hash = ?", (ORIGIN,))
    with pytest.raises(LedgerError, match="restore the ledger from a backup"):
        ledger.verify()


def test_a_pruning_whose_commit_fails_takes_nothing_out(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.append(event(1, NOW - 400 * DAY), event(2))

    class NoDelete(Broken):
        def execute(self, statement: str, *words: Any) -> object:
            if statement.startswith("DELETE"):
                raise sqlite3.OperationalError("disk I/O error")
            return self._real.execute(statement, *words)

    with monkeypatch.context() as patched:
        patched.setattr(ledger, "_db", NoDelete(ledger._db, ""))
        with pytest.raises(LedgerError, match="disk I/O error"):
            ledger.prune(NOW, NOW)
    assert ledger.append(event(3)) == [3]
    assert ledger.verify().entries == 3


# Ledgers of older releases


def of_version_1(folder: Path, *, pruned: bool) -> None:
    """A ledger as a release left it that recorded no prunings and knew no second file."""
    file = filled(folder)
    change(file, "PRAGMA user_version = 1")
    if pruned:
        change(file, MOVED, "DELETE FROM event WHERE seq <= 4")
    (folder / HEAD).unlink()


def test_a_ledger_that_an_older_release_pruned_is_no_false_alarm_and_the_next_run_records_it(tmp_path: Path) -> None:
    of_version_1(tmp_path, pruned=True)
    with Ledger(tmp_path, writable=False) as ledger:
        proof = ledger.verify()
        assert (proof.entries, proof.first, proof.headed) == (2, 5, False)
        assert proof.pruned == {"first": 1, "last": 4, "at": None, "before": None}
    with Ledger(tmp_path) as ledger:
        proof = ledger.verify()
        assert proof.pruned
        assert (proof.entries, proof.pruned["last"], proof.pruned["before"]) == (3, 4, None)
        assert ledger.append(event()) == [8]
    with Ledger(tmp_path) as ledger:
        assert ledger.verify().entries == 4


def test_a_whole_ledger_of_an_older_release_goes_on_as_it_is(tmp_path: Path) -> None:
    of_version_1(tmp_path, pruned=False)
    with Ledger(tmp_path) as ledger:
        assert ledger.verify()[2:] == (1, 6, None, True)
        assert ledger._db.execute("PRAGMA user_version").fetchone() == (2,)


def test_a_ledger_cannot_be_made_older_to_have_a_cut_adopted(tmp_path: Path) -> None:
    change(filled(tmp_path), MOVED, "DELETE FROM event WHERE seq <= 4", "PRAGMA user_version = 1")
    with pytest.raises(LedgerError, match=r"ledger of an older release, but ledger\.head shows"):
        Ledger(tmp_path)


# The file that knows how far it was written


def head(folder: Path) -> str:
    return (folder / HEAD).read_text("ascii")


def test_a_new_state_folder_just_works_and_has_both_files(tmp_path: Path) -> None:
    with Ledger(tmp_path / "state") as ledger:
        assert head(tmp_path / "state") == f"0 {ORIGIN}\n"
        ledger.append(event())
    assert head(tmp_path / "state") == f"1 {ledger._hash}\n"


def test_a_ledger_is_ahead_of_the_file_after_a_crash_and_that_is_fine(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    before = head(tmp_path)
    filled(tmp_path, 3)
    (tmp_path / HEAD).write_text(before, "ascii")
    with Ledger(tmp_path, writable=False) as ledger:
        assert ledger.verify().entries == 6
    Ledger(tmp_path).close()
    assert head(tmp_path).startswith("6 ")


def test_a_crash_after_a_pruning_is_fine(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    before = head(tmp_path)
    with Ledger(tmp_path) as ledger:
        ledger.append(event(7, NOW - 399 * DAY), event(8))
        ledger.prune(NOW - DAY, NOW)
    (tmp_path / HEAD).write_text(before, "ascii")
    with Ledger(tmp_path) as ledger:
        assert ledger.verify().first == 5


@pytest.mark.parametrize("writable", [True, False])
@pytest.mark.parametrize("left", [None, b""], ids=["missing", "empty"])
def test_a_ledger_that_is_gone_is_told_with_what_to_do(tmp_path: Path, left: bytes | None, writable: bool) -> None:
    file = filled(tmp_path)
    file.unlink()
    if left is not None:
        file.write_bytes(left)
    assert Ledger.exists(tmp_path)
    with pytest.raises(LedgerError, match=r"but ledger\.head beside it shows .* or remove ledger\.head to begin"):
        Ledger(tmp_path, writable=writable)
    (tmp_path / HEAD).unlink()
    with Ledger(tmp_path) as ledger:
        assert ledger.verify().entries == 0


def test_what_a_crash_left_beside_an_empty_ledger_is_not_thrown_away(tmp_path: Path) -> None:
    """SQLite removes the journal of a file that is empty."""
    (tmp_path / FILE).touch()
    (tmp_path / f"{FILE}-wal").write_bytes(b"entries that are not in the ledger yet")
    with pytest.raises(LedgerError, match=r"ledger\.sqlite-wal beside it shows that there was one"):
        Ledger(tmp_path)
    assert (tmp_path / f"{FILE}-wal").stat().st_size


def test_an_empty_ledger_without_a_sign_of_a_run_is_begun_by_a_run_and_proves_nothing_before(tmp_path: Path) -> None:
    (tmp_path / FILE).touch()
    with pytest.raises(LedgerError, match="is empty; restore it from a backup if a run was ever made"):
        Ledger(tmp_path, writable=False)
    with Ledger(tmp_path) as ledger:
        assert ledger.append(event()) == [1]


def test_an_older_copy_of_the_ledger_is_told_and_can_be_gone_on_with_knowingly(tmp_path: Path) -> None:
    file = filled(tmp_path, 3)
    copy = file.read_bytes()
    filled(tmp_path, 3)
    file.write_bytes(copy)
    with pytest.raises(LedgerError, match=r"ends with entry 3, but 6 were written; .* or remove ledger\.head"):
        Ledger(tmp_path)
    (tmp_path / HEAD).unlink()
    with Ledger(tmp_path) as ledger:
        assert ledger.append(event()) == [4]


def test_another_ledger_in_its_place_is_told(tmp_path: Path) -> None:
    with Ledger(tmp_path / "other") as ledger:
        ledger.append(*(event(100 + number) for number in range(9)))
    filled(tmp_path).write_bytes((tmp_path / "other" / FILE).read_bytes())
    with pytest.raises(LedgerError, match="entry 6 differs from the one that was written here"):
        Ledger(tmp_path)


@pytest.mark.parametrize("text", ["", "six", "6", f"-6 {ORIGIN}\n", f"6 {ORIGIN[1:]}\n"])
def test_a_damaged_file_of_the_head_is_told(tmp_path: Path, text: str) -> None:
    filled(tmp_path)
    (tmp_path / HEAD).write_text(text, "ascii")
    with pytest.raises(LedgerError, match=r"ledger\.head was altered; remove it if"):
        Ledger(tmp_path)


def test_a_head_that_cannot_be_written_is_a_warning_and_the_ledger_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with Ledger(tmp_path) as ledger:
        assert ledger.append(event()) == [1]
    assert "ledger.head could not be written: No space left on device" in caplog.text


def test_a_ledger_opened_for_reading_writes_no_head(tmp_path: Path) -> None:
    filled(tmp_path)
    before = (tmp_path / HEAD).stat().st_mtime_ns
    with Ledger(tmp_path, writable=False):
        pass
    assert (tmp_path / HEAD).stat().st_mtime_ns == before


DYING = """
import os, signal, sqlite3, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from confcleanup.records.ledger import Ledger

now, real_connect, real_replace = datetime(2026, 3, 1, tzinfo=UTC), sqlite3.connect, Path.replace

def step(*_):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

def connect(*words, **named):
    step()
    opened = real_connect(*words, **named)
    opened.set_trace_callback(step)
    return opened

def replace(*words):
    step()
    real_replace(*words)
    step()

def entry(days):
    return "listing", {"account": "hq", "at": (now - timedelta(days=days)).isoformat()}, None

def write(folder):
    sqlite3.connect, Path.replace = connect, replace
    for days in (400, 300):
        with Ledger(folder) as ledger:
            ledger.append(entry(days))
            ledger.prune(now - timedelta(days=350), now)

number, status = 0, signal.SIGKILL
while status:
    number += 1
    folder, left = Path(sys.argv[1], str(number)), number
    if not (child := os.fork()):
        write(folder)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    with Ledger(folder) as ledger:
        ledger.append(entry(0))
        ledger.verify()
    with Ledger(folder, writable=False) as ledger:
        assert ledger.verify().headed
print(number)
"""


@posix
def test_a_death_at_any_step_is_no_false_alarm(tmp_path: Path) -> None:
    """Killed at each statement and each renaming of two runs that write and prune; each time in a new folder."""
    done = subprocess.run([sys.executable, "-c", DYING, str(tmp_path)], check=True, stdout=subprocess.PIPE, timeout=120)
    assert int(done.stdout) > 40


# Looking up what is listed again -----------------------------------------------------------------


def test_recorded_deletions_are_found_by_any_id_and_no_others(ledger: Ledger) -> None:
    odd = ["plain", "it's", "ümlaut", "a,b", "\ud800", "?"]
    for ident in [*odd, "another"]:
        deleted(ledger, ident)
    deleted(ledger, "failed", outcome=Outcome.FAILED)
    found = [body["id"] for body, _ in ledger.recorded("hq", [*odd, "failed", "never"])]
    assert found == odd
    assert list(ledger.recorded("branch", odd)) == []


def test_recorded_deletions_are_looked_up_through_the_index_of_ids(ledger: Ledger) -> None:
    with closing(sqlite3.connect(ledger.path)) as other:
        plan = [row[3] for row in other.execute(f"EXPLAIN QUERY PLAN {RECORDED}", ("[]", "hq"))]
    assert any("USING INDEX item_of" in step for step in plan), plan
