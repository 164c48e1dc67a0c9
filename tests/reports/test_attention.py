"""Which findings are reported: whether a person has to act, and what was reported before."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from confcleanup.errors import ExitCode
from confcleanup.filter import Decision, Reason
from confcleanup.guards import PreviousRuns, lasting_backlog
from confcleanup.items import Outcome, Result
from confcleanup.plan import Plan
from confcleanup.records.reported import FOLDER, Reported
from confcleanup.reports.attention import Finding, Kind, after, is_due, without_numbers
from confcleanup.reports.findings import findings, tally, totals
from confcleanup.run import Run
from confcleanup.worklist import Entry
from tests.fake import CUTOFF, NOW, thing

DAY = timedelta(days=1)
DUE = Decision(True, Reason.DUE, "ended 40 days ago", "old")
OLD = Finding("hq", Kind.FAILED, "no answer after 30 s", "no answer", "no answer after 30 s")


class Nights:
    """A job that reports what it finds, night after night."""

    def __init__(self, state: Path) -> None:
        self.state = state

    def __call__(self, day: float, *found: Finding, plan: Plan | None = None) -> list[str]:
        """What is reported on a day, in words."""
        now = NOW + day * DAY
        told = []
        for account in {finding.account for finding in found} | {"hq"}:
            mine = [finding for finding in found if finding.account == account]
            reported = Reported(self.state, account, (), "output")
            due = [finding for finding in mine if is_due(finding, reported, now)]
            told += [finding.text for finding in due]
            assert reported.save(after(reported, mine, due, plan or Plan(account, "fake"), now))
        return told


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    return Nights(tmp_path)


def test_the_same_finding_is_reported_once_and_again_after_a_week(nights: Nights) -> None:
    reported = [day for day in range(15) if nights(day - day / 10_000, OLD)]
    assert reported == [0, 7, 14], "also if each run begins a little earlier than the one before"


def test_numbers_are_no_change_and_other_words_are(nights: Nights) -> None:
    assert nights(0, OLD)
    assert not nights(1, replace(OLD, cause="no answer after 31 s"))
    assert nights(2, replace(OLD, cause="the name is unknown"))


def test_a_finding_that_was_gone_is_reported_when_it_comes_back(nights: Nights) -> None:
    assert nights(0, OLD)
    assert not nights(1)
    assert nights(2, OLD)


ITEM = Finding("hq", Kind.ITEMS, "failed: 409", "1 item failed", "failed: 409", keys=["a"], names=["a"])
STUCK = Finding("hq", Kind.STUCK, "stuck", "stuck", "running", keys=["a"])
FAILED = Plan("hq", "fake", failed=True)
PARTIAL = Plan("hq", "fake", unlisted=["bob: 500"])
REFUSED = Plan("hq", "fake", refusals=["too many"])
STOPPED = Plan("hq", "fake", error="403")


@pytest.mark.parametrize(
    ("finding", "plan", "again"),
    [
        (ITEM, None, True),
        (ITEM, FAILED, False),
        (ITEM, PARTIAL, False),
        (ITEM, REFUSED, False),
        (ITEM, STOPPED, False),
        (STUCK, None, True),
        (STUCK, FAILED, False),
        (STUCK, PARTIAL, False),
        (STUCK, REFUSED, True),
        (OLD, REFUSED, True),
    ],
)
def test_what_a_run_could_not_see_is_not_taken_for_gone(
    nights: Nights, finding: Finding, plan: Plan | None, again: bool
) -> None:
    assert nights(0, finding)
    assert not nights(1, plan=plan)
    assert bool(nights(2, finding)) is again


def test_another_item_is_reported_and_those_before_are_only_counted(tmp_path: Path) -> None:
    both = replace(ITEM, keys=["a", "b"], names=["conferences a", "conferences b"], count=2)
    reported = Reported(tmp_path, "hq", (), "output")
    reported.save(after(reported, [ITEM], [ITEM], None, NOW))
    reported = Reported(tmp_path, "hq", (), "output")
    assert is_due(both, reported, NOW)
    assert both.line(set(ITEM.identities)) == "2 items failed: 409: conferences b and 1 more"


def test_twice_as_many_are_reported_and_a_few_more_are_not(nights: Nights) -> None:
    some = replace(STUCK, count=5)
    assert nights(0, some)
    assert not nights(1, replace(some, count=6))
    assert nights(2, replace(some, count=10))


def test_what_needs_nobody_is_never_reported(nights: Nights) -> None:
    assert not nights(0, replace(OLD, acts=False))


def test_what_is_reported_once_only_is_not_repeated(nights: Nights) -> None:
    tag = replace(OLD, again=False)
    assert [day for day in range(40) if nights(day, tag)] == [0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("page 3 was answered with 503", "page 17 was answered with 500"),
        ("refused on 2026-01-31 03:30 UTC", "refused on 2026-02-01 03:31 UTC"),
        ("request 5f1c9a2e-77 at 127.0.0.1:8443", "request 0a-1 at 127.0.0.1:9443"),
    ],
)
def test_these_are_the_same_cause(one: str, other: str) -> None:
    assert without_numbers(one) == without_numbers(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("answered with 401", "answered with 403"), ("answered with 403", "answered with 500"), ("'0048'", "'0049'")],
)
def test_these_are_not(one: str, other: str) -> None:
    assert without_numbers(one) != without_numbers(other)


# What is remembered -------------------------------------------------------------------------------


def test_neither_titles_nor_ids_nor_names_are_in_the_file(nights: Nights) -> None:
    nights(0, replace(ITEM, keys=["0048411003"], names=["Secret talks"], text="Secret talks failed"))
    (file,) = (nights.state / FOLDER).iterdir()
    assert not any(word in file.read_text() for word in ("0048411003", "Secret", "409", "hq"))
    assert file.stat().st_mode & 0o077 == 0


def test_two_files_do_not_have_the_same_hash_for_one_finding(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for name in "ab":
        Nights(tmp_path / name)(0, OLD)
    one, other = (json.loads(next((tmp_path / n / FOLDER).iterdir()).read_text())["ways"]["output"] for n in "ab")
    assert one.keys() != other.keys()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b'{"key": 3}', b'{"ways": {"output": {"x": 1}}}'])
def test_a_damaged_file_costs_a_report_and_no_more(nights: Nights, content: bytes) -> None:
    assert nights(0, OLD)
    (file,) = (nights.state / FOLDER).iterdir()
    file.write_bytes(content)
    assert nights(1, OLD)
    assert not nights(2, OLD)


def test_a_run_that_is_killed_while_it_writes_leaves_what_was_there(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert nights(0, OLD)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            nights(1, STUCK)
    assert not nights(1, OLD)


def test_each_way_and_each_choice_of_rules_remembers_for_itself(tmp_path: Path) -> None:
    def due(way: str, *rules: str) -> bool:
        reported = Reported(tmp_path, "hq", rules, way)
        found = is_due(OLD, reported, NOW)
        reported.save(after(reported, [OLD], [OLD], None, NOW))
        return found

    choices = [("output",), ("messages",), ("output", "live"), ("output", "live", "old")]
    assert [due(*choice) for choice in choices] == [True] * 4
    assert [due(*choice) for choice in choices] == [False] * 4
    assert not due("output", "old", "live")


def test_a_file_is_removed_when_nothing_is_left_to_remember(nights: Nights) -> None:
    assert nights(0, OLD)
    nights(1)
    assert list((nights.state / FOLDER).iterdir()) == []


# What a run found ---------------------------------------------------------------------------------


def ended(name: str, outcomes: Sequence[Outcome], errors: Sequence[str] = (), **more: object) -> Plan:
    """An account whose items ended like this."""
    plan = Plan(name, "fake", listed=len(outcomes), **more)  # type: ignore[arg-type]  # fields of a Plan
    plan.selected.extend(Entry(thing(f"{number:04}"), DUE) for number in range(len(outcomes)))
    texts = [*errors, *[""] * len(outcomes)]
    for entry, outcome, text in zip(list(plan.selected), outcomes, texts, strict=False):
        plan.selected.settle(entry, Result(outcome, text or None))
    return plan


def run_of(*plans: Plan, signal: int | None = None) -> Run:
    return Run("1", "run", NOW, list(plans), signal)


def test_items_with_one_cause_are_one_finding() -> None:
    plan = ended("hq", [Outcome.FAILED] * 9, [f"DELETE of {number:04} was answered with 409" for number in range(9)])
    (found,) = findings(run_of(plan))
    assert found.line().startswith(
        "9 items failed: DELETE of 0000 was answered with 409: things 0000 (Title of 0000), "
    )
    assert " and 4 more; to keep them, use keep_ids or a hold" in found.line()


def test_totals_name_the_accounts_that_matter_and_count_the_others() -> None:
    plans = [
        ended("hq", [Outcome.DELETED] * 98 + [Outcome.FAILED] * 22, ["409"] * 120),
        ended("east", [Outcome.DELETED]),
        ended("west", []),
    ]
    assert totals(run_of(*plans), {"hq"}) == (
        "finished with errors, exit status 1: hq: 98 deleted, 22 failed of 120; 2 other accounts without errors"
    )
    assert tally(plans[2]) == "nothing to delete among 0 listed"


flags = st.booleans()


@given(
    outcomes=st.lists(st.sampled_from(Outcome), max_size=6),
    failed=flags,
    error=st.sampled_from([None, "403"]),
    unlisted=flags,
    refused=flags,
    overdue=flags,
    recorded=flags,
    signal=st.sampled_from([None, 2, 15]),
)
def test_whatever_the_status_says_a_person_is_told_of(
    outcomes: list[Outcome],
    failed: bool,
    error: str | None,
    unlisted: bool,
    refused: bool,
    overdue: bool,
    recorded: bool,
    signal: int | None,
) -> None:
    plan = ended("hq", outcomes, ["403", "409"], failed=failed, error=error or ("down" if failed else None))
    plan.unlisted += ["bob: 500"] * unlisted
    plan.refusals += ["too many"] * refused
    plan.overdue += [Entry(thing("r"), DUE)] * overdue
    plan.recorded |= {("x",): NOW} if recorded else {}
    run = run_of(plan, signal=signal)
    acts = [finding for finding in findings(run) if finding.acts]
    assert bool(acts) is (run.exit_code != ExitCode.DONE)


@pytest.mark.parametrize(
    ("left", "lasting"),
    [
        ([96], None),
        ([96, 90, 80, 70, 60, 50, 40, 30], None),
        ([90, 90, 90, 90, 90, 90, 90, 90], 90),
        ([30, 40, 50, 60, 70, 80, 90, 99], 30),
        ([30, 40, 50, 0, 70, 80, 90, 99], None),
    ],
)
def test_a_backlog_needs_a_person_if_it_did_not_shrink_for_a_week(left: list[int], lasting: int | None) -> None:
    """The counts of a run every night, the last one tonight's."""
    *before, tonight = left
    past = [(NOW - number * DAY, count) for number, count in enumerate(reversed(before), 1)]
    assert lasting_backlog(tonight, PreviousRuns(backlogs=past), NOW) == lasting


def test_stuck_items_that_failed_now_are_told_once() -> None:
    plan = ended("hq", [Outcome.FAILED], ["409"])
    plan.stuck.note(next(iter(plan.selected)), CUTOFF)
    assert [finding.kind for finding in findings(run_of(plan)) if finding.acts] == [Kind.ITEMS]


def test_the_moment_of_the_first_report_stays(tmp_path: Path) -> None:
    for day in (0, 7):
        reported = Reported(tmp_path, "hq", (), "output")
        reported.save(after(reported, [OLD], [OLD], None, NOW + day * DAY))
    (report,) = Reported(tmp_path, "hq", (), "output").reports.values()
    assert (report.first, report.last) == (NOW, NOW + 7 * DAY)
    assert report.first.tzinfo in (UTC, datetime.now(UTC).tzinfo)
