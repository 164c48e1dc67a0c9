"""What keeps items whatever a rule selects is looked up, once for each item, and comes to what trying all would."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from confcleanup import patterns
from confcleanup.filter import Reason, choose, protection_of
from confcleanup.items import Item
from confcleanup.listing import Listing, make_plan
from confcleanup.patterns import Owners, Texts, ident, matches, plain, same_ids, same_owner
from confcleanup.protection import Hold, Protection, hold_marks, keep_marks
from tests.fake import NOW, Fake, rule, thing

UUID = "fd0e7200e9ff11f0a1b2c3d4e5f60718"
letters = st.text(alphabet="abAB*?[]!-.@, é", max_size=8)
words = st.text(alphabet="abAB.@, é[]", max_size=12)


# Texts and globs ---------------------------------------------------------------------------------


@given(st.text(max_size=20))
def test_an_exact_text_fits_itself_whatever_is_in_it(text: str) -> None:
    assert matches(text, text)


@given(words, letters)
def test_only_the_star_and_the_question_mark_stand_for_other_letters(text: str, glob: str) -> None:
    assert matches(text, glob) == fnmatchcase(plain(text), plain(glob).replace("[", "[[]"))


@given(st.lists(letters, max_size=8), words)
def test_what_is_found_is_what_trying_every_glob_finds(globs: list[str], text: str) -> None:
    texts = Texts((glob, place) for place, glob in enumerate(globs))
    tried = [place for place, glob in enumerate(globs) if matches(text, glob)]
    assert sorted(texts.fitting(plain(text))) == tried


@example([""], " ")
@given(st.lists(letters, max_size=8), words)
def test_owners_that_are_found_are_those_that_are_the_same(wanted: list[str], owner: str) -> None:
    owners = Owners((one, place) for place, one in enumerate(wanted))
    parts = [owner, *map(str.strip, owner.split(","))]
    tried = [place for place, one in enumerate(wanted) if any(same_owner(part, one) for part in parts)]
    assert sorted(set(owners.fitting(owner))) == tried


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        (" 0048411003\n", "0048411003", True),
        ("48411003", "0048411003", False),
        ("Cafe\u0301", "Caf\u00e9", True),
        ("Room", "room", False),
        (UUID.upper(), UUID, True),
        ("FD0E7200-E9FF-11F0-A1B2-C3D4E5F60718", UUID, True),
        (UUID[:-1], UUID, False),
    ],
)
def test_ids_are_compared_trimmed_and_hexadecimal_ones_without_case_and_dashes(one: str, two: str, same: bool) -> None:
    assert same_ids([one], ["other", two]) is same
    assert (ident(one) == ident(two)) is same


# Marks -------------------------------------------------------------------------------------------

items = st.builds(
    thing,
    st.sampled_from(["a", "b", UUID]),
    title=st.none() | words,
    owner=st.none() | words,
    tags=st.none() | st.lists(st.sampled_from(["a", "A", "é"]), max_size=2).map(tuple),
    aliases=st.lists(st.sampled_from(["c", UUID.upper()]), max_size=2).map(tuple),
)
marks: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["a", "c", UUID]),
        "owner": letters.filter(bool),
        "title": letters.filter(bool),
        "tag": st.sampled_from(["a", "É"]),
    },
)
holds = st.builds(lambda given: Hold("case", **given), marks)


def fits(hold: Hold, item: Item) -> bool:
    """Whether a hold fits an item, mark by mark."""
    owners = [item.owner, *item.owner.split(",")] if item.owner else []
    return (
        (hold.id is not None and same_ids((item.id, *item.aliases), [hold.id]))
        or (hold.owner is not None and any(same_owner(owner, hold.owner) for owner in owners))
        or (hold.title is not None and matches(item.title, hold.title))
        or (hold.tag is not None and plain(hold.tag) in map(plain, item.tags or ()))
    )


@given(items, st.lists(holds, max_size=5))
def test_the_holds_that_fit_are_those_that_fit_one_by_one(item: Item, held: list[Hold]) -> None:
    protection = Protection(hold_marks(held, {}))
    found = {protection.marks[place].hold for place in protection.fitting(item)}
    assert found == {hold for hold in held if fits(hold, item)}


@given(items, st.lists(holds, max_size=5))
def test_a_hold_that_may_fit_lets_nothing_go(item: Item, held: list[Hold]) -> None:
    may = any(
        fits(hold, item)
        or (hold.owner is not None and item.owner is None)
        or (hold.title is not None and item.title is None)
        or (hold.tag is not None and item.tags is None)
        for hold in held
    )
    assert choose(item, [rule(holds=tuple(held))], NOW).delete is not may


def test_holds_decide_before_keep_ids_and_these_before_keep_tags() -> None:
    kept = rule(keep_ids=frozenset("a"), keep_tags=("x",))
    item = thing("a", tags=("x",), owner="anna")
    assert choose(item, [kept], NOW).why is Reason.KEEP_ID
    assert choose(item, [replace(kept, holds=(Hold("case", owner="anna"),))], NOW).why is Reason.HELD
    assert choose(replace(item, id="b"), [kept], NOW).why is Reason.KEEP_TAG


def test_an_id_that_may_stand_for_several_is_one_mark() -> None:
    protection = Protection(keep_marks("old", {"7@host": ("7@host", "7")}, ()))
    assert [protection.fitting(thing(name)) for name in ("7", "7@host", "8")] == [[0], [0], []]


# Cost --------------------------------------------------------------------------------------------


def test_ten_thousand_holds_are_looked_up_and_not_tried_and_once_for_each_item(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kinds = ("id", "owner", "title", "tag")
    held = tuple(
        Hold("case", **{kinds[n % 4]: f"*nobody {n:05}*" if n % 4 in (1, 2) else f"x{n}"}) for n in range(10_000)
    )
    rules = [rule(name=f"rule {n}", holds=held) for n in range(5)]
    protection = protection_of(rules)
    tried: list[str] = []
    judged: list[str] = []
    matcher, fitting = patterns.matcher, Protection.fitting

    def counted(glob: str) -> Any:
        tried.append(glob)
        return matcher(glob)

    def noted(self: Protection, item: Item) -> list[int]:
        judged.append(item.id)
        return fitting(self, item)

    monkeypatch.setattr(patterns, "matcher", counted)
    monkeypatch.setattr(Protection, "fitting", noted)
    listed = [thing(f"{n:05}", owner=f"anna {n:05}", title=f"Review {n:05}") for n in range(500)]
    plan = make_plan(Listing("hq", Fake(*listed), [replace(one, protection=protection) for one in rules], NOW))
    assert len(plan.selected) == 500
    assert judged == [item.id for item in listed]
    assert len(tried) < 4 * len(listed)
