"""What is selected is held outside of memory, in its order, each item once, and counted truthfully."""

from __future__ import annotations

import gc
import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from confcleanup import worklist as selected
from confcleanup.errors import LedgerError
from confcleanup.filter import Decision, Reason
from confcleanup.items import Item, Kind, Live, Outcome, Result, State
from confcleanup.listing import Listing, make_plan
from confcleanup.worklist import Entry, Worklist
from tests.fake import NOW, Fake, rule, thing

GOES = Decision(True, Reason.DUE, "ended 40 days ago", "old")
HOSTILE = ["", "'", '"; DROP TABLE entry; --', "\ud800", "\0", "é", "e\u0301", "a" * 3000]


def entry(ident: str, outcome: Outcome | None = None, **more: object) -> Entry:
    item = Item("conferences", ident, Kind.ONE_TIME, State.ENDED, **more)  # type: ignore[arg-type]  # fields of an item
    return Entry(item, GOES, outcome)


def holding(*idents: str) -> Worklist:
    made = Worklist()
    for ident in idents:
        made.extend([entry(ident)])
    return made


def ids(entries: object) -> list[str]:
    return [one.item.id for one in entries]  # type: ignore[attr-defined]  # any iterable of entries


def test_nothing_selected_is_nothing() -> None:
    empty = Worklist()
    assert (len(empty), list(empty), empty.first(3), empty.count(None), bool(empty)) == (0, [], [], 0, False)


@given(st.lists(st.text(max_size=5)))
def test_items_come_back_in_the_order_of_the_listing_each_once(idents: list[str]) -> None:
    held = holding(*idents)
    assert ids(held) == list(dict.fromkeys(idents))
    assert len(held) == held.count(None) == len(set(idents))


@pytest.mark.parametrize("ident", HOSTILE)
def test_an_item_comes_back_as_it_was_whatever_it_holds(ident: str) -> None:
    raw = {"id": ident, "big": 10**40, "deep": [[{}]], "nan": None}
    live = Live(timedelta(hours=1), 2, timedelta(minutes=3))
    made = entry(ident, title=ident, tags=(ident,), live=live, locator=(ident, "x"), raw=raw)
    held = Worklist()
    held.extend([made])
    held.settle(held.first(1)[0], Result(Outcome.FAILED, ident))
    (back,) = held
    assert (back.item, back.decision, back.error) == (made.item, made.decision, ident)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
)
MOMENTS = st.none() | st.datetimes(timezones=st.just(UTC))


@settings(max_examples=40)
@given(
    raw=st.dictionaries(st.text(), JSON),
    start=MOMENTS,
    end=MOMENTS,
    lengths=st.none() | st.tuples(st.timedeltas(timedelta(0)), st.timedeltas(timedelta(0))),
    size=st.none() | st.integers(),
)
def test_nothing_of_an_item_is_lost(
    raw: dict[str, object],
    start: datetime | None,
    end: datetime | None,
    lengths: tuple[timedelta, timedelta] | None,
    size: int | None,
) -> None:
    live = Live(lengths[0], 3, lengths[1]) if lengths else None
    made = entry("7", started_at=start, ended_at=end, size_bytes=size, live=live, raw=raw)
    made.decision = Decision(True, Reason.DUE, "ended", "old", end)
    held = Worklist()
    held.extend([made])
    (back,) = held
    assert (back.item, back.decision) == (made.item, made.decision)
    assert repr(back.item.raw) == repr(raw)


def test_more_than_one_reading_brings_all_of_them() -> None:
    idents = [str(number) for number in range(3 * selected.AT_ONCE + 1)]
    assert ids(holding(*idents)) == idents


def test_what_became_of_an_item_is_stored_and_counted() -> None:
    held = holding("a", "b", "c")
    first, second, _ = held
    held.settle(first, Result(Outcome.DELETED))
    held.settle(second, Result(Outcome.FAILED, "a 502"))
    assert [(one.outcome, one.error) for one in held] == [
        (Outcome.DELETED, None),
        (Outcome.FAILED, "a 502"),
        (None, None),
    ]
    assert [held.count(outcome) for outcome in (Outcome.DELETED, Outcome.FAILED, None)] == [1, 1, 1]
    assert (ids(held.due()), ids(held.ended(Outcome.FAILED, Outcome.UNKNOWN))) == (["c"], ["b"])


def test_an_outcome_that_is_settled_again_is_counted_once() -> None:
    held = holding("a")
    (one,) = held
    held.settle(one, Result(Outcome.UNKNOWN, "silence"))
    held.settle(one, Result(Outcome.DELETED))
    assert (held.count(Outcome.UNKNOWN), held.count(Outcome.DELETED), len(held)) == (0, 1, 1)


def test_deferring_touches_only_what_has_no_outcome() -> None:
    held = holding("a", "b")
    held.settle(held.first(1)[0], Result(Outcome.DELETED))
    held.defer()
    assert [one.outcome for one in held] == [Outcome.DELETED, Outcome.DEFERRED]
    assert (held.count(None), held.count(Outcome.DEFERRED), len(held)) == (0, 1, 2)


def test_what_was_never_selected_cannot_be_settled() -> None:
    with pytest.raises(LookupError):
        Worklist().settle(entry("a"), Result(Outcome.DELETED))


def test_items_may_be_settled_by_several_threads_while_they_are_read() -> None:
    idents = [str(number) for number in range(2000)]
    held = holding(*idents)
    reading, lock = held.due(), threading.Lock()

    def work() -> None:
        while True:
            with lock:
                one = next(reading, None)
            if one is None:
                return
            held.settle(one, Result(Outcome.DELETED))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (held.count(Outcome.DELETED), held.count(None)) == (2000, 0)


def test_the_database_is_closed_with_its_owner() -> None:
    held = holding("a")
    del held
    gc.collect()  # an unclosed database would be a ResourceWarning, and so an error here


def test_what_was_added_since_a_mark_is_forgotten_and_the_counts_stay_true() -> None:
    held = holding("a", "b")
    mark = held.last
    held.extend([entry("c"), entry("d", Outcome.CHANGED), entry("a")])
    held.forget(mark)
    assert (ids(held), len(held), held.count(None), held.count(Outcome.CHANGED)) == (["a", "b"], 2, 2, 0)
    held.extend([entry("e")])
    assert ids(held) == ["a", "b", "e"]


@pytest.mark.parametrize("ident", HOSTILE)
def test_an_item_is_withdrawn_by_its_key_alone(ident: str) -> None:
    held = holding("other", ident)
    assert held.withdraw(entry(ident, title="as another row has it").item) == 2
    assert (ids(held), len(held)) == (["other"], 1)
    assert held.withdraw(entry(ident).item) is None


def test_nothing_is_withdrawn_or_forgotten_of_nothing() -> None:
    empty = Worklist()
    empty.forget(empty.last)
    assert (empty.last, empty.withdraw(entry("a").item), len(empty)) == ((0, 0), None, 0)


def test_forgetting_everything_leaves_nothing() -> None:
    held = holding("a", "b")
    held.clear()
    assert (len(held), list(held), held.count(None)) == (0, [], 0)
    held.extend([entry("a")])
    assert ids(held) == ["a"]


@pytest.fixture
def _full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if there was room for a few items and no more."""
    monkeypatch.setattr(selected, "PREPARE", ("PRAGMA max_page_count = 12", *selected.PREPARE))


@pytest.mark.usefixtures("_full_disk")
def test_a_full_disk_is_told_with_what_to_do_and_nothing_is_half_there() -> None:
    held = Worklist()

    def fill() -> None:
        for number in range(1000):
            held.extend([entry(f"{number}", title="x" * 500)])

    for _ in range(2):
        with pytest.raises(LedgerError, match=r"temporary file .* full.*; set TMPDIR"):
            fill()
    assert ids(held) == []


@pytest.mark.usefixtures("_full_disk")
def test_a_listing_that_does_not_fit_on_the_disk_selects_nothing() -> None:
    provider = Fake(*(thing(str(number), title="x" * 500) for number in range(1000)))
    plan = make_plan(Listing("hq", provider, [rule()], NOW))
    assert (plan.status, list(plan.selected)) == ("failed", [])
    assert "TMPDIR" in (plan.error or "")


def test_counts_stay_true_when_the_disk_fills_up_between_deletions() -> None:
    held = holding("a", "b", "c")
    one, two, _ = held.due()
    held.settle(one, Result(Outcome.DELETED))
    assert held._db
    held._db.execute("DROP TABLE entry")  # as unusable as a full disk
    held.settle(two, Result(Outcome.GONE))
    held.defer()
    assert [held.count(outcome) for outcome in (Outcome.DELETED, Outcome.GONE, Outcome.DEFERRED, None)] == [1, 1, 1, 0]
    assert len(held) == 3
    assert "TMPDIR" in (held.error or "")
    assert list(held) == []


def test_without_memory_the_items_are_let_go_and_the_counts_stay_true(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite says that it has no memory with a MemoryError, and may have left half a statement in the file."""
    held = holding("a", "b")
    one, _ = held.due()

    class Exhausted:
        def execute(self, *_: object) -> None:
            raise MemoryError

        executemany = execute

        def close(self) -> None:
            pass

    monkeypatch.setattr(held, "_db", Exhausted())
    held.settle(one, Result(Outcome.DELETED))
    assert (held.count(Outcome.DELETED), held.count(None)) == (1, 1)
    assert held.error == "the temporary file for what is selected cannot be used (out of memory)"
    assert list(held) == []
    with pytest.raises(LedgerError, match="out of memory"):
        held.extend([entry("c")])


def test_an_entry_that_cannot_be_stored_leaves_nothing_of_its_group_behind() -> None:
    held = holding("a")
    odd = entry("c", raw={"call": threading.Lock()})
    with pytest.raises(TypeError):
        held.extend([entry("b"), odd])
    assert ids(held) == ["a"]
    assert len(held) == 1
