"""Walking through a vendor's pages to a proven end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confcleanup.errors import HttpError, ProviderError
from confcleanup.http.paging import (
    Page,
    Repeated,
    Row,
    SeenKeys,
    Sizes,
    Unsteady,
    by_offset,
    by_page,
    by_page_from_0_or_1,
    twice,
)

Way = Callable[[Callable[[int], Page], Callable[[Row], object]], Iterator[Row]]
INCOMPLETE = "the list is not complete: the vendor counts"
REPEATED = "the vendor repeats a page"


def identity(row: Row) -> str:
    return str(row["id"])


@dataclass
class Vendor:
    """A list of ids on a server that shows ``size`` of them a page, and counts ``total`` (else the truth)."""

    ids: list[int]
    size: int = 10
    first: int = 1
    total: int | None = None
    counts: bool = True
    asked: list[int] = field(default_factory=list)

    def offset(self, offset: int) -> Page:
        self.asked.append(offset)
        return self._page(offset)

    def page(self, number: int) -> Page:
        self.asked.append(number)
        return self._page(max(0, number - self.first) * self.size)

    def _page(self, offset: int) -> Page:
        total = (len(self.ids) if self.total is None else self.total) if self.counts else None
        return Page([{"id": ident} for ident in self.ids[offset : offset + self.size]], total)


def listed(vendor: Vendor, way: Way = by_page) -> list[int]:
    """What is listed first of each id."""
    fetch = vendor.offset if way is by_offset else vendor.page
    return ids(way(fetch, identity))


def pages(*rows: list[int], total: int | None, last: int | None = None) -> Callable[[int], Page]:
    """Answers by page number from 1; empty pages afterwards. ``last`` is the page that calls itself so."""
    return lambda number: Page(
        [{"id": ident} for ident in (rows[number - 1] if number <= len(rows) else [])],
        total,
        None if last is None else number == last,
    )


def ids(rows: Iterator[Row]) -> list[int]:
    """The ids of the rows that are no repetition."""
    return [row["id"] for row in rows if not isinstance(row, Repeated)]


def repeated(rows: Iterator[Row]) -> list[int]:
    return [row["id"] for row in rows if isinstance(row, Repeated)]


ways = pytest.mark.parametrize("way", [by_offset, by_page, by_page_from_0_or_1])


@ways
@pytest.mark.parametrize("size", [1, 2, 3, 7, 10, 11, 100])
@pytest.mark.parametrize("counts", [True, False])
def test_a_list_is_complete_at_every_page_size(way: Way, size: int, counts: bool) -> None:
    assert listed(Vendor(list(range(10)), size, counts=counts), way) == list(range(10))


@ways
def test_an_empty_list_is_complete_after_one_request(way: Way) -> None:
    vendor = Vendor([])
    assert listed(vendor, way) == []
    assert len(vendor.asked) == 1


@ways
def test_no_more_is_asked_for_once_the_count_is_reached(way: Way) -> None:
    vendor = Vendor(list(range(20)), 10)
    listed(vendor, way)
    assert len(vendor.asked) == 2


def test_a_very_long_list_needs_no_deep_stack() -> None:
    assert len(listed(Vendor(list(range(5000)), 1))) == 5000


def test_a_server_that_shows_less_than_was_asked_for_is_followed_by_what_it_showed() -> None:
    vendor = Vendor(list(range(120)), size=50)
    assert listed(vendor, by_offset) == list(range(120))
    assert vendor.asked == [0, 50, 100]


@pytest.mark.parametrize("first", [0, 1])
def test_a_list_whose_first_page_is_0_or_1_is_complete(first: int) -> None:
    assert sorted(listed(Vendor(list(range(25)), first=first), by_page_from_0_or_1)) == list(range(25))


def test_page_0_is_asked_for_only_if_rows_are_missing() -> None:
    vendor = Vendor(list(range(25)))
    listed(vendor, by_page_from_0_or_1)
    assert vendor.asked == [1, 2, 3]


def test_a_list_that_is_short_even_with_page_0_has_failed() -> None:
    with pytest.raises(ProviderError, match=INCOMPLETE):
        listed(Vendor(list(range(25)), total=26), by_page_from_0_or_1)


def test_pages_may_be_numbered_from_0() -> None:
    vendor = Vendor(list(range(25)), first=0)
    assert ids(by_page(vendor.page, identity, first=0)) == list(range(25))


@ways
def test_a_list_shorter_than_the_vendors_count_has_failed(way: Way) -> None:
    with pytest.raises(ProviderError, match=f"{INCOMPLETE} 11, its pages showed 10"):
        listed(Vendor(list(range(10)), 4, total=11), way)


def test_an_empty_page_of_a_list_that_has_rows_has_failed() -> None:
    with pytest.raises(ProviderError, match=INCOMPLETE):
        ids(by_page(pages([], total=3), identity))


def test_a_page_that_calls_itself_the_last_ends_the_list_if_the_count_is_reached() -> None:
    assert ids(by_page(pages([1], [2], [3], total=None, last=2), identity)) == [1, 2]
    assert ids(by_page(pages([1], [2], total=2, last=2), identity)) == [1, 2]


def test_a_page_that_calls_itself_the_last_too_early_has_failed() -> None:
    with pytest.raises(ProviderError, match=INCOMPLETE):
        ids(by_page(pages([1], [2], total=2, last=1), identity))


@ways
@pytest.mark.parametrize("total", [None, 9])
def test_a_server_that_ignores_the_page_asked_for_has_failed_instead_of_looping(way: Way, total: int | None) -> None:
    with pytest.raises(ProviderError, match=REPEATED):
        ids(way(lambda _: Page([{"id": 1}, {"id": 2}], total), identity))


def test_a_repeated_page_in_the_middle_does_not_pass_for_a_complete_list() -> None:
    with pytest.raises(ProviderError, match=REPEATED):
        ids(by_page(pages([1, 2], [1, 2], [3, 4], total=6), identity))


def test_a_row_that_stands_on_two_pages_comes_as_a_repetition_and_counts_as_the_vendor_counts() -> None:
    shown = pages([1, 2], [2, 3], [4], total=5)
    assert ids(by_page(shown, identity)) == [1, 2, 3, 4]
    assert repeated(by_page(shown, identity)) == [2]
    assert ids(by_page(pages([1, 2], [2, 3], [4], total=4), identity)) == [1, 2, 3, 4]


@ways
@pytest.mark.parametrize("strict", [True, False])
def test_a_list_from_which_a_row_vanished_while_it_was_read_may_have_skipped_one(way: Way, strict: bool) -> None:
    vendor = Vendor(list(range(7)), 3)

    def fetch(where: int) -> Page:
        page = (vendor.offset if way is by_offset else vendor.page)(where)
        if 0 in vendor.ids:
            vendor.ids.remove(0)
        return page

    with pytest.raises(Unsteady, match="became shorter"):
        ids(way(fetch, identity, strict=strict))


def test_a_row_that_stands_twice_on_one_page_comes_as_a_repetition_and_counts_as_the_vendor_counts() -> None:
    shown = pages([1, 1, 2], [3], total=4)
    assert ids(by_page(shown, identity)) == [1, 2, 3]
    assert repeated(by_page(shown, identity)) == [1]


def test_repeated_rows_that_reach_the_count_do_not_end_the_list() -> None:
    assert ids(by_page(pages([1, 1, 2], [3], total=3), identity)) == [1, 2, 3]
    assert ids(by_page(pages([1, 1, 2], [3], total=3, last=2), identity)) == [1, 2, 3]


def test_a_short_last_page_of_rows_that_were_shown_before_is_counted() -> None:
    assert ids(by_page(pages([1, 2, 3], [3], total=4), identity)) == [1, 2, 3]


def test_rows_of_an_earlier_page_do_not_count_where_a_page_lacked_rows_so_that_the_next_began_too_early() -> None:
    class Short(Vendor):
        def offset(self, offset: int) -> Page:
            page = super().offset(offset)
            return Page([row for row in page.rows if row["id"] != 1], page.total)

    with pytest.raises(Unsteady, match=f"{INCOMPLETE} 7"):
        listed(Short(list(range(7)), size=3), by_offset)


def test_the_last_page_shown_once_more_is_not_counted() -> None:
    with pytest.raises(Unsteady):
        ids(by_page(pages([1, 2, 3], [4], [4], total=5), identity))


@ways
def test_a_vendor_that_says_that_more_follows_is_asked_for_it(way: Way) -> None:
    def fetch(position: int) -> Page:
        asked.append(position)
        return Page([{"id": position}] if len(asked) < 4 else [], 1, last=False)

    asked: list[int] = []
    assert len(ids(way(fetch, identity))) == 3


@ways
def test_a_vendor_that_always_says_that_more_follows_is_left_when_nothing_new_comes(way: Way) -> None:
    assert ids(way(lambda _: Page([{"id": 1}], 1, last=False), identity)) == [1]


@ways
def test_strictly_read_a_row_on_two_pages_is_an_error_because_the_pages_may_have_shifted(way: Way) -> None:
    vendor = Vendor([1, 2, 2, 3], size=2)
    fetch = vendor.offset if way is by_offset else vendor.page
    with pytest.raises(Unsteady, match="shifted"):
        list(way(fetch, identity, strict=True))  # type: ignore[call-arg]  # every way takes it


def test_strictly_read_a_row_twice_on_one_page_is_none() -> None:
    assert ids(by_page(pages([1, 1], [2], total=3), identity, strict=True)) == [1, 2]


def test_what_is_unsteady_is_read_once_more_and_not_a_third_time() -> None:
    def listing(strict: bool) -> str:
        told.append(strict)
        raise Unsteady("shifted")

    told: list[bool] = []
    with pytest.raises(Unsteady):
        twice(listing)
    assert told == [True, False]


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_page_0_that_does_not_exist_leaves_the_list_short(status: int) -> None:
    def fetch(number: int) -> Page:
        if number == 0:
            raise HttpError("refused", status)
        return Page([{"id": 1}] if number == 1 else [], 2)

    with pytest.raises(Unsteady, match=INCOMPLETE):
        ids(by_page_from_0_or_1(fetch, identity))


def test_page_0_that_is_page_1_once_more_does_not_complete_a_list() -> None:
    vendor = Vendor(list(range(25)), total=30)
    with pytest.raises(Unsteady, match=f"{INCOMPLETE} 30, its pages showed 25"):
        listed(vendor, by_page_from_0_or_1)


SIZE = ("page_size", "100")


class Sized:
    """A vendor that answers some pages with a status."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.asked: list[list[tuple[str, str]]] = []

    def __call__(self, size: list[tuple[str, str]]) -> str:
        self.asked.append(size)
        if self.statuses and (status := self.statuses.pop(0)) != 200:
            raise HttpError("refused", status)
        return "page"


@pytest.mark.parametrize("status", [400, 422])
def test_a_page_size_that_is_refused_is_left_out_from_then_on(status: int) -> None:
    sizes, vendor = Sizes(), Sized(status)
    assert [sizes.ask(SIZE, vendor, first=first) for first in (True, False, True)] == ["page"] * 3
    assert vendor.asked == [[SIZE], [], [], []]


def test_a_page_size_that_one_kind_of_list_refuses_is_asked_for_of_the_others() -> None:
    sizes, vendor = Sizes(), Sized(422)
    for kind in ("users", "recordings", "users"):
        sizes.ask(SIZE, vendor, first=True, of=kind)
    assert vendor.asked == [[SIZE], [], [SIZE], []]


@pytest.mark.parametrize(("status", "first"), [(400, False), (404, True), (500, True)])
def test_any_other_refusal_says_nothing_about_the_page_size(status: int, first: bool) -> None:
    vendor = Sized(status)
    with pytest.raises(HttpError):
        Sizes().ask(SIZE, vendor, first=first)
    assert vendor.asked == [[SIZE]]


def test_a_page_that_is_refused_without_a_size_too_was_not_refused_its_size() -> None:
    sizes, vendor = Sizes(), Sized(400, 400)
    with pytest.raises(HttpError):
        sizes.ask(SIZE, vendor, first=True)
    sizes.ask(SIZE, vendor, first=True)
    assert vendor.asked == [[SIZE], [], [SIZE]]


def test_the_newest_count_is_the_one_that_must_be_reached() -> None:
    counts = iter([2, 3, 3])
    rows = {1: [1], 2: [2], 3: [3]}
    assert ids(by_page(lambda n: Page([{"id": i} for i in rows[n]], next(counts)), identity)) == [1, 2, 3]


def test_a_failing_page_fails_the_list() -> None:
    def fetch(number: int) -> Page:
        if number == 2:
            raise ProviderError("502")
        return Page([{"id": number}], 3)

    with pytest.raises(ProviderError, match="502"):
        ids(by_page(fetch, identity))


def test_rows_are_told_apart_by_the_key_alone() -> None:
    vendor = pages([1, 2], [3], total=3)
    assert ids(by_page(vendor, lambda row: str(row["id"] % 2 and row["id"]))) == [1, 2, 3]


rows = st.lists(st.integers(0, 60), max_size=60)


@given(st.sets(st.integers(0, 200)), st.integers(1, 30), st.booleans(), st.sampled_from([by_offset, by_page]))
def test_an_honest_server_is_always_read_to_the_end(some: set[int], size: int, counts: bool, way: Way) -> None:
    vendor = Vendor(sorted(some), size, counts=counts)
    assert listed(vendor, way) == sorted(some)
    assert len(vendor.asked) <= len(some) // size + 2


@given(rows, st.integers(1, 9), st.integers(0, 80), st.sampled_from([by_offset, by_page, by_page_from_0_or_1]))
def test_whatever_a_server_shows_a_list_is_whole_and_without_repeats_or_it_fails(
    shown: list[int], size: int, total: int, way: Way
) -> None:
    vendor = Vendor(shown, size, total=total)
    try:
        found = listed(vendor, way)
    except ProviderError:
        return
    assert len(found) == len(set(found))
    assert set(found) <= set(shown)
    assert len(found) >= total - (len(shown) - len(set(shown)))


@given(st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=1, max_size=6), st.none() | st.integers(0, 30))
def test_a_walk_always_ends(answers: list[list[int]], total: int | None) -> None:
    asked = []

    def fetch(number: int) -> Page:
        asked.append(number)
        return Page([{"id": ident} for ident in answers[number % len(answers)]], total)

    with contextlib.suppress(ProviderError):
        ids(by_page(fetch, identity))
    assert len(asked) <= 12


@given(st.lists(st.text(max_size=3)))
def test_a_text_is_new_exactly_once(texts: list[str]) -> None:
    seen, known = SeenKeys(), set[str]()
    for text in texts:
        assert seen.add(text) == (text not in known)
        known.add(text)


def test_a_key_is_new_exactly_once_also_where_many_were_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SeenKeys, "BUCKETS", 8)
    seen = SeenKeys()
    keys = [f"{number}" for number in range(5000)] + ["\ud800", ""]
    assert all(seen.add(key) for key in keys)
    assert not any(seen.add(key) for key in keys)


@given(st.sets(st.text(max_size=3)))
def test_keys_are_told_apart_where_a_hash_has_but_16_bits(keys: set[str]) -> None:
    seen = SeenKeys()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("confcleanup.http.paging.hash", lambda key: hash(key) & 0xFFFF, raising=False)
        assert all(seen.add(key) for key in keys)
