"""What is written to keep or to select items and fits nothing that is listed is named, where the list could show it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from confcleanup.cli import cli
from confcleanup.filter import Rule
from confcleanup.http.paging import Unsteady
from confcleanup.items import Item
from confcleanup.listing import Listing, make_plan
from confcleanup.plan import Plan
from confcleanup.protection import Hold
from confcleanup.sandbox.server import Server
from confcleanup.sandbox.trueconf import TrueConf
from confcleanup.unmet import Reach, Unmet, loose, one_slip, unmet_holds
from tests.fake import NOW, Fake, rule, thing

DAY = timedelta(days=1)
LISTED = [thing("0048411003", owner="anna", title="Standup", tags=("keep",)), thing("0048411099", owner="boris")]


class Reaching(Fake):
    """A provider whose list does not show everything."""

    shown = Reach()

    def reach(self, what: str, rules: Sequence[Rule]) -> Reach:
        return self.shown


def plan_of(*rules: Rule, listed: Sequence[Item] = LISTED, shown: Reach | None = None) -> Plan:
    provider = Reaching(*listed)
    provider.shown = shown or Reach()
    return make_plan(Listing("hq", provider, rules, NOW))


def holds_told(*plans: Plan) -> list[str]:
    return unmet_holds([plan.unmet for plan in plans if plan.unmet])


def test_rows_of_a_list_that_is_read_once_more_are_counted_once() -> None:
    class Shifting(Reaching):
        def list_items(self, what: str, rules: Sequence[Rule]) -> Iterator[Item]:
            yield from LISTED
            if self.strict:
                raise Unsteady("shifted")

    plan = make_plan(Listing("hq", Shifting(), [rule(title="Sing*")], NOW))
    assert plan.notices == ["rule 'old': title: 'Sing*' fits nothing among the 2 things listed"]


def test_only_the_ids_that_are_shown_are_compared_with_those_that_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []
    monkeypatch.setattr(Unmet, "named", lambda self, text, meant: compared.append(text) or text)
    (notice,) = plan_of(rule(keep_ids=frozenset(f"{number:010}" for number in range(1000)))).notices
    assert (len(compared), "and 990 more fit nothing" in notice) == (10, True)


# Rules -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"keep_ids": frozenset({"0048411003", "7777"})}, "keep_ids: '7777' fits nothing"),
        ({"keep_tags": ("keep", "kepe")}, "keep_tags: 'kepe' fits nothing"),
        ({"tags": ("keep", "delete", "old")}, "tags: 'delete', 'old' fit nothing"),
        ({"title": "[test]*"}, "title: '[test]*' fits nothing"),
        ({"owner": "carla"}, "owner: 'carla' fits nothing"),
        ({"names": ("0048*", "x*")}, "names: 'x*' fits nothing"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_a_rule_says_and_nothing_fits_is_named_with_what_was_listed(more: dict[str, Any], told: str) -> None:
    assert plan_of(rule(**more)).notices == [f"rule 'old': {told} among the 2 things listed"]


def test_what_fits_something_is_not_named_also_if_another_line_decides() -> None:
    kept = {"keep_ids": frozenset({" 0048411003 "}), "keep_tags": ("KEEP",), "title": "stand*", "owner": "anna@host"}
    assert plan_of(rule(**kept, tags=("keep",))).notices == []


def test_an_alias_is_as_good_as_the_id() -> None:
    assert plan_of(rule(keep_ids=frozenset({"912"})), listed=[thing("x", aliases=("912",))]).notices == []


def test_a_field_that_one_item_does_not_show_may_be_the_one_that_fits() -> None:
    listed = [*LISTED, thing("x", tags=None, title=None, owner=None)]
    asking = rule(keep_tags=("a",), tags=("b",), title="c", owner="d", holds=(Hold("case", owner="e"),))
    plan = plan_of(asking, listed=listed)
    assert (plan.notices, holds_told(plan)) == ([], [])


@pytest.mark.parametrize("written", ["48411003", "0048-411003", "0048411030", "004841100", "00484110033", "0048411O03"])
def test_an_id_that_was_nearly_right_is_told_with_the_one_that_is_listed(written: str) -> None:
    (told,) = plan_of(rule(keep_ids=frozenset({written}))).notices
    assert "(did you mean '0048411003'?)" in told


def test_a_hint_is_spelt_as_it_is_listed() -> None:
    listed = [thing("7", aliases=("0b1c2d3e-0000-4000-8000-000000000002",))]
    (told,) = plan_of(rule(keep_ids=frozenset({"0B1C2D3E-0000-4000-8000-00000000000A"})), listed=listed).notices
    assert "(did you mean '0b1c2d3e-0000-4000-8000-000000000002'?)" in told


def test_an_id_that_is_named_already_is_no_hint() -> None:
    (told,) = plan_of(rule(keep_ids=frozenset({"0048411003", "0048411004"})), listed=LISTED[:1]).notices
    assert "did you mean" not in told


@given(st.text("0123456789ab-", min_size=5, max_size=12), st.integers(0, 20), st.sampled_from("0x"))
def test_one_letter_too_much_too_few_or_other_is_one_slip(ident: str, at: int, letter: str) -> None:
    at %= len(ident)
    longer = ident[:at] + letter + ident[at:]
    other = ident[:at] + letter + ident[at + 1 :]
    assert one_slip(ident, longer)
    assert one_slip(longer, ident)
    assert one_slip(ident, other) is (ident != other)
    assert not one_slip(ident, longer + letter)


@given(st.text())
def test_what_a_spreadsheet_loses_makes_no_difference(ident: str) -> None:
    assert loose(f"00{ident} ") == loose(ident.upper().lower()) or not ident.isascii()


def test_many_of_a_kind_are_one_warning_that_counts_them() -> None:
    (told,) = plan_of(rule(keep_ids=frozenset(f"x{n:04}" for n in range(1000)))).notices
    assert "'x0009' and 990 more fit nothing" in told


def test_rules_that_say_the_same_are_told_together() -> None:
    plan = plan_of(rule(name="one", keep_tags=("kepe",)), rule(name="two", keep_tags=("kepe",)))
    assert plan.notices == ["rules 'one', 'two': keep_tags: 'kepe' fits nothing among the 2 things listed"]


def test_where_nothing_is_listed_filters_say_nothing_and_ids_do() -> None:
    plan = plan_of(rule(title="x", tags=("y",), keep_ids=frozenset({"7777"})), listed=[])
    assert plan.notices == ["rule 'old': keep_ids: '7777' fits nothing among the 0 things listed"]


def test_a_list_that_was_not_complete_names_nothing() -> None:
    provider = Fake(*LISTED)
    provider.before_list = lambda: (_ for _ in ()).throw(ValueError("odd"))
    plan = make_plan(Listing("hq", provider, [rule(keep_ids=frozenset({"7"}))], NOW))
    assert (plan.failed, plan.notices, plan.unmet) == (True, [], None)


def test_what_the_list_leaves_out_is_said_with_it() -> None:
    plan = plan_of(rule(keep_ids=frozenset({"7777"})), shown=Reach("those that began before 2026-01-30"))
    assert plan.notices[0].endswith("among the 2 things listed, which are only those that began before 2026-01-30")


def test_where_nothing_follows_from_a_list_nothing_is_named() -> None:
    asking = rule(keep_ids=frozenset({"7777"}), title="x", holds=(Hold("case", id="8888"),))
    plan = plan_of(asking, shown=Reach("rooms that are live now", keeps=False, filters=False))
    assert (plan.notices, holds_told(plan)) == ([], [])


def test_the_accounts_own_user_is_no_filter_that_somebody_wrote() -> None:
    assert plan_of(rule(owner="service", owner_given=False)).notices == []


# Holds -------------------------------------------------------------------------------------------


def test_a_hold_is_named_if_it_fits_nothing_in_any_account() -> None:
    held = (Hold("case 7", id="48411003"), Hold("case 8", owner="dora", title="Other*"), Hold("case 9", owner="anna"))
    one, two = plan_of(rule(holds=held), listed=LISTED[1:]), plan_of(rule(holds=held))
    (told,) = holds_told(one, two)
    first, second = "id '48411003' (did you mean '0048411003'?) (case 7)", "owner 'dora' or title 'Other*' (case 8)"
    assert told == f"holds: {first}, {second} fit nothing that is listed in any account"


def test_a_hold_of_which_one_mark_fits_is_met() -> None:
    assert holds_told(plan_of(rule(holds=(Hold("case 7", id="0048411003", title="Other*"),)))) == []


# The whole program -------------------------------------------------------------------------------


class Setting:
    """Two TrueConf servers, each with a conference that is due, and a config for both."""

    def __init__(self, folder: Path, urls: Sequence[str], emulators: Sequence[TrueConf]) -> None:
        self.folder, self.urls, self.emulators = folder, urls, emulators
        self.config = folder / "config.toml"

    def write(self, *rules: str, top: str = "", urls: Sequence[str] = ()) -> None:
        tables = [top]
        for name, url, emulator, keys in zip(("hq", "lab"), urls or self.urls, self.emulators, rules, strict=True):
            head = emulator.account(name, url).partition("[[")[0]
            tables += [
                f'{head}[[accounts.{name}.rules]]\nname = "r"\nwhat = "conferences"\nolder_than = "30 days"\n{keys}'
            ]
        self.config.write_text("\n".join(tables), "utf-8")
        self.config.chmod(0o600)

    def __call__(self, *words: str) -> dict[str, dict[str, Any]]:
        options = ["-c", str(self.config), "--state", str(self.folder / "state")]
        done = CliRunner().invoke(cli, [*options, *words, "--format", "json"])
        return {one["account"]: one for one in json.loads(done.stdout)["accounts"]}

    def told(self, *words: str) -> list[str]:
        return [warning for one in self(*words).values() for warning in one["warnings"]]


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Setting]:
    emulators = TrueConf(), TrueConf()
    for emulator, ident in zip(emulators, ("0048411005", "0048411006"), strict=True):
        emulator.add_conference(ident, ended=41 * DAY)
    with Server(emulators[0]) as one, Server(emulators[1]) as two:
        yield Setting(tmp_path, (one.url, two.url), emulators)


HELD = '[holds]\nhold = [{ id = "48411005", reason = "case 7" }, { id = "0048411006", reason = "case 8" }]\n'


def test_plan_and_run_name_a_hold_whose_leading_zeros_were_lost_and_end_as_ever(both: Setting) -> None:
    both.write("", "", top=HELD)
    told = "holds: id '48411005' (did you mean '0048411005'?) (case 7) fits nothing that is listed in any account"
    assert both.told("plan") == both.told("run", "--yes") == [told]


@pytest.mark.parametrize("words", [["--account", "hq"], ["--rule", "r"]], ids=" ".join)
def test_a_hold_is_not_named_where_not_everything_was_looked_through(both: Setting, words: list[str]) -> None:
    both.write("", "", top=HELD)
    assert both.told("plan", *words) == []


def test_an_account_that_could_not_be_listed_may_have_what_a_hold_is_for(both: Setting, no_waiting: None) -> None:
    both.write("", "", top=HELD, urls=(both.urls[0], "http://127.0.0.1:9"))
    assert not any("holds:" in warning for warning in both.told("plan"))


def test_a_hold_whose_end_has_passed_is_not_named(both: Setting) -> None:
    both.write("", "", top='[holds]\nhold = [{ id = "48411005", reason = "case 7", until = "2020-01-01" }]\n')
    assert both.told("plan") == []


def test_only_the_rules_that_were_applied_are_spoken_of(both: Setting) -> None:
    other = '[[accounts.hq.rules]]\nname = "other"\nwhat = "conferences"\nolder_than = "1 day"\nkeep_ids = ["7777"]\n'
    both.write(other, "")
    assert both.told("plan", "--rule", "r") == []
    assert both.told("plan", "--account", "hq") == [
        "rule 'other': keep_ids: '7777' fits nothing among the 1 conferences listed"
    ]


@pytest.mark.parametrize(
    "spelt", [str, lambda url: f"{url}/", lambda url: url.replace("http", "HTTP")], ids=["", "/", "A"]
)
@pytest.mark.parametrize("keeps", ['keep_ids = ["0048411005"]\n', 'keep_tags = ["court"]\n'])
def test_what_one_account_keeps_another_that_is_the_same_one_keeps_too(
    both: Setting, spelt: Callable[[str], str], keeps: str
) -> None:
    both.emulators[0].conferences["0048411005"]["tags"] = ["Court"]
    both.write(keeps, "", urls=(both.urls[0], spelt(both.urls[0])))
    found = both("plan")
    assert [one["selected"] for one in found.values()] == [0, 0]
    assert found["lab"]["items"][0]["reason"].endswith(" of hq, which is the same account")


def test_what_one_account_keeps_another_server_does_not(both: Setting) -> None:
    both.write('keep_ids = ["0048411006"]\n', "")
    assert [one["selected"] for one in both("plan").values()] == [1, 1]
