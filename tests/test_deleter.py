"""One account from listing to outcome, against a provider in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace as changed

from confcleanup import follow_up
from confcleanup.changes import digest
from confcleanup.deadline import Deadline
from confcleanup.deleter import Deletion, carry_out
from confcleanup.errors import (
    AccessDenied,
    HttpError,
    LedgerError,
    OutcomeUnknown,
    ProviderError,
    Stale,
    Stopped,
    UnsafeId,
)
from confcleanup.filter import LiveRule, Reason, Rule
from confcleanup.guards import Limits
from confcleanup.http.client import Permit
from confcleanup.items import Item, Kind, Live, Outcome, Result, State
from confcleanup.listing import Listing, make_plan
from confcleanup.plan import Plan
from confcleanup.plan_review import PlanReview
from tests.fake import NOW, Fake, Memory, rule, thing
from tests.providers.waiting import NoWaiting


def planned(provider: Fake, *rules: Rule, limits: Limits | None = None) -> Plan:
    return make_plan(Listing("hq", provider, rules or (rule(),), NOW, limits or Limits()))


def cleaned(provider: Fake, *rules: Rule, concurrency: int = 1, stop: Deadline | None = None) -> Plan:
    rules = rules or (rule(),)
    plan = planned(provider, *rules)
    assert not plan.failed
    carry_out(Deletion(plan, provider, rules, NOW, Memory(), stop or provider.stop, concurrency=concurrency))
    return plan


def outcomes(plan: Plan) -> dict[str, Outcome | None]:
    return {entry.item.id: entry.outcome for entry in plan.selected}


def raising(error: Exception, *, once: bool = False) -> Callable[..., None]:
    errors = iter([error] if once else [])

    def hook(*_: object) -> None:
        found = next(errors, None) if once else error
        if found:
            raise found

    return hook


def add_up(plan: Plan) -> bool:
    return len(plan.selected) == sum(plan.count(outcome) for outcome in Outcome)


def test_what_is_due_is_deleted_and_everything_else_stays() -> None:
    provider = Fake(thing("old"), thing("young", days=3), thing("weekly", kind=Kind.RECURRING))
    plan = cleaned(provider)
    assert outcomes(plan) == {"old": Outcome.DELETED}
    assert set(provider.held) == {"young", "weekly"}


def test_planning_deletes_nothing() -> None:
    provider = Fake(thing("old"))
    plan = planned(provider)
    assert [entry.item.id for entry in plan.selected] == ["old"]
    assert provider.calls == []


def test_a_listing_that_fails_at_its_end_selects_nothing() -> None:
    provider = Fake(thing("old"))
    provider.before_list = raising(ProviderError("the second page is missing"))
    plan = planned(provider)
    assert (plan.status, list(plan.selected), plan.error) == ("failed", [], "the second page is missing")
    assert plan.undone


def test_a_listing_whose_data_cannot_be_read_fails_without_a_traceback() -> None:
    provider = Fake(thing("old"))
    provider.before_list = raising(KeyError("surprise"))
    assert planned(provider).status == "failed"


def test_a_listing_cut_off_by_the_end_of_its_time_fails() -> None:
    provider = Fake(thing("old"))
    provider.before_list = raising(Stopped("the time is up"))
    assert planned(provider).status == "failed"


def test_an_item_listed_twice_is_deleted_once() -> None:
    provider = Fake(thing("old"))
    provider.listing *= 2
    plan = cleaned(provider)
    assert outcomes(plan) == {"old": Outcome.DELETED}
    assert provider.sent("old") == 1


def test_a_guard_refuses_before_anything_is_deleted() -> None:
    plan = planned(Fake(thing("a"), thing("b")), limits=Limits(max_deletions=1))
    assert plan.status == "refused"
    assert "max_deletions allows 1" in plan.refusals[0]


def test_an_item_that_vanished_since_it_was_listed_is_gone_and_no_delete_is_sent() -> None:
    provider = Fake(thing("old"))
    provider.held.clear()
    assert outcomes(cleaned(provider)) == {"old": Outcome.GONE}
    assert provider.sent("old") == 0


@pytest.mark.parametrize(
    "change",
    [
        {"state": State.RUNNING},
        {"kind": Kind.RECURRING},
        {"tags": ("keep",)},
        {"ended_at": NOW - timedelta(days=39)},
        {"ended_at": None},
    ],
)
def test_an_item_that_changed_since_it_was_listed_is_kept(change: dict[str, Any]) -> None:
    provider = Fake(thing("old"))
    provider.held["old"] = changed(provider.held["old"], **change)
    plan = cleaned(provider)
    assert outcomes(plan) == {"old": Outcome.CHANGED}
    assert plan.selected.first(1)[0].error
    assert "old" in provider.held


def test_a_source_that_does_not_change_is_deleted_without_another_look() -> None:
    provider = Fake(thing("old", what="files"))
    cleaned(provider, rule("files"))
    assert provider.calls == [("delete", "old")]


def test_an_unanswered_delete_that_worked_is_found_out_by_looking_and_not_repeated() -> None:
    provider = Fake(thing("old", what="files"))
    provider.after_delete = raising(OutcomeUnknown("no answer"))
    assert outcomes(cleaned(provider, rule("files"))) == {"old": Outcome.DELETED}
    assert provider.calls == [("delete", "old"), ("look", "old")]


def test_an_unanswered_delete_that_did_not_work_is_repeated_once_after_looking() -> None:
    provider = Fake(thing("old", what="files"))
    provider.before_delete = raising(OutcomeUnknown("502"), once=True)
    assert outcomes(cleaned(provider, rule("files"))) == {"old": Outcome.DELETED}
    assert provider.calls == [("delete", "old"), ("look", "old"), ("look", "old"), ("delete", "old")]


def test_a_delete_that_never_works_is_failed_after_two_tries() -> None:
    provider = Fake(thing("old", what="files"))
    provider.before_delete = raising(OutcomeUnknown("502"))
    plan = cleaned(provider, rule("files"))
    assert outcomes(plan) == {"old": Outcome.FAILED}
    assert "still there" in (plan.selected.first(1)[0].error or "")
    assert provider.sent("old") == 2


def test_an_unanswered_delete_is_unknown_if_looking_fails_too() -> None:
    provider = Fake(thing("old", what="files"))
    provider.after_delete = raising(OutcomeUnknown("no answer"))
    provider.before_look = raising(HttpError("no answer either"))
    plan = cleaned(provider, rule("files"))
    assert outcomes(plan) == {"old": Outcome.UNKNOWN}
    assert plan.undone


def test_an_unanswered_delete_is_not_repeated_if_the_item_changed_meanwhile() -> None:
    provider = Fake(thing("old", what="files"))

    def lost(item: Item) -> None:
        provider.held["old"] = changed(item, ended_at=NOW)
        raise OutcomeUnknown("502")

    provider.before_delete = lost
    assert outcomes(cleaned(provider, rule("files"))) == {"old": Outcome.CHANGED}
    assert provider.sent("old") == 1


def test_an_unanswered_hangup_is_not_repeated_if_the_room_cannot_be_told_from_a_new_one() -> None:
    room = thing("Room", kind=Kind.LIVE, live=Live(timedelta(hours=9)), started_at=NOW - timedelta(hours=9))
    provider = Fake(room)

    def lost(item: Item) -> None:
        provider.held["Room"] = changed(room, live=Live())
        raise OutcomeUnknown("no answer")

    provider.before_delete = lost
    plan = cleaned(provider, rule(cutoff=NOW, live=LiveRule(max_duration=timedelta(hours=8))))
    assert outcomes(plan) == {"Room": Outcome.UNKNOWN}
    assert provider.sent("Room") == 1


def test_a_refused_delete_is_failed_and_the_others_go_on() -> None:
    provider = Fake(thing("a"), thing("b"))

    def refuse_a(item: Item) -> None:
        if item.id == "a":
            raise HttpError("DELETE was answered with 409", 409)

    provider.before_delete = refuse_a
    plan = cleaned(provider)
    assert outcomes(plan) == {"a": Outcome.FAILED, "b": Outcome.DELETED}
    assert plan.status == "partial"
    assert add_up(plan)


def test_refused_access_stops_the_account_and_defers_the_rest() -> None:
    provider = Fake(*(thing(f"{number}") for number in range(5)))
    provider.before_delete = raising(AccessDenied("forbidden", 403))
    plan = cleaned(provider)
    assert [entry.outcome for entry in plan.selected] == [Outcome.FAILED] + [Outcome.DEFERRED] * 4
    assert plan.error == "forbidden"
    assert plan.undone
    assert add_up(plan)


def test_an_id_that_cannot_be_sent_is_failed() -> None:
    provider = Fake(thing(".."))
    provider.before_look = raising(UnsafeId("'..' cannot be sent"))
    plan = cleaned(provider)
    assert outcomes(plan) == {"..": Outcome.FAILED}
    assert provider.sent("..") == 0


def test_an_answer_that_cannot_be_read_is_resolved_by_looking() -> None:
    provider = Fake(thing("old", what="files"))
    provider.after_delete = raising(TypeError("surprise"))
    assert outcomes(cleaned(provider, rule("files"))) == {"old": Outcome.DELETED}


def test_a_stop_before_an_item_was_begun_defers_it() -> None:
    provider = Fake(*(thing(f"{number}") for number in range(3)))
    provider.after_delete = lambda item: provider.stop.asked.set()
    plan = cleaned(provider)
    assert [entry.outcome for entry in plan.selected] == [Outcome.DELETED, Outcome.DEFERRED, Outcome.DEFERRED]
    assert not plan.undone
    assert add_up(plan)


def test_a_stop_between_the_look_and_the_delete_defers_the_item() -> None:
    provider = Fake(thing("old"))
    provider.before_look = lambda item: provider.stop.asked.set()
    assert outcomes(cleaned(provider)) == {"old": Outcome.DEFERRED}
    assert provider.sent("old") == 0


def test_a_stop_while_a_delete_is_unanswered_still_finds_out_what_became_of_it() -> None:
    provider = Fake(thing("old", what="files"))

    def lost(item: Item) -> None:
        provider.stop.asked.set()
        raise OutcomeUnknown("no answer")

    provider.after_delete = lost
    assert outcomes(cleaned(provider, rule("files"))) == {"old": Outcome.DELETED}


def test_a_stop_after_an_unanswered_delete_of_something_still_there_is_a_failure_not_silence() -> None:
    provider = Fake(thing("old", what="files"))

    def lost(item: Item) -> None:
        provider.stop.asked.set()
        raise OutcomeUnknown("502")

    provider.before_delete = lost
    plan = cleaned(provider, rule("files"))
    assert outcomes(plan) == {"old": Outcome.FAILED}
    assert provider.sent("old") == 1


def test_batches_are_no_larger_than_the_source_allows_and_never_mix_sources() -> None:
    provider = Fake(
        *(thing(f"h{n}", what="heaps") for n in range(7)), *(thing(f"f{n}", what="files") for n in range(2))
    )
    sizes: list[list[str]] = []
    plain = provider.delete

    def noted(items: Any, permit: Any) -> Any:
        sizes.append([item.id for item in items])
        return plain(items, permit)

    provider.delete = noted  # type: ignore[method-assign]  # only to see the groups
    plan = cleaned(provider, rule("heaps"), rule("files", name="files"))
    assert [len(group) for group in sizes] == [3, 3, 1, 1, 1]
    assert plan.count(Outcome.DELETED) == 9


def test_many_threads_delete_every_item_exactly_once() -> None:
    provider = Fake(*(thing(f"{number}") for number in range(200)))
    plan = cleaned(provider, concurrency=16)
    assert plan.count(Outcome.DELETED) == 200
    assert {provider.sent(f"{number}") for number in range(200)} == {1}


def test_threads_are_no_more_than_there_is_to_do() -> None:
    provider = Fake(thing("a"), thing("b"))
    seen: set[str] = set()
    provider.before_delete = lambda item: seen.add(threading.current_thread().name)
    cleaned(provider, concurrency=64)
    assert len(seen) <= 2


def test_kept_items_are_counted_by_reason_and_undecided_ones_told_apart() -> None:
    provider = Fake(thing("a", days=1), thing("b", state=State.UNKNOWN), thing("c", ended_at=None))
    plan = planned(provider)
    assert plan.listed == 3
    assert plan.kept.total() == 3
    assert plan.undecided == 2


def test_a_room_past_its_end_that_cannot_be_judged_makes_the_run_undone() -> None:
    provider = Fake(thing("Room", kind=Kind.LIVE, live=Live()))
    rules = rule(cutoff=NOW, live=LiveRule(scheduled={"Room": NOW - timedelta(hours=1)}))
    plan = planned(provider, rules)
    assert not plan.selected
    assert plan.undone


def test_what_is_old_and_stays_for_good_is_counted_with_the_oldest() -> None:
    undated: dict[str, Any] = {"ended_at": None, "unreadable": "its duration cannot be read"}
    provider = Fake(
        thing("young doubt", days=3, **undated),
        thing("old doubt", days=50, **undated),
        thing("oldest doubt", days=90, **undated),
        thing("weekly", days=90, kind=Kind.RECURRING),
    )
    plan = planned(provider)
    assert plan.stuck.count == 2
    assert plan.stuck.oldest
    assert plan.stuck.oldest.item.id == "oldest doubt"


def test_what_nobody_can_date_is_stuck_too() -> None:
    provider = Fake(thing("undated", ended_at=None, started_at=None))
    assert planned(provider).stuck.count == 1


@pytest.mark.parametrize("state", [State.RUNNING, State.INCOMPLETE])
@pytest.mark.parametrize("kind", [Kind.ONE_TIME, Kind.RECORDING])
def test_what_runs_or_is_unfinished_long_after_its_end_is_stuck(kind: Kind, state: State) -> None:
    known = thing("known end", days=700, kind=kind, state=state)
    begun = thing("begun", days=800, kind=kind, state=state, ended_at=None)
    plan = planned(Fake(known, begun, thing("young", days=29, kind=kind, state=state)))
    assert (plan.stuck.count, plan.kept[Reason.RUNNING]) == (2, 3)
    assert plan.stuck.oldest
    assert (plan.stuck.oldest.item.id, plan.stuck.since) == ("begun", begun.started_at)


def test_what_may_rightly_run_is_not_stuck() -> None:
    fields: dict[str, Any] = {"state": State.RUNNING, "started_at": NOW - timedelta(days=700)}
    tagless = {"ended_at": None, "created_at": NOW - timedelta(days=700)}
    items = [
        thing("ends in the future", ended_at=NOW + timedelta(hours=1), **fields),
        thing("just over", days=30.5, state=State.RUNNING),
        thing("no times", state=State.RUNNING, started_at=None, **tagless),
        thing("recurring", kind=Kind.RECURRING, **fields | tagless),
        thing("recurring and unreadable", kind=Kind.RECURRING, state=State.UNKNOWN, **tagless),
        thing("room", kind=Kind.ROOM, **fields | tagless),
        thing("live", kind=Kind.LIVE, live=Live(), **fields | tagless),
    ]
    plan = planned(Fake(*items))
    assert (plan.stuck.count, plan.listed, len(plan.selected)) == (0, len(items), 0)


def test_a_tagged_room_that_the_rule_would_delete_is_stuck_like_a_meeting() -> None:
    room = thing("room", kind=Kind.ROOM, state=State.RUNNING, tags=("cleanup",), ended_at=None)
    found = make_plan(Listing("hq", Fake(room), [rule(rooms=True, tags=("cleanup",))], NOW))
    assert found.stuck.count == 1


def test_what_can_never_be_deleted_is_stuck_where_the_vendor_deletes_others_of_its_kind() -> None:
    odd = thing("odd", days=700, undeletable="its id is not text")
    assert planned(Fake(odd, thing("young", days=3, undeletable="its id is not text"))).stuck.count == 1


def test_what_should_have_gone_and_did_not_is_stuck() -> None:
    provider = Fake(thing("old", days=90))
    provider.before_delete = raising(HttpError("409", 409))
    plan = cleaned(provider)
    assert plan.stuck.count == 1


def test_what_cannot_be_recorded_is_not_deleted() -> None:
    provider = Fake(thing("a"), thing("b"))
    record = Memory()
    record.trouble = LedgerError("the disk is full")
    plan = planned(provider)
    carry_out(Deletion(plan, provider, (rule(),), NOW, record, provider.stop))
    assert set(provider.held) == {"a", "b"}
    assert provider.sent("a") == 0
    assert (plan.error, plan.undone) == ("the disk is full", True)
    assert add_up(plan)


def test_an_intent_is_recorded_before_the_deletion_and_its_outcome_after() -> None:
    provider, record = Fake(thing("a")), Memory()
    provider.before_delete = lambda item: record.intended.index((item.id, "old")) and None
    plan = planned(provider)
    carry_out(Deletion(plan, provider, (rule(),), NOW, record, provider.stop))
    assert [result.outcome for result in record.finished.values()] == [Outcome.DELETED]


def test_a_fault_of_a_provider_leaves_the_outcome_unknown_and_prints_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    provider = Fake(thing("old"), thing("older"))
    provider.after_delete = raising(RuntimeError("token=hunter2"))
    plan = cleaned(provider)
    assert [entry.outcome for entry in plan.selected] == [Outcome.UNKNOWN, Outcome.DEFERRED]
    assert plan.undone
    assert "hunter2" not in "".join(capsys.readouterr()) + str(plan.error)


def test_outcomes_of_a_batch_are_kept_if_the_record_fails_in_the_middle() -> None:
    provider = Fake(*(thing(f"h{n}", what="heaps") for n in range(3)))
    record = Memory()

    def full(intent: int, result: Any) -> None:
        raise LedgerError("the disk is full")

    record.finish = full  # type: ignore[method-assign]  # the disk fills up after the intents
    rules = (rule("heaps"),)
    plan = planned(provider, *rules)
    carry_out(Deletion(plan, provider, rules, NOW, record, provider.stop))
    assert [entry.outcome for entry in plan.selected] == [Outcome.DELETED] * 3
    assert plan.undone


def test_a_reviewed_room_that_ended_since_does_not_stand_for_a_new_one_of_its_name() -> None:
    began = NOW - timedelta(days=3)
    live: dict[str, Any] = {"kind": Kind.LIVE, "ended_at": None}
    seen = thing("Room", live=Live(timedelta(hours=9)), **live | {"started_at": began})
    fresh = thing("Room", live=Live(timedelta(hours=9)), **live | {"started_at": NOW - timedelta(hours=9)})
    review = PlanReview({seen.key: digest(seen)}, {seen.key: seen})
    rules = (rule(cutoff=NOW, live=LiveRule(max_duration=timedelta(hours=8))),)
    plan = make_plan(Listing("hq", Fake(fresh), rules, NOW, review=review))
    assert outcomes(plan) == {"Room": Outcome.CHANGED}


# A look has an age -----------------------------------------------------------------------------


class Slow(Fake):
    """A vendor whose deletions find their permit lapsed so many times."""

    def __init__(self, *items: Item, lapses: int) -> None:
        super().__init__(*items)
        self.lapses = lapses

    def delete(self, items: Sequence[Item], permit: Permit) -> list[Result]:
        assert permit.lapses
        if self.lapses:
            self.lapses -= 1
            raise Stale("too late")
        return super().delete(items, permit)


def test_a_deletion_that_could_not_leave_in_time_is_looked_at_again() -> None:
    provider = Slow(thing("old"), lapses=2)
    assert outcomes(cleaned(provider)) == {"old": Outcome.DELETED}
    assert provider.calls == [("look", "old")] * 3 + [("delete", "old")]


def test_what_changed_while_a_deletion_could_not_leave_is_kept() -> None:
    provider = Slow(thing("old"), lapses=1)
    looks: list[str] = []

    def restarted(item: Item) -> None:
        looks.append(item.id)
        if len(looks) == 2:
            provider.held["old"] = changed(item, state=State.RUNNING)

    provider.before_look = restarted
    record = Memory()
    plan = planned(provider)
    carry_out(Deletion(plan, provider, [rule()], NOW, record, provider.stop))
    assert outcomes(plan) == {"old": Outcome.CHANGED}
    assert "old" in provider.held
    assert [result.outcome for result in record.finished.values()] == [Outcome.CHANGED]


def test_a_deletion_that_never_leaves_in_time_has_failed_and_is_recorded_once() -> None:
    provider, record = Slow(thing("old"), lapses=99), Memory()
    plan = planned(provider)
    carry_out(Deletion(plan, provider, [rule()], NOW, record, provider.stop))
    assert outcomes(plan) == {"old": Outcome.FAILED}
    assert (len(record.intended), provider.sent("old")) == (1, 0)


def test_the_repetition_after_an_unclear_answer_has_a_look_of_its_own() -> None:
    provider = Fake(thing("old", what="files"))
    seen: list[bool] = []
    unclear = raising(OutcomeUnknown("502"), once=True)

    def deleting(items: Sequence[Item], permit: Permit) -> list[Result]:
        seen.append(permit.lapses)
        return Fake.delete(provider, items, permit)

    provider.before_delete = unclear
    provider.delete = deleting  # type: ignore[method-assign]  # it notes what it was permitted
    assert outcomes(cleaned(provider, rule("files"))) == {"old": Outcome.DELETED}
    assert seen == [False, True]


# What proves, and what does not ----------------------------------------------------------------


def test_a_404_is_gone_only_if_a_look_agrees() -> None:
    provider = Fake(thing("there", what="files"), thing("gone", what="files"))

    def absent(item: Item) -> None:
        if item.id == "gone":
            del provider.held["gone"]
        raise HttpError("404", 404)

    provider.before_delete = absent
    plan = cleaned(provider, rule("files"))
    assert outcomes(plan) == {"there": Outcome.FAILED, "gone": Outcome.GONE}
    assert "still there" in (plan.selected.first(1)[0].error or "")


@pytest.mark.parametrize("count", [9, 10, 30])
def test_an_account_whose_first_ten_deletions_are_all_answered_with_404_is_left(count: int) -> None:
    provider = Fake(*(thing(f"{number}", what="files") for number in range(count)))
    provider.before_delete = raising(HttpError("404", 404))
    plan = cleaned(provider, rule("files"))
    assert sum(provider.sent(f"{number}") for number in range(count)) == min(count, 10)
    assert (plan.error is not None) == (count >= 10)
    assert add_up(plan)


def test_ten_times_404_after_a_deletion_that_worked_do_not_end_the_account() -> None:
    provider = Fake(*(thing(f"{number}", what="files") for number in range(20)))

    def absent(item: Item) -> None:
        if item.id != "0":
            raise HttpError("404", 404)

    provider.before_delete = absent
    plan = cleaned(provider, rule("files"))
    assert (plan.count(Outcome.DELETED), plan.count(Outcome.FAILED), plan.error) == (1, 19, None)


@pytest.mark.parametrize("status", [200, 202, 206, 207])
def test_a_success_that_proves_nothing_is_unknown_while_it_is_still_there(status: int) -> None:
    provider = Fake(thing("old", what="files"))
    provider.before_delete = raising(OutcomeUnknown("odd", status))
    assert outcomes(cleaned(provider, rule("files"))) == {"old": Outcome.UNKNOWN}
    assert provider.sent("old") == 1


def test_a_redirect_is_failed_while_it_is_still_there_and_is_not_repeated() -> None:
    provider = Fake(thing("old", what="files"))
    provider.before_delete = raising(OutcomeUnknown("moved", 302))
    assert outcomes(cleaned(provider, rule("files"))) == {"old": Outcome.FAILED}
    assert provider.sent("old") == 1


def test_a_refusal_of_the_repetition_is_resolved_by_looking_as_the_first_request_may_have_been_carried_out() -> None:
    provider = Fake(thing("old", what="files"))
    answers = iter([OutcomeUnknown("502"), HttpError("409", 409)])

    def late(item: Item) -> None:
        answer = next(answers)
        if isinstance(answer, HttpError) and not isinstance(answer, OutcomeUnknown):
            del provider.held["old"]
        raise answer

    provider.before_delete = late
    assert outcomes(cleaned(provider, rule("files"))) == {"old": Outcome.DELETED}


def test_a_vendor_that_lags_is_looked_at_again_with_growing_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow_up, "LAGS", (1.0, 2.0, 4.0, 8.0))
    stop = NoWaiting()
    provider = Fake(thing("old", what="files"), stop=stop)
    looks: list[Item] = []

    def lagging(item: Item) -> None:
        looks.append(item)
        if len(looks) == 3:
            del provider.held["old"]

    provider.before_look = lagging
    provider.before_delete = raising(OutcomeUnknown("accepted", 202))
    assert outcomes(cleaned(provider, rule("files"), stop=stop)) == {"old": Outcome.DELETED}
    assert stop.waited == [1.0, 2.0]


def test_an_account_that_is_waited_for_in_vain_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow_up, "LAGS", (1.0,))
    stop = NoWaiting()
    provider = Fake(*(thing(f"{number}", what="files") for number in range(30)), stop=stop)
    provider.before_delete = raising(OutcomeUnknown("accepted", 202))
    assert cleaned(provider, rule("files"), stop=stop).count(Outcome.UNKNOWN) == 30
    assert stop.waited == [1.0] * follow_up.IN_VAIN


def test_what_is_recorded_as_deleted_and_listed_again_is_deleted_only_if_a_look_proves_it() -> None:
    provider = Fake(thing("stays", what="files"), thing("goes", what="files"))

    def deleting(items: Sequence[Item], permit: Permit) -> list[Result]:
        for item in items:
            if item.id == "goes":
                del provider.held["goes"]
        return [Result(Outcome.DELETED)] * len(items)

    provider.delete = deleting  # type: ignore[method-assign]  # a vendor that says more than it does
    plan = planned(provider, rule("files"))
    plan.note_recorded(list(plan.selected), {entry.item.key: NOW for entry in plan.selected})
    carry_out(Deletion(plan, provider, [rule("files")], NOW, Memory(), provider.stop))
    assert outcomes(plan) == {"stays": Outcome.UNKNOWN, "goes": Outcome.DELETED}
    assert "recorded as deleted on 2026-03-01" in (plan.selected.first(1)[0].error or "")
    assert (plan.undone, plan.stuck.count) == (True, 2)
    assert any("recorded as deleted" in warning and "stays" in warning for warning in plan.warnings)


def test_a_hang_up_after_which_another_room_has_the_name_was_carried_out() -> None:
    room = thing("Room", kind=Kind.LIVE, live=Live(timedelta(hours=9)), started_at=NOW - timedelta(hours=9))
    provider = Fake(room)

    def lost(item: Item) -> None:
        provider.held["Room"] = changed(room, live=Live(timedelta(seconds=5)), started_at=NOW)
        raise OutcomeUnknown("500", 500)

    provider.before_delete = lost
    plan = cleaned(provider, rule(cutoff=NOW, live=LiveRule(max_duration=timedelta(hours=8))))
    assert outcomes(plan) == {"Room": Outcome.DELETED}
    assert provider.sent("Room") == 1


def test_a_batch_that_cannot_be_looked_at_is_not_sent_and_says_why() -> None:
    class Confirming(Fake):
        sources = {"heaps": changed(Fake.sources["heaps"], recheck=True, confirmed=True)}

    provider = Confirming(*(thing(ident, what="heaps") for ident in "abcd"))
    provider.before_look = raising(HttpError("GET was answered with 500", 500))
    plan = cleaned(provider, rule("heaps"))
    assert (plan.error, plan.count(Outcome.FAILED), len(provider.held)) == (None, 4, 4)
    assert {entry.error for entry in plan.selected} == {"GET was answered with 500"}
    assert not [what for what, _ in provider.calls if what == "delete"]
