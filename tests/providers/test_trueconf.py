"""TrueConf: the hazards of its API, both versions, its three ways to sign in, and the list of a Room.

What becomes of an item is asked of the real client over a socket, with the layers above it where they decide.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from confcleanup.cli import cli
from confcleanup.cutoff import Period
from confcleanup.deleter import Deletion, carry_out
from confcleanup.errors import AccessDenied, HttpError, OutcomeUnknown, Problem, ProviderError, UnsafeId
from confcleanup.filter import Reason, Rule, decide
from confcleanup.http.client import Permit
from confcleanup.items import Item, Kind, Outcome, State
from confcleanup.listing import Listing, make_plan
from confcleanup.outcomes import Claim, claim_of
from confcleanup.plan import Plan, Watcher
from confcleanup.providers.trueconf import ConferenceRule, TrueConf, TrueConfSettings
from confcleanup.providers.trueconf_conferences import conference
from confcleanup.sandbox import trueconf as sandbox
from confcleanup.sandbox.room import Room
from confcleanup.sandbox.server import Request, Response, Server
from confcleanup.settings.tables import build
from confcleanup.worklist import Entry
from tests.fake import Memory
from tests.providers.contract import HTML, NOW
from tests.providers.scripted_room import SIGNED_IN, ScriptedRoom, schedule
from tests.providers.waiting import NoWaiting

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
RULE = Rule(name="test", what="conferences", cutoff=NOW - 30 * DAY, age="30 days")
V3, V4 = "v3.11", "v4"
LIST = {V3: "/api/v3.11/conferences", V4: "/api/v4/conferences"}


def server(api: str = V3, **switches: Any) -> sandbox.TrueConf:
    """An empty server whose clock stands at NOW."""
    return sandbox.TrueConf(lambda: NOW, api=api, **switches)


def add_user(emulator: sandbox.TrueConf, name: str, password: str) -> None:
    emulator.users[name] = password


def fill(emulator: sandbox.TrueConf, count: int) -> list[str]:
    """So many ended conferences; their ids in the order of the list."""
    ids = [f"{number:010d}" for number in range(count)]
    for ident in ids:
        emulator.add_conference(ident, ended=40 * DAY)
    return ids


def seconds(when: datetime) -> int:
    return int(when.timestamp())


def table(emulator: sandbox.TrueConf, url: str, **more: Any) -> dict[str, Any]:
    """The account's keys; a key given as None is left out."""
    keys = {
        "provider": "trueconf",
        "url": url,
        "api": emulator.api,
        "client_id": emulator.client_id,
        "client_secret": emulator.client_secret,
        "rate": "unlimited",
        "timeout": "10 s",
        **more,
    }
    return {name: value for name, value in keys.items() if value is not None}


@contextmanager
def client(emulator: sandbox.TrueConf, **more: Any) -> Iterator[TrueConf]:
    """The real client, talking to the emulator over a socket."""
    with Server(emulator) as served:
        problems: list[Problem] = []
        settings = build(TrueConfSettings, table(emulator, served.url, **more), "accounts.hq", problems)
        assert settings is not None
        assert not problems
        with TrueConf(settings, NoWaiting(), lambda: NOW) as provider:
            yield provider  # type: ignore[misc]  # __enter__ is the base class's


def listed(provider: TrueConf, *rules: Rule) -> dict[str, Item]:
    return {item.id: item for item in provider.list_items("conferences", rules or (RULE,))}


class Kept(Watcher):
    """Remembers the reason of everything that is kept."""

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}

    def kept(self, account: str, entry: Entry) -> None:
        self.reasons[entry.item.id] = entry.decision.reason


def planned(provider: TrueConf, *rules: Rule) -> tuple[Plan, dict[str, str]]:
    """The plan, and the reason of everything that is kept."""
    watcher = Kept()
    return make_plan(Listing("hq", provider, rules or (RULE,), NOW, watcher=watcher)), watcher.reasons


def carried_out(provider: TrueConf, plan: Plan, *rules: Rule) -> dict[str, Outcome | None]:
    stop = NoWaiting()
    carry_out(Deletion(plan, provider, rules or (RULE,), NOW, Memory(), stop))
    return {entry.item.id: entry.outcome for entry in plan.selected}


def cleaned(provider: TrueConf, *rules: Rule) -> dict[str, Outcome | None]:
    plan, _ = planned(provider, *rules)
    assert plan.error is None
    return carried_out(provider, plan, *rules)


def rule_from(**keys: Any) -> ConferenceRule:
    problems: list[Problem] = []
    rule = build(ConferenceRule, {"what": "conferences", **keys}, "rule", problems)
    assert rule is not None
    assert not problems
    return rule


def mistakes(cls: Any, **keys: Any) -> list[str]:
    problems: list[Problem] = []
    build(cls, keys, "", problems)
    return [str(problem) for problem in problems]


def deleted(emulator: sandbox.TrueConf) -> list[str]:
    """The raw paths that a DELETE was sent to."""
    return [request.path for request in emulator.requests("DELETE")]


def refuse(emulator: sandbox.TrueConf, method: str, answer: Response, *, times: int = 1000) -> None:
    """So many requests of a method are answered with this, whatever they ask; sign-ins are left alone."""
    left = [answer] * times

    def hook(request: Request) -> Response | None:
        return left.pop() if request.method == method and left else None

    emulator.interfere.append(hook)


def trueconf_error(status: int, reason: str, **more: Any) -> Response:
    entry = {"reason": reason, "message": "…", **more}
    return Response(status, {"error": {"code": status, "message": "…", "errors": [entry]}})


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Any]:
    """Runs the command line with a config file; afterwards, logging is as it was."""
    log = logging.getLogger("confcleanup")
    before = (log.propagate, log.level, list(log.handlers))

    def run(config: str, *words: str) -> Result:
        file = tmp_path / "config.toml"
        file.write_text(config, encoding="utf-8")
        file.chmod(0o600)
        return CliRunner().invoke(cli, ["-c", str(file), "--state", str(tmp_path / "state"), *words])

    yield run
    log.propagate, log.level, log.handlers[:] = before


def config(emulator: sandbox.TrueConf, url: str, **rule: Any) -> str:
    """A config file with one account and one rule."""
    keys = {"what": "conferences", "older_than": "30 days", **rule}
    lines = ["[accounts.hq]", *(f"{name} = {json.dumps(value)}" for name, value in table(emulator, url).items())]
    lines += ["[[accounts.hq.rules]]", *(f"{name} = {json.dumps(value)}" for name, value in keys.items())]
    return "\n".join(lines)


# The hazards, in the order of the fact sheet -------------------------------------------------------


@pytest.mark.parametrize("age", ["-30 days", "-1", "inf days", "nan days", "0 days", "1e3 days", "", "∞"])
def test_hazard_01_an_age_that_is_negative_infinite_or_no_number_is_refused_before_any_request(
    age: str, command: Any
) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Period.parse(age)
    emulator = server()
    with Server(emulator) as served:
        result = command(config(emulator, served.url), "run", "--yes", f"--older-than={age}")
    assert result.exit_code == 2
    assert emulator.seen == []


@pytest.mark.parametrize("api", [V3, V4])
@pytest.mark.parametrize("page", [1, 2, 3])
def test_hazard_02_if_one_page_fails_nothing_is_deleted(api: str, page: int) -> None:
    emulator = server(api, page_cap=3)
    fill(emulator, 9)
    name = "page_id" if api == V3 else "page"
    emulator.interfere.append(lambda request: Response(500, HTML) if request.arg(name) == str(page) else None)
    with client(emulator) as provider:
        plan, _ = planned(provider)
        assert plan.failed
        assert list(plan.selected) == []
    assert deleted(emulator) == []


@pytest.mark.parametrize("api", [V3, V4])
@pytest.mark.parametrize("count", [1, 50, 51, 120])
def test_hazard_03_a_page_smaller_than_asked_for_is_not_the_last(api: str, count: int) -> None:
    emulator = server(api, page_cap=50)
    ids = fill(emulator, count)
    with client(emulator) as provider:
        assert list(listed(provider)) == ids


def test_hazard_04_more_pages_than_the_recursion_limit_are_all_read() -> None:
    emulator = server()
    row = emulator.add_conference("0", ended=40 * DAY)
    count = sys.getrecursionlimit() + 100

    def page(request: Request) -> Response | None:
        number = request.number("page_id", 0)
        return Response(200, {"cnt": count, "conferences": [{**row, "id": str(number)}]}) if number else None

    emulator.interfere.append(page)
    with client(emulator) as provider:
        assert len(listed(provider)) == count


@pytest.mark.parametrize(
    "answer",
    [Response(204), Response(200, {"id": "0"}), Response(200), Response(200, b"OK"), Response(202, {})],
    ids=["204", "200 and the id", "200 without a body", "200 with text", "202"],
)
def test_hazard_05_any_2xx_means_deleted_with_or_without_a_body_and_the_rest_follows(answer: Response) -> None:
    emulator = server()
    ids = fill(emulator, 4)
    emulator.after.append(lambda request, _: answer if request.method == "DELETE" else None)
    with client(emulator) as provider:
        assert cleaned(provider) == dict.fromkeys(ids, Outcome.DELETED)
    assert not emulator.conferences


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Response(500, HTML), OutcomeUnknown),
        (Response(502), OutcomeUnknown),
        (Response(503, {"error": "busy"}), OutcomeUnknown),
        (Response(400, {"error": "invalid_request"}), HttpError),
        (Response(400, {"error": {"code": 400}}), HttpError),
        (Response(400, {"error": {"errors": "…"}}), HttpError),
        (Response(400, {"error": {"errors": [None, 7]}}), HttpError),
        (Response(403, HTML), AccessDenied),
        (Response(403, {"error": "forbidden"}), AccessDenied),
        (Response(403), AccessDenied),
        (Response(404, HTML), AccessDenied),
        (Response(404, {"error": "conferenceNotFound"}), AccessDenied),
        (Response(404, b"[]"), AccessDenied),
        (Response(409, b"null"), HttpError),
    ],
)
def test_hazard_06_errors_of_any_shape_are_told_apart_by_their_status(answer: Response, error: type[HttpError]) -> None:
    emulator = server()
    fill(emulator, 1)
    refuse(emulator, "DELETE", answer)
    with client(emulator) as provider:
        (item,) = listed(provider).values()
        with pytest.raises(error) as caught:
            provider.delete([item], Permit())
        assert type(caught.value) is error
        assert caught.value.status == answer.status
    assert len(deleted(emulator)) == 1


ODD: list[Any] = [True, None, -3600, -1, 0, "--5", "3600.5", 3600.5, "soon", "", [], {}, ..., 10**20, "1" * 30]
"""What a field of the schedule may hold instead of a number; ``...`` is nothing at all."""


@pytest.mark.parametrize("name", ["start_time", "duration"])
@pytest.mark.parametrize("value", ODD, ids=repr)
def test_hazard_07_an_unreadable_schedule_is_kept_with_a_reason_and_the_rest_goes_on(name: str, value: Any) -> None:
    emulator = server()
    emulator.add_conference("odd", ended=40 * DAY)
    emulator.add_conference("old", ended=40 * DAY)
    plan_of = emulator.conferences["odd"]["schedule"]
    plan_of[name] = value
    if value is ...:
        del plan_of[name]
    with client(emulator) as provider:
        plan, kept = planned(provider)
        assert name in kept["odd"]
        assert carried_out(provider, plan) == {"old": Outcome.DELETED}
    assert set(emulator.conferences) == {"odd"}


@pytest.mark.parametrize("schedule_", [None, [], "once", 1, {}], ids=repr)
def test_hazard_07_a_schedule_that_is_no_object_or_empty_is_kept(schedule_: Any) -> None:
    emulator = server()
    emulator.add_conference("odd", ended=40 * DAY)["schedule"] = schedule_
    with client(emulator) as provider:
        _, kept = planned(provider)
    assert "unknown type" in kept["odd"]


@pytest.mark.parametrize("start", [253402300799, "9999-12-31T23:59:59Z"])
def test_hazard_07_a_start_at_the_end_of_the_calendar_is_kept(start: Any) -> None:
    emulator = server()
    emulator.add_conference("odd", ended=40 * DAY)["schedule"]["start_time"] = start
    with client(emulator) as provider:
        plan, kept = planned(provider)
    assert not plan.failed
    assert "calendar" in kept["odd"]


@pytest.mark.parametrize("start", ["1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", 0, 1, 946684799])
def test_hazard_07_a_placeholder_in_place_of_a_start_is_kept(start: Any) -> None:
    emulator = server()
    emulator.add_conference("odd", ended=40 * DAY)["schedule"]["start_time"] = start
    with client(emulator) as provider:
        _, kept = planned(provider)
    assert "start_time cannot be read" in kept["odd"]


def test_hazard_08_what_is_gone_already_is_success_and_counted_apart() -> None:
    emulator = server()
    ids = fill(emulator, 3)
    with client(emulator) as provider:
        plan, _ = planned(provider)
        del emulator.conferences[ids[1]]
        outcomes = carried_out(provider, plan)
    assert outcomes == {ids[0]: Outcome.DELETED, ids[1]: Outcome.GONE, ids[2]: Outcome.DELETED}
    assert not plan.undone


def test_hazard_08_gone_between_the_last_look_and_the_deletion_is_success_too() -> None:
    emulator = server()
    fill(emulator, 1)
    with client(emulator) as provider:
        (item,) = listed(provider).values()
        emulator.conferences.clear()
        with pytest.raises(HttpError) as refused:
            provider.delete([item], Permit())
        assert (claim_of(refused.value), provider.get(item)) == (Claim.ABSENT, None)
    assert len(deleted(emulator)) == 1


def test_hazard_08_a_run_with_nothing_to_do_is_success(command: Any) -> None:
    emulator = sandbox.TrueConf()
    emulator.add_conference("young", ended=DAY)
    with Server(emulator) as served:
        result = command(config(emulator, served.url), "run", "--yes")
    assert result.exit_code == 0
    assert "deleted 0 of 0" in result.output


@pytest.mark.parametrize("reason", ["routeNotFound", "somethingElse"])
def test_hazard_08_a_404_of_another_kind_is_never_taken_for_gone(reason: str) -> None:
    emulator = server()
    fill(emulator, 2)
    with client(emulator) as provider:
        plan, _ = planned(provider)
        refuse(emulator, "GET", trueconf_error(404, reason))
        outcomes = carried_out(provider, plan)
    assert Outcome.GONE not in outcomes.values()
    assert plan.error is not None
    assert "url and api" in plan.error
    assert deleted(emulator) == []


@pytest.mark.parametrize("tag", ["a&state=running", "a#b", "two words", "löschen ✓", "50%", "a+b", "="])
def test_hazard_09_a_tag_is_encoded_and_adds_no_parameter(tag: str) -> None:
    emulator = server()
    emulator.add_conference("tagged", ended=40 * DAY, tags=[tag])
    emulator.add_conference("plain", ended=40 * DAY)
    with client(emulator) as provider:
        assert cleaned(provider, replace(RULE, tags=(tag,))) == {"tagged": Outcome.DELETED}
    (request,) = [request for request in emulator.requests("GET") if request.path == LIST[V3]]
    assert [value for name, value in request.query if name == "tag"] == [tag]
    assert {name for name, _ in request.query} == {"page_id", "page_size", "tag"}


@pytest.mark.parametrize(
    "rules",
    [[RULE], [replace(RULE, tags=("a", "b"))], [replace(RULE, tags=("a",)), RULE]],
    ids=["no tag", "two tags", "one rule with and one without"],
)
def test_hazard_09_no_tag_is_sent_unless_every_rule_asks_for_the_same_one(rules: list[Rule]) -> None:
    emulator = server()
    with client(emulator) as provider:
        listed(provider, *rules)
    assert not [request for request in emulator.requests("GET") if request.arg("tag") is not None]


@pytest.mark.parametrize("api", [V3, V4])
def test_hazard_10_a_filter_that_the_server_ignores_is_applied_here(api: str) -> None:
    emulator = server(api, ignore_filters=True)
    emulator.add_conference("goes", ended=40 * DAY, tags=["delete"], owner="anna", topic="Daily standup")
    emulator.add_conference("no tag", ended=40 * DAY, owner="anna", topic="Daily standup")
    emulator.add_conference("other tag", ended=40 * DAY, tags=["deleted"], owner="anna", topic="Daily standup")
    emulator.add_conference("other owner", ended=40 * DAY, tags=["delete"], owner="boris", topic="Daily standup")
    emulator.add_conference("other title", ended=40 * DAY, tags=["delete"], owner="anna", topic="Budget")
    rule = replace(RULE, tags=("delete",), owner="anna", title="*standup*")
    with client(emulator) as provider:
        assert cleaned(provider, rule) == {"goes": Outcome.DELETED}


@pytest.mark.parametrize(
    "change",
    [{"state": "running"}, {"state": "paused"}, {"ended": DAY}, {"schedule_type": "week"}, {"schedule_type": "none"}],
    ids=repr,
)
def test_hazard_10_a_tag_alone_deletes_nothing(change: dict[str, Any]) -> None:
    emulator = server(ignore_filters=True)
    kind = change.pop("schedule_type", None)
    row = emulator.add_conference("tagged", **{"ended": 40 * DAY, "tags": ["delete"], **change})
    if kind:
        row["schedule"] = weekly() if kind == "week" else {"type": -1}
    with client(emulator) as provider:
        assert cleaned(provider, replace(RULE, tags=("delete",))) == {}
    assert deleted(emulator) == []


@pytest.mark.parametrize("api", [V3, V4])
def test_hazard_11_the_token_travels_in_the_header_and_in_no_address(api: str) -> None:
    emulator = server(api)
    fill(emulator, 2)
    with client(emulator) as provider:
        cleaned(provider)
    tokens = {request.bearer for request in emulator.requests("GET") + emulator.requests("DELETE")}
    assert len(tokens) == 1
    assert None not in tokens
    for seen in emulator.seen:
        sent = [seen.request.path, *(part for pair in seen.request.query for part in pair)]
        assert not [text for text in sent for secret in [*tokens, emulator.client_secret] if str(secret) in text]


@pytest.mark.parametrize("api", [V3, V4])
def test_hazard_12_a_token_that_expires_in_mid_run_is_renewed_once(api: str) -> None:
    emulator = server(api, page_cap=2)
    ids = fill(emulator, 5)
    with client(emulator) as provider:
        plan, _ = planned(provider)
        emulator.expire_tokens()
        assert carried_out(provider, plan) == dict.fromkeys(ids, Outcome.DELETED)
    assert len(emulator.requests("POST")) == 2
    assert {401: V4, 403: V3}[next(seen.status for seen in emulator.seen if seen.status in (401, 403))] == api


@pytest.mark.parametrize("api", [V3, V4])
def test_hazard_12_a_token_that_expires_before_the_delete_is_renewed_and_the_delete_repeated(api: str) -> None:
    emulator = server(api)
    fill(emulator, 2)
    with client(emulator) as provider:
        first, _ = listed(provider).values()
        emulator.expire_tokens()
        (result,) = provider.delete([first], Permit())
    assert result.outcome is Outcome.DELETED
    assert [seen.status // 100 for seen in emulator.seen if seen.request.method == "DELETE"] == [4, 2]


@pytest.mark.parametrize("answer", [Response(401), trueconf_error(403, "accessTokenInvalid")], ids=["401", "403"])
def test_hazard_12_a_token_that_is_refused_when_new_is_not_renewed_again(answer: Response) -> None:
    emulator = server()
    refuse(emulator, "GET", answer)
    with client(emulator) as provider, pytest.raises(AccessDenied):
        listed(provider)
    assert len(emulator.requests("POST")) == 2
    assert len(emulator.requests("GET")) == 2


@pytest.mark.parametrize(
    "answer",
    [trueconf_error(403, "forbidden", locationType="path", location="x"), trueconf_error(403, "forbidden")],
    ids=["with location", "without location"],
)
def test_hazard_12_a_missing_right_is_not_tried_again_and_stops_the_account(answer: Response) -> None:
    emulator = server()
    fill(emulator, 3)
    refuse(emulator, "DELETE", answer)
    with client(emulator) as provider:
        plan, _ = planned(provider)
        outcomes = carried_out(provider, plan)
    assert list(outcomes.values()) == [Outcome.FAILED, Outcome.DEFERRED, Outcome.DEFERRED]
    assert len(emulator.requests("POST")) == 1
    assert len(deleted(emulator)) == 1
    assert plan.undone


@pytest.mark.parametrize("api", [V3, V4])
@pytest.mark.parametrize("change", ["restarted", "moved", "longer", "tagged", "untagged", "weekly", "room", "unknown"])
def test_hazard_13_what_changed_since_it_was_listed_is_kept(api: str, change: str) -> None:
    emulator = server(api)
    emulator.add_conference("0073310045", ended=40 * DAY, tags=["delete"])
    emulator.add_conference("0073310046", ended=40 * DAY, tags=["delete"])
    rule = replace(RULE, tags=("delete",), keep_tags=("keep",))
    with client(emulator) as provider:
        plan, _ = planned(provider, rule)
        alter(emulator.conferences["0073310045"], change)
        outcomes = carried_out(provider, plan, rule)
    assert outcomes == {"0073310045": Outcome.CHANGED, "0073310046": Outcome.DELETED}
    assert deleted(emulator) == [f"{LIST[api]}/0073310046"]


def alter(row: dict[str, Any], change: str) -> None:
    """What an owner does to a conference between its listing and its deletion."""
    if change in ("restarted", "unknown"):
        row["state"] = {"restarted": "running", "unknown": "starting"}[change]
    elif change in ("tagged", "untagged"):
        row["tags"] = {"tagged": ["delete", "keep"], "untagged": []}[change]
    elif change in ("weekly", "room"):
        row["schedule"] = weekly() if change == "weekly" else {"type": -1}
    else:
        row["schedule"] = dict(row["schedule"])
        name = {"moved": "start_time", "longer": "duration"}[change]
        row["schedule"][name] = int(row["schedule"][name]) + 60


def weekly() -> dict[str, Any]:
    start = seconds(NOW - 400 * DAY)
    more = {"time": "09:00", "time_offset": 0, "days": ["monday", "friday"]}
    return {"type": 0, "start_time": start, "duration": 600, **more}


@pytest.mark.parametrize("api", [V3, V4])
def test_hazard_14_a_recurring_conference_is_kept_however_old_its_first_meeting_is(api: str) -> None:
    emulator = server(api)
    emulator.add_conference("weekly", ended=400 * DAY)["schedule"] = weekly()
    with client(emulator) as provider:
        (item,) = listed(provider).values()
        _, kept = planned(provider)
    assert (item.kind, item.ended_at) == (Kind.RECURRING, None)
    assert kept == {"weekly": "it recurs"}


@pytest.mark.parametrize("kind", [2, -2, "monthly", "Once", True, None, 1.0, [], "1 "], ids=repr)
def test_hazard_14_an_unknown_type_of_schedule_is_kept(kind: Any) -> None:
    emulator = server()
    row = emulator.add_conference("odd", ended=40 * DAY)
    row["schedule"]["type"] = kind
    with client(emulator) as provider:
        _, kept = planned(provider)
    assert "unknown type" in kept["odd"]


def test_hazard_14_the_mode_of_a_conference_is_not_its_schedule() -> None:
    emulator = server()
    for mode in (0, 1, 3):
        emulator.add_conference(f"once-{mode}", ended=40 * DAY, type=mode)
        emulator.add_conference(f"weekly-{mode}", ended=40 * DAY, type=mode)["schedule"] = weekly()
    with client(emulator) as provider:
        assert set(cleaned(provider)) == {"once-0", "once-1", "once-3"}


ROOMS = replace(RULE, tags=("delete",), rooms=True)


@pytest.mark.parametrize("api", [V3, V4])
@pytest.mark.parametrize(
    ("rule", "goes"),
    [(RULE, False), (replace(RULE, rooms=True), False), (replace(ROOMS, rooms=False), False), (ROOMS, True)],
    ids=["no word of rooms", "rooms without tags", "tags without rooms", "both"],
)
def test_hazard_15_a_room_goes_only_if_the_rule_says_rooms_and_names_its_tag(api: str, rule: Rule, goes: bool) -> None:
    emulator = server(api)
    room = emulator.add_conference("room_7", ended=40 * DAY, tags=["delete"])
    room["schedule"], room["created_at"] = {"type": -1}, seconds(NOW - 90 * DAY)
    with client(emulator) as provider:
        assert cleaned(provider, rule) == ({"room_7": Outcome.DELETED} if goes else {})


@pytest.mark.parametrize("created", [..., None, "soon", 0, seconds(NOW - 10 * DAY)], ids=repr)
def test_hazard_15_the_age_of_a_room_is_that_of_its_creation_and_nothing_else(created: Any) -> None:
    emulator = server()
    room = emulator.add_conference("room_7", ended=40 * DAY, tags=["delete"])
    room["schedule"], room["created_at"] = {"type": -1, "start_time": seconds(NOW - 90 * DAY), "duration": 60}, created
    if created is ...:
        del room["created_at"]
    with client(emulator) as provider:
        assert cleaned(provider, ROOMS) == {}


@pytest.mark.parametrize("api", [V3, V4])
def test_hazard_16_stopped_and_in_the_future_is_kept(api: str) -> None:
    emulator = server(api)
    emulator.add_conference("planned", ended=-7 * DAY)
    with client(emulator) as provider:
        _, kept = planned(provider)
    assert kept["planned"].startswith("not over yet")


@pytest.mark.parametrize("api", [V3, V4])
def test_hazard_16_what_ended_exactly_at_the_cutoff_is_kept(api: str) -> None:
    emulator = server(api)
    emulator.add_conference("at the cutoff", ended=30 * DAY)
    emulator.add_conference("one second before", ended=30 * DAY + timedelta(seconds=1))
    emulator.add_conference("one second after", ended=30 * DAY - timedelta(seconds=1))
    with client(emulator) as provider:
        assert cleaned(provider) == {"one second before": Outcome.DELETED}


SAME_START = [1759741200, "1759741200", "2025-10-06T09:00:00Z", "2025-10-06T12:00:00+03:00", "2025-10-06T09:00:00.000Z"]


@pytest.mark.parametrize("api", [V3, V4])
@pytest.mark.parametrize("start", SAME_START)
def test_hazard_17_every_spelling_of_a_start_is_the_same_instant(api: str, start: Any) -> None:
    emulator = server(api, short_list=False)
    emulator.add_conference("0073310045", ended=40 * DAY)
    exact = exactly(emulator, "0073310045", start_time=start, duration=3600, time_offset=0, special_time_offset=180)
    with client(emulator) as provider:
        item = listed(provider)["0073310045"]
        fresh = provider.get(item)
    assert exact
    assert item.started_at == datetime(2025, 10, 6, 9, tzinfo=UTC)
    assert item.ended_at == datetime(2025, 10, 6, 10, tzinfo=UTC)
    assert fresh == replace(item, raw=fresh.raw if fresh else {})


@pytest.mark.parametrize("start", ["2025-10-06T09:00:00", "2025-10-06", "1759741200000", 1759741200000, "09:00"])
def test_hazard_17_a_start_without_an_offset_or_in_another_unit_is_not_guessed(start: Any) -> None:
    emulator = server()
    emulator.add_conference("odd", ended=40 * DAY)
    exactly(emulator, "odd", start_time=start)
    with client(emulator) as provider:
        assert listed(provider)["odd"].ended_at is None


@pytest.mark.parametrize("offsets", [(0, 180), (180, 180), (-720, 840), (None, None), ("x", True)])
def test_hazard_17_offsets_change_nothing(offsets: tuple[Any, Any]) -> None:
    emulator = server()
    row = emulator.add_conference("0073310045", ended=30 * DAY + HOUR)
    row["schedule"]["time_offset"], row["schedule"]["special_time_offset"] = offsets
    with client(emulator) as provider:
        assert listed(provider)["0073310045"].ended_at == NOW - 30 * DAY - HOUR


def exactly(emulator: sandbox.TrueConf, ident: str, **fields: Any) -> bool:
    """Fields of the schedule as they are to stand in the server's answers, whatever the version makes of them."""

    def replace(row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "schedule": {**row["schedule"], **fields}} if row["id"] == ident else row

    def hook(request: Request, response: Response) -> Response | None:
        body = response.body
        if request.method != "GET" or not isinstance(body, dict) or response.status != 200:
            return None
        if "conference" in body:
            return Response(200, {**body, "conference": replace(body["conference"])})
        return Response(200, {**body, "conferences": [replace(row) for row in body["conferences"]]})

    emulator.after.append(hook)
    return True


def test_hazard_17_a_later_end_time_of_v4_counts_and_an_earlier_one_does_not() -> None:
    emulator = server(V4)
    for ident, end in (("later", NOW - DAY), ("earlier", NOW - 90 * DAY), ("odd", "soon")):
        emulator.add_conference(ident, ended=40 * DAY)
        exactly(emulator, ident, end_time=end.isoformat() if isinstance(end, datetime) else end)
    with client(emulator) as provider:
        items = listed(provider)
    assert {ident: item.ended_at for ident, item in items.items()} == {
        "later": NOW - DAY,
        "earlier": NOW - 40 * DAY,
        "odd": NOW - 40 * DAY,
    }


@pytest.mark.parametrize("api", [V3, V4])
def test_hazard_18_the_end_counts_and_not_the_creation(api: str) -> None:
    emulator = server(api)
    emulator.add_conference("made long ago", ended=-DAY)["created_at"] = seconds(NOW - 700 * DAY)
    emulator.add_conference("imported", ended=40 * DAY)["created_at"] = seconds(NOW - DAY)
    emulator.add_conference("of an old version", ended=40 * DAY).pop("created_at", None)
    with client(emulator) as provider:
        assert set(cleaned(provider)) == {"imported", "of an old version"}


@pytest.mark.parametrize(
    ("ident", "wire"),
    [
        ("0073310045", "0073310045"),
        ("conf-42", "conf-42"),
        ("0000001c@host#vcs", "0000001c%40host%23vcs"),
        ("a b?c=d&e", "a%20b%3Fc%3Dd%26e"),
        ("a/b", "a%2Fb"),
        ("100%", "100%25"),
        ("größe", "gr%C3%B6%C3%9Fe"),
    ],
)
def test_hazard_19_an_id_is_text_and_encoded_whole(ident: str, wire: str) -> None:
    emulator = server()
    neighbours = {"73310045", "0000001c", "a b", "a", "100", "b"}
    for name in {ident} | neighbours:
        emulator.add_conference(name, ended=40 * DAY)
    with client(emulator) as provider:
        item = listed(provider)[ident]
        provider.delete([item], Permit())
    assert deleted(emulator) == [f"{LIST[V3]}/{wire}"]
    assert set(emulator.conferences) == neighbours


@pytest.mark.parametrize("ident", [".", "..", " ", "%2e", "a/../b", "a\\..", "x\x00"])
def test_hazard_19_an_id_that_means_another_address_is_listed_and_never_sent(ident: str) -> None:
    emulator = server()
    emulator.add_conference(ident, ended=40 * DAY)
    emulator.add_conference("old", ended=40 * DAY)
    with client(emulator) as provider:
        before = len(emulator.seen)
        plan, kept = planned(provider)
        assert "cannot be sent as an id" in kept[ident]
        assert carried_out(provider, plan) == {"old": Outcome.DELETED}
        (overdue,) = plan.overdue
        with pytest.raises(UnsafeId):
            provider.get(overdue.item)
    assert plan.undone
    assert {request.path for request in (seen.request for seen in emulator.seen[before:])} <= {
        "/oauth2/v1/token",
        LIST[V3],
        f"{LIST[V3]}/old",
    }


@pytest.mark.parametrize("ident", [73310045, "", None, True, {"id": "1"}], ids=repr)
def test_hazard_19_an_id_that_is_no_text_is_kept(ident: Any) -> None:
    emulator = server()
    emulator.add_conference("odd", ended=40 * DAY)["id"] = ident
    emulator.add_conference("old", ended=40 * DAY)
    with client(emulator) as provider:
        plan, kept = planned(provider)
        assert "id is not text" in kept[""]
        assert carried_out(provider, plan) == {"old": Outcome.DELETED}


@pytest.mark.parametrize(
    "written",
    [
        "0073310045",
        " 0073310045\n",
        "\\c\\0073310045",
        "\\C\\0073310045@conf.example.com#vcs",
        "https://conf.example.com/c/0073310045",
        "https://conf.example.com/webrtc/0073310045?lang=en",
        "0073310045@conf.example.com",
    ],
)
def test_hazard_20_an_id_to_keep_is_understood_however_people_come_by_it(written: str) -> None:
    (meant,) = rule_from(keep_ids=[written]).ids().values()
    emulator = server()
    emulator.add_conference("0073310045", ended=40 * DAY)
    with client(emulator) as provider:
        _, kept = planned(provider, replace(RULE, keep_ids=frozenset(meant)))
    assert kept == {"0073310045": "named in keep_ids"}


@pytest.mark.parametrize("ident", [73310045])
def test_hazard_20_an_id_to_keep_that_may_not_mean_what_it_says_is_a_mistake_in_the_config(ident: Any) -> None:
    (mistake,) = mistakes(ConferenceRule, what="conferences", keep_ids=[ident])
    assert mistake.startswith("keep_ids")
    assert "73310045" in mistake


@pytest.mark.parametrize("owner", ["anna", "Anna", "anna@vc.example.org", "ANNA@VC.example.org"])
@pytest.mark.parametrize("wanted", ["anna", "ANNA@vc.example.org", "an*"])
def test_hazard_21_an_owner_is_the_same_with_and_without_domain_in_any_case(owner: str, wanted: str) -> None:
    emulator = server()
    emulator.add_conference("hers", ended=40 * DAY, owner=owner)
    emulator.add_conference("his", ended=40 * DAY, owner="boris@vc.example.org")
    emulator.add_conference("nobody's", ended=40 * DAY, owner="")
    with client(emulator) as provider:
        assert set(cleaned(provider, replace(RULE, owner=wanted))) == {"hers"}


def test_hazard_21_the_same_name_in_another_domain_is_another_owner() -> None:
    emulator = server()
    emulator.add_conference("hers", ended=40 * DAY, owner="anna@elsewhere.example")
    with client(emulator) as provider:
        assert cleaned(provider, replace(RULE, owner="anna@vc.example.org")) == {}


@pytest.mark.parametrize("style", ["table", "csv", "json", "jsonl"])
@pytest.mark.parametrize("word", ["plan", "run"])
def test_hazard_22_other_peoples_text_cannot_write_to_a_terminal(style: str, word: str, command: Any) -> None:
    hostile = "\x1b[2J\x1b]0;x\x07Budget\r\nhq: deleted everything\u202egnp.exe\x00\u2066"
    emulator = sandbox.TrueConf()
    emulator.add_conference("old", ended=40 * DAY, topic=hostile, owner=hostile, tags=[hostile])
    emulator.add_conference("odd", ended=40 * DAY, topic=hostile, state=hostile)
    yes = ["--yes"] if word == "run" else []
    with Server(emulator) as served:
        result = command(config(emulator, served.url), "-vv", word, *yes, "--format", style)
    assert result.exit_code == 0
    assert not [sign for sign in result.output if not sign.isprintable() and sign not in "\r\n"]
    assert not [line for line in result.output.splitlines() if line.startswith("hq: deleted everything")]


def test_hazard_23_a_users_token_deletes_only_what_is_his_own() -> None:
    problems: list[Problem] = []
    keys = {"provider": "trueconf", "url": "https://vc.example.org", "client_id": "trueconf_server_users"}
    user = build(TrueConfSettings, {**keys, "username": "anna", "password": "x"}, "a", problems)
    application = build(TrueConfSettings, {**keys, "client_secret": "x"}, "b", problems)
    assert user is not None
    assert application is not None
    assert (user.default_owner(), application.default_owner(), problems) == ("anna", None, [])


def test_hazard_23_the_owner_is_held_to_the_user_in_a_whole_run(command: Any) -> None:
    emulator = sandbox.TrueConf()
    add_user(emulator, "anna", "anna-password-77")
    emulator.add_conference("hers", ended=40 * DAY, owner="anna@vc.example.org")
    emulator.add_conference("a guest's", ended=40 * DAY, owner="boris", invitations=[{"id": "anna"}])
    with Server(emulator) as served:
        text = config(emulator, served.url)
        text = text.replace(
            f'client_secret = "{emulator.client_secret}"', 'username = "anna"\npassword = "anna-password-77"'
        )
        result = command(text, "run", "--yes")
    assert result.exit_code == 0
    assert set(emulator.conferences) == {"a guest's"}


@pytest.mark.parametrize("tail", ["", "/", "//", "///"])
def test_hazard_24_slashes_at_the_end_of_the_url_are_no_matter(tail: str) -> None:
    emulator = server()
    fill(emulator, 1)
    with Server(emulator) as served:
        problems: list[Problem] = []
        settings = build(TrueConfSettings, table(emulator, served.url + tail), "hq", problems)
        assert settings is not None
        with TrueConf(settings, NoWaiting(), lambda: NOW) as provider:
            assert len(list(provider.list_items("conferences", [RULE]))) == 1
    assert [seen.request.path for seen in emulator.seen] == ["/oauth2/v1/token", LIST[V3]]


def row_of(**fields: Any) -> dict[str, Any]:
    """A conference that ended long ago, in the shape of v3; ``...`` leaves a field out."""
    row: dict[str, Any] = {"id": "0001", "topic": "Budget", "owner": "anna", "state": "stopped", "tags": []}
    row["schedule"] = {"type": 1, "start_time": 1622494800, "duration": 3600}
    return {name: value for name, value in (row | fields).items() if value is not ...}


@pytest.mark.parametrize("value", [..., None])
def test_hazard_25_what_a_row_does_not_carry_is_not_known_and_not_empty(value: Any) -> None:
    item = conference(row_of(topic=value, owner=value, tags=value))
    assert (item.title, item.owner, item.tags) == (None, None, None)
    assert decide(item, RULE, NOW).delete


def test_hazard_25_an_empty_text_or_list_is_the_servers_word() -> None:
    item = conference(row_of(topic="", owner="", tags=[]))
    assert (item.title, item.owner, item.tags) == ("", "", ())


def test_hazard_25_a_type_that_cannot_be_read_is_not_known() -> None:
    item = conference(row_of(topic=["Budget"], owner={"id": "anna"}, tags="keep"))
    assert (item.title, item.owner, item.tags) == (None, None, None)


def test_hazard_25_a_look_tells_what_the_short_form_of_the_list_leaves_out() -> None:
    emulator = server(V4, short_list=True)
    emulator.add_conference("a", tags=["keep"])
    with client(emulator) as provider:
        item = listed(provider)["a"]
        fresh = provider.get(item)
    assert fresh is not None
    assert (item.tags, fresh.tags) == (None, ("keep",))
    assert TrueConf.sources["conferences"].details


CONTRADICTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "once, and weekly": ({"schedule_type": "once", "schedule": {"type": 0}}, "two types of schedule"),
    "weekly, and once": ({"schedule_type": "week", "schedule": {"type": "once"}}, "two types of schedule"),
    "once, and a room": ({"schedule_type": "once", "schedule": {"type": -1}}, "two types of schedule"),
    "once, and unknown": ({"schedule_type": "once", "schedule": {"type": "daily"}}, "two types of schedule"),
    "nothing, and once": ({"schedule_type": None, "schedule": {"type": 1}}, "two types of schedule"),
    "once, on days": ({"schedule": {"type": 1, "days": ["monday", "friday"]}}, "days of the week"),
    "once, on a Room's days": ({"schedule": {"type": 1, "days": [0, 1, 0, 1, 0, 1, 0]}}, "days of the week"),
    "once, on a day as text": ({"schedule": {"type": 1, "days": "monday"}}, "days of the week"),
    "once, with an odd end": ({"schedule": {"type": 1, "end_time": "soon"}}, "end_time cannot be read"),
    "once, with no time as its end": ({"schedule": {"type": 1, "end_time": True}}, "end_time cannot be read"),
    "once, with a placeholder as its end": ({"schedule": {"type": 1, "end_time": 0}}, "end_time cannot be read"),
    "a room that begins": ({"schedule": {"type": -1}, "tags": ["cleanup"]}, "no schedule, and yet a start_time"),
}


@pytest.mark.parametrize(("fields", "reason"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_hazard_28_a_schedule_that_says_two_things_keeps_and_says_so(fields: dict[str, Any], reason: str) -> None:
    times = {"start_time": 1622494800, "duration": 3600}
    item = conference(row_of(**fields | {"schedule": times | fields["schedule"]}, created_at=1622494800))
    decision = decide(item, replace(RULE, tags=("cleanup",), rooms=True) if item.tags else RULE, NOW)
    assert (decision.delete, decision.why) == (False, Reason.END_UNKNOWN)
    assert reason in decision.reason
    assert item.started_at == datetime(2021, 5, 31, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    "fields",
    [
        {"schedule_type": "once"},
        {"schedule": {"days": []}},
        {"schedule": {"days": None}},
        {"schedule": {"days": [0, 0, 0, 0, 0, 0, 0]}},
        {"schedule": {"end_time": None}},
        {"schedule": {"end_time": ""}},
        {"schedule": {"end_time": "1622498400"}},
    ],
    ids=repr,
)
def test_hazard_28_what_says_the_same_twice_or_nothing_is_no_contradiction(fields: dict[str, Any]) -> None:
    schedule_ = {"type": 1, "start_time": 1622494800, "duration": 3600, **fields.get("schedule", {})}
    item = conference(row_of(**fields | {"schedule": schedule_}))
    assert decide(item, RULE, NOW).delete
    assert item.ended_at == datetime(2021, 5, 31, 22, tzinfo=UTC)


def test_hazard_29_a_conference_that_hangs_in_running_is_kept_with_the_end_that_it_should_have_had() -> None:
    item = conference(row_of(state="running"))
    assert item.ended_at == datetime(2021, 5, 31, 22, tzinfo=UTC)
    assert decide(item, RULE, NOW).why is Reason.RUNNING


def test_hazard_31_the_articles_example_is_the_last_evening_of_may() -> None:
    assert conference(row_of()).started_at == datetime(2021, 5, 31, 21, tzinfo=UTC)


@pytest.mark.parametrize("api", [V3, V4])
def test_hazard_31_each_row_is_judged_by_its_own_state(api: str) -> None:
    emulator = server(api, ignore_filters=True)
    for state in ("stopped", "running", "Stopped", "", None):
        emulator.add_conference(f"state-{state}", ended=40 * DAY, state=state)
    with client(emulator) as provider:
        assert set(cleaned(provider)) == {"state-stopped"}


# Signing in ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("api", "where"), [(V3, "/oauth2/v1/token"), (V4, "/api/v4/oauth2/token")])
def test_signing_in_as_an_application(api: str, where: str) -> None:
    emulator = server(api)
    fill(emulator, 1)
    with client(emulator) as provider:
        assert len(listed(provider)) == 1
    (request,) = emulator.requests("POST")
    assert request.path == where
    assert request.json() == {
        "grant_type": "client_credentials",
        "client_id": emulator.client_id,
        "client_secret": emulator.client_secret,
    }


@pytest.mark.parametrize("api", [V3, V4])
def test_signing_in_as_a_user(api: str) -> None:
    emulator = server(api)
    add_user(emulator, "anna", "anna-password-77")
    emulator.add_conference("hers", ended=40 * DAY, owner="anna")
    user = {"client_id": "trueconf_server_users", "username": "anna", "password": "anna-password-77"}
    with client(emulator, client_secret=None, **user) as provider:
        assert set(listed(provider)) == {"hers"}
    (request,) = emulator.requests("POST")
    assert request.json() == {"grant_type": "password", **user}


@pytest.mark.parametrize("api", [V3, V4])
def test_signing_in_with_a_token_that_was_given(api: str) -> None:
    emulator = server(api)
    fill(emulator, 1)
    with client(emulator, client_id=None, client_secret=None, access_token=emulator.secret_key) as provider:
        assert len(listed(provider)) == 1
    assert emulator.requests("POST") == []


@pytest.mark.parametrize("api", [V3, V4])
def test_a_given_token_that_has_run_out_is_not_renewed(api: str) -> None:
    emulator = server(api)
    fill(emulator, 1)
    given = {"client_id": None, "client_secret": None, "access_token": "run-out-long-ago"}
    with client(emulator, **given) as provider, pytest.raises(AccessDenied):
        listed(provider)
    assert [seen.request.method for seen in emulator.seen] == ["GET"]


@pytest.mark.parametrize(
    "answer",
    [
        Response(400, {"error": "invalid_client", "error_description": "Client authentication failed"}),
        Response(401, {"error": "invalid_grant"}),
        Response(403, {"reason": "InvalidCredentials"}),
        Response(200, {"reason": "InvalidCredentials"}),
        Response(200, {"access_token": ""}),
        Response(200, {"access_token": 7}),
        Response(200, {}),
    ],
    ids=lambda answer: f"{answer.status} {answer.body}",
)
def test_a_refused_sign_in_is_said_and_not_tried_again(answer: Response) -> None:
    emulator = server()
    refuse(emulator, "POST", answer)
    with client(emulator) as provider:
        for _ in range(2):
            with pytest.raises(AccessDenied, match="sign-in failed"):
                listed(provider)
    assert len(emulator.requests("POST")) == 1
    assert emulator.requests("GET") == []


def test_a_sign_in_without_a_stated_life_or_scope_is_good_enough() -> None:
    emulator = server()
    fill(emulator, 1)

    def bare(request: Request, response: Response) -> Response | None:
        return Response(200, {"access_token": response.body["access_token"]}) if request.method == "POST" else None

    emulator.after.append(bare)
    with client(emulator) as provider:
        provider.check(["conferences"])


def test_checking_names_the_missing_right_to_delete() -> None:
    emulator = server()

    def read_only(request: Request, response: Response) -> Response | None:
        return Response(200, {**response.body, "scope": "conferences:read"}) if request.method == "POST" else None

    emulator.after.append(read_only)
    with client(emulator) as provider, pytest.raises(ProviderError, match="conferences:write"):
        provider.check(["conferences"])


def test_checking_an_account_of_the_wrong_version_says_where_to_look() -> None:
    emulator = server(V4)
    with client(emulator, api=V3) as provider, pytest.raises(ProviderError):
        provider.check(["conferences"])


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ({}, ""),
        ({"client_id": "x"}, ""),
        ({"client_secret": "x"}, "client_id"),
        ({"client_id": "x", "client_secret": "x", "access_token": "x"}, ""),
        ({"client_id": "x", "client_secret": "x", "username": "x"}, ""),
        ({"client_id": "x", "username": "x"}, ""),
        ({"username": "x", "password": "x"}, ""),
        ({"access_token": "x", "api": "v5"}, "api"),
        ({"access_token": "x", "api": "3.11"}, "api"),
        ({"access_token": "x", "api": "v3/../v4"}, "api"),
        ({"access_token": "x", "room_pin": "1234"}, "room_pin"),
        ({"access_token": "x", "room_url": "http://192.0.2.1:8765"}, "room_url"),
        ({"access_token": "x", "room_url": "ws://192.0.2.1:8765"}, "room_url"),
        ({"access_token": "x", "room_url": "ws://anna:secret@127.0.0.1"}, "room_url"),
        ({"access_token": "x", "room_url": "ws://"}, "room_url"),
        ({"access_token": "x", "url": "http://vc.example.org"}, "url"),
        ({"access_token": "x", "tokens": "x"}, "tokens"),
    ],
    ids=repr,
)
def test_a_mistake_in_an_account_is_named_with_its_key(keys: dict[str, Any], key: str) -> None:
    whole = {"provider": "trueconf", "url": "https://vc.example.org", **keys}
    (mistake,) = mistakes(TrueConfSettings, **whole)
    assert mistake.startswith(f"{key}: " if key else "")
    assert "secret@" not in mistake


def test_a_rule_for_rooms_needs_tags() -> None:
    (mistake,) = mistakes(ConferenceRule, what="conferences", rooms=True)
    assert mistake.startswith("rooms: ")


# The two versions ----------------------------------------------------------------------------------


def test_v3_and_v4_differ_in_their_requests_only() -> None:
    shown = {}
    for api in (V3, V4):
        emulator = server(api, short_list=False)
        emulator.add_conference("0073310045", ended=40 * DAY, tags=["cleanup"], owner="anna", topic="Budget")
        with client(emulator) as provider:
            item = listed(provider)["0073310045"]
            shown[api] = replace(item, raw={})
            assert item.raw["id"] == "0073310045"
        (request,) = [request for request in emulator.requests("GET") if request.path == LIST[api]]
        assert {name for name, _ in request.query} == {{V3: "page_id", V4: "page"}[api], "page_size"}
    assert shown[V3] == shown[V4]
    assert (shown[V3].kind, shown[V3].state, shown[V3].tags) == (Kind.ONE_TIME, State.ENDED, ("cleanup",))
    assert shown[V3].ended_at == NOW - 40 * DAY


@pytest.mark.parametrize("count", [0, 1, 3, 4, 7])
def test_v4_may_count_its_pages_from_0(count: int) -> None:
    emulator = server(V4, page_cap=3, first_page=0)
    ids = fill(emulator, count)
    with client(emulator) as provider:
        assert sorted(listed(provider)) == ids


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("api", [V3, V4])
def test_hazard_30_a_page_size_that_is_refused_is_left_to_the_server(api: str, status: int) -> None:
    emulator = server(api, page_cap=3, page_size_status=status)
    ids = fill(emulator, 7)
    with client(emulator) as provider:
        assert sorted(listed(provider)) == ids
    sizes = [request.arg("page_size") for request in emulator.requests("GET") if request.path == LIST[api]]
    assert sizes == ["100" if api == V3 else "1000", None, None, None]


def test_a_list_goes_on_as_long_as_the_server_names_a_next_page() -> None:
    emulator = server(page_cap=3, next_page=True, count_shift=-3)
    ids = fill(emulator, 7)
    with client(emulator) as provider:
        assert sorted(listed(provider)) == ids


def test_a_next_page_of_minus_1_ends_the_list() -> None:
    emulator = server(page_cap=3)
    ids = fill(emulator, 7)

    def following(request: Request, response: Response) -> Response | None:
        page = request.number("page_id", 0)
        body = response.body
        return Response(200, {**body, "next_page_id": -1 if page == 3 else page + 1}) if page else None

    emulator.after.append(following)
    with client(emulator) as provider:
        assert list(listed(provider)) == ids
    assert len([request for request in emulator.requests("GET") if request.path == LIST[V3]]) == 3


def test_a_next_page_of_minus_1_before_all_are_shown_fails_the_listing() -> None:
    emulator = server(page_cap=3)
    fill(emulator, 7)
    emulator.after.append(
        lambda request, response: (
            Response(200, {**response.body, "next_page_id": -1}) if request.arg("page_id") else None
        )
    )
    with client(emulator) as provider, pytest.raises(ProviderError, match="not complete"):
        listed(provider)


@pytest.mark.parametrize("count", [None, "many", -1, True, 1.5, ...], ids=repr)
@pytest.mark.parametrize("api", [V3, V4])
def test_a_list_without_a_usable_count_cannot_be_trusted(api: str, count: Any) -> None:
    emulator = server(api)
    fill(emulator, 1)
    name = {V3: "cnt", V4: "results"}[api]

    def spoilt(request: Request, response: Response) -> Response | None:
        if request.path != LIST[api]:
            return None
        body = {**response.body, name: count}
        return Response(200, {key: value for key, value in body.items() if value is not ...})

    emulator.after.append(spoilt)
    with client(emulator) as provider, pytest.raises(ProviderError):
        listed(provider)


def test_an_answer_about_another_conference_is_not_believed() -> None:
    emulator = server()
    emulator.add_conference("a", ended=40 * DAY)
    with client(emulator) as provider:
        (item,) = listed(provider).values()
        for body in ({"conference": {**item.raw, "id": "b"}}, dict(item.raw), {"conference": [item.raw]}, {}):
            emulator.interfere.clear()
            refuse(emulator, "GET", Response(200, body))
            with pytest.raises(ProviderError):
                provider.get(item)


@pytest.mark.parametrize("tags", ["delete", [1], [None], {"delete": True}, 7], ids=repr)
def test_tags_that_cannot_be_read_keep_the_conference(tags: Any) -> None:
    emulator = server()
    emulator.add_conference("odd", ended=40 * DAY)["tags"] = tags
    with client(emulator) as provider:
        _, kept = planned(provider, replace(RULE, keep_tags=("keep",)))
    assert kept == {"odd": "its tags cannot be read"}


@pytest.mark.parametrize("state", ["Stopped", "", None, True, 0, ["stopped"]], ids=repr)
def test_a_state_that_is_not_known_keeps_the_conference(state: Any) -> None:
    emulator = server()
    emulator.add_conference("odd", ended=40 * DAY)["state"] = state
    with client(emulator) as provider:
        _, kept = planned(provider)
    assert kept["odd"].startswith("its state is")


# The list of a Room --------------------------------------------------------------------------------

PIN = "room-pin-4711"


def room_row(ident: str, *, ended: timedelta = 40 * DAY, **fields: Any) -> dict[str, Any]:
    """A conference as a Room shows it."""
    return {
        "id": ident,
        "created_at": seconds(NOW - 60 * DAY),
        "session_id": "",
        "mode": "PxP",
        "owner": "anna@vc.example.org",
        "topic": "Budget review",
        "state": "stopped",
        "access": "private",
        "invitations": [],
        "schedule_type": "once",
        "schedule": {"start_time": seconds(NOW - ended - HOUR), "duration": 3600},
        **fields,
    }


def refused_frame(**more: Any) -> dict[str, Any]:
    return {"requestId": ..., "method": "auth", "result": False, **more}


@contextmanager
def through(room: ScriptedRoom | Room, emulator: sandbox.TrueConf, **more: Any) -> Iterator[TrueConf]:
    """The real client, listing through a Room."""
    with client(emulator, room_url=room.url, timeout="2 s", **more) as provider:
        yield provider


@pytest.mark.parametrize("pin", [None, PIN])
@pytest.mark.parametrize("switches", [{}, {"server_style": True}, {"key": "conference"}], ids=repr)
def test_a_room_lists_and_the_server_deletes(pin: str | None, switches: dict[str, Any]) -> None:
    emulator = server()
    ids = fill(emulator, 3)
    emulator.add_conference("weekly", ended=400 * DAY)["schedule"] = weekly()
    emulator.add_conference("running", ended=40 * DAY, state="running")
    with Room(emulator, pin=pin, **switches) as room, through(room, emulator, room_pin=pin) as provider:
        outcomes = cleaned(provider)
        assert {ident: outcomes[ident] for ident in ids} == dict.fromkeys(ids, Outcome.DELETED)
        assert set(emulator.conferences) == {"weekly", "running"}
    assert not [request for request in emulator.requests("GET") if request.path == LIST[V3]]


def test_a_room_is_told_its_pin_in_the_auth_frame_only() -> None:
    with ScriptedRoom(schedule([])) as room, through(room, server(), room_pin=PIN) as provider:
        assert listed(provider) == {}
    signing_in, asking = room.seen
    assert {key: signing_in[key] for key in ("method", "type", "credentials")} == {
        "method": "auth",
        "type": "secured",
        "credentials": PIN,
    }
    assert asking["method"] == "getScheduler"
    assert PIN not in str(asking)
    assert asking["requestId"]


def test_a_room_without_a_pin_is_asked_without_one() -> None:
    with ScriptedRoom(schedule([])) as room, through(room, server()) as provider:
        listed(provider)
    assert {key: room.seen[0].get(key) for key in ("method", "type", "credentials")} == {
        "method": "auth",
        "type": "unsecured",
        "credentials": None,
    }


@pytest.mark.parametrize("pin", [None, PIN])
@pytest.mark.parametrize("frame", [refused_frame(error="wrong"), refused_frame(), refused_frame(result=1)], ids=repr)
def test_a_room_that_refuses_the_pin_is_asked_nothing_more(frame: dict[str, Any], pin: str | None) -> None:
    emulator = server()
    told = "PIN" if pin is None else "room_pin"
    with (
        ScriptedRoom(schedule([room_row("a")]), auth=(frame,)) as room,
        through(room, emulator, room_pin=pin) as provider,
        pytest.raises(AccessDenied) as caught,
    ):
        listed(provider)
    assert told in str(caught.value)
    assert [seen["method"] for seen in room.seen] == ["auth"]
    assert emulator.seen == []


def test_a_room_with_a_wrong_pin_fails_the_listing() -> None:
    emulator = server()
    fill(emulator, 1)
    with Room(emulator, pin=PIN) as room, through(room, emulator, room_pin="another-pin-99") as provider:
        plan, _ = planned(provider)
    assert plan.failed
    assert plan.error is not None
    assert "another-pin-99" not in plan.error


def test_frames_are_told_apart_by_method_and_number_with_events_in_between() -> None:
    event = {"method": "event", "event": "conferenceList", "cnt": 1, "conferences": [room_row("from an event")]}
    late = schedule([room_row("somebody else's")], requestId="schedule-0")
    unnumbered = schedule([room_row("unnumbered")], requestId="")
    other = {"method": "getMonitors", "requestId": ..., "result": True, "conferences": [room_row("other method")]}
    answers: tuple[dict[str, Any], ...] = (event, late, unnumbered, other, {}, schedule([room_row("right")]), event)
    with ScriptedRoom(*answers, auth=(event, other, SIGNED_IN, event)) as room, through(room, server()) as provider:
        assert set(listed(provider)) == {"right"}


def test_both_shapes_of_a_rooms_item_are_the_same_item() -> None:
    start = seconds(NOW - 40 * DAY)
    plain = room_row("0073310045", schedule={"start_time": start, "duration": 3600})
    styled = {key: value for key, value in plain.items() if key not in ("schedule_type", "mode")}
    styled |= {"type": 0, "tags": [], "schedule": {"type": 1, "start_time": start, "duration": 3600, "time_offset": 0}}
    items = []
    for row in (plain, styled):
        with ScriptedRoom(schedule([row])) as room, through(room, server()) as provider:
            items += [replace(item, raw={}) for item in listed(provider).values()]
    assert items[0] == items[1]
    assert (items[0].kind, items[0].tags) == (Kind.ONE_TIME, None)


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (
            room_row("a", schedule_type="week", schedule={"start_time": 1759741200, "days": [0, 1, 0, 1, 0, 1, 0]}),
            "recurring",
        ),
        (room_row("a", schedule_type="none", schedule=None), "room"),
        (room_row("a", schedule_type="yearly"), "unknown"),
        (room_row("a", schedule_type=None), "unknown"),
        (room_row("a", schedule=None), "one-time"),
    ],
)
def test_what_a_room_shows_beside_ended_conferences_is_kept(row: dict[str, Any], kind: str) -> None:
    emulator = server()
    with ScriptedRoom(schedule([row])) as room, through(room, emulator) as provider:
        plan, kept = planned(provider)
        assert listed(provider)["a"].kind == kind
    assert (list(plan.selected), set(kept)) == ([], {"a"})


@pytest.mark.parametrize("days", [(40, 3), (3, 40)])
def test_a_conference_that_a_room_lists_twice_stays_unless_both_are_due(days: tuple[int, int]) -> None:
    rows = [room_row("a", ended=days[0] * DAY), room_row("b"), room_row("a", ended=days[1] * DAY), room_row("b")]
    with ScriptedRoom(schedule(rows)) as room, through(room, server()) as provider:
        plan, kept = planned(provider)
    assert ([entry.item.id for entry in plan.selected], set(kept), plan.listed) == (["b"], {"a"}, 2)


def test_a_list_called_conference_is_understood() -> None:
    answer = {key: value for key, value in schedule([]).items() if key != "conferences"}
    with ScriptedRoom({**answer, "cnt": 1, "conference": [room_row("a")]}) as room, through(room, server()) as provider:
        assert set(listed(provider)) == {"a"}


@pytest.mark.parametrize(
    "answers",
    [
        (schedule([room_row("a")], cnt=2),),
        (schedule([], cnt="1"),),
        (schedule(None),),
        (schedule({}),),
        (schedule([None]),),
        (schedule([room_row("a")], result=False),),
        (schedule([room_row("a")], result=None),),
        ({"method": "getScheduler", "requestId": ..., "result": True, "cnt": 0},),
        ("<html>",),
        ("[]",),
        ("null",),
        (None,),
        (),
    ],
    ids=repr,
)
def test_a_rooms_list_that_is_not_complete_or_not_promised_fails(answers: tuple[Any, ...]) -> None:
    emulator = server()
    with ScriptedRoom(*answers) as room, through(room, emulator) as provider:
        plan, _ = planned(provider)
    assert plan.failed
    assert (list(plan.selected), emulator.seen) == ([], [])


def test_a_room_that_is_not_there_fails_the_listing() -> None:
    with ScriptedRoom() as room:
        url = room.url
    with client(server(), room_url=url, timeout="2 s") as provider, pytest.raises(ProviderError, match="Room"):
        listed(provider)


def test_an_event_that_only_the_room_knows_is_gone_at_the_server() -> None:
    local = room_row(
        "local-1",
        created_at=(NOW - 60 * DAY).isoformat(),
        schedule={"start_time": (NOW - 50 * DAY).isoformat().replace("+00:00", "Z"), "duration": 1800},
    )
    vague = room_row("local-2", schedule={"start_time": "2025-10-06T09:00:00", "duration": 1800})
    emulator = server()
    with ScriptedRoom(schedule([local, vague])) as room, through(room, emulator) as provider:
        plan, kept = planned(provider)
        assert carried_out(provider, plan) == {"local-1": Outcome.GONE}
    assert set(kept) == {"local-2"}
    assert not plan.undone
    assert deleted(emulator) == []


def test_a_rooms_stale_list_does_no_harm() -> None:
    emulator = server()
    fill(emulator, 3)
    with Room(emulator) as room, through(room, emulator) as provider:
        cleaned(provider)
        emulator.add_conference("0000000001", ended=DAY)
        assert set(cleaned(provider).values()) == {Outcome.GONE, Outcome.CHANGED}
    assert set(emulator.conferences) == {"0000000001"}


@pytest.mark.parametrize(
    ("rule", "goes"),
    [
        (replace(RULE, tags=("delete",)), {"to delete"}),
        (replace(RULE, keep_tags=("KEEP",)), {"to delete", "plain"}),
        (RULE, {"to delete", "plain", "to keep"}),
    ],
    ids=["tags", "keep_tags", "neither"],
)
def test_tags_are_looked_up_at_the_server_while_listing_through_a_room(rule: Rule, goes: set[str]) -> None:
    emulator = server()
    emulator.add_conference("to delete", ended=40 * DAY, tags=["delete"])
    emulator.add_conference("to keep", ended=40 * DAY, tags=["keep"])
    emulator.add_conference("plain", ended=40 * DAY)
    rows = [room_row(ident, ended=40 * DAY) for ident in ("to delete", "to keep", "plain", "only here")]
    rows.append(room_row("too young", ended=DAY))
    with ScriptedRoom(schedule(rows)) as room, through(room, emulator) as provider:
        _, kept = planned(provider, rule)
        asked = {request.segments[-1] for request in emulator.requests("GET")}
        assert asked == ({"to delete", "to keep", "plain", "only here"} if rule.tags or rule.keep_tags else set())
        assert not asked or kept["only here"] == "the server does not have it (any more)"
        outcomes = cleaned(provider, rule)
    assert {ident for ident, outcome in outcomes.items() if outcome is Outcome.DELETED} == goes


def test_what_cannot_be_looked_up_stays_undecided() -> None:
    emulator = server()
    refuse(emulator, "GET", Response(500, HTML))
    with ScriptedRoom(schedule([room_row("a")])) as room, through(room, emulator) as provider:
        plan, kept = planned(provider, replace(RULE, keep_tags=("keep",)))
    assert (plan.failed, len(plan.selected), plan.undecided, plan.stuck.count) == (False, 0, 1, 1)
    assert kept["a"].startswith("its tags are not known, and keep_tags asks for them; looking at it failed: could")


@pytest.mark.parametrize(
    ("rule", "goes", "asked"),
    [
        (replace(RULE, tags=("delete",)), {"a"}, {"a", "b"}),
        (replace(RULE, keep_tags=("delete",)), {"b"}, {"a", "b"}),
        (RULE, {"a", "b"}, set()),
    ],
    ids=["tags", "keep_tags", "neither"],
)
def test_hazard_25_what_the_short_rows_of_v4_lack_is_looked_up_where_it_decides(
    rule: Rule, goes: set[str], asked: set[str]
) -> None:
    emulator = server(api=V4, short_list=True)
    emulator.add_conference("a", ended=40 * DAY, tags=["delete"])
    emulator.add_conference("b", ended=40 * DAY)
    emulator.add_conference("young", ended=DAY, tags=["delete"])
    with client(emulator) as provider:
        plan, _ = planned(provider, rule)
        looked_at = {request.segments[-1] for request in emulator.requests("GET")} - {"conferences"}
    assert ({entry.item.id for entry in plan.selected}, looked_at) == (goes, asked)


def test_an_id_that_cannot_be_sent_does_not_stop_a_rooms_list() -> None:
    emulator = server()
    emulator.add_conference("old", ended=40 * DAY)
    rows = [room_row(".."), room_row("old"), room_row("x", id=7)]
    rule = replace(RULE, keep_tags=("keep",))
    with ScriptedRoom(schedule(rows)) as room, through(room, emulator) as provider:
        plan, kept = planned(provider, rule)
        assert carried_out(provider, plan, rule) == {"old": Outcome.DELETED}
    assert "cannot be sent" in kept[".."]
    assert [entry.item.id for entry in plan.overdue] == ["..", ""]


def test_the_frames_with_the_pin_are_logged_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with ScriptedRoom(schedule([])) as room, through(room, server(), room_pin=PIN) as provider:
        listed(provider)
    ours = [record.getMessage() for record in caplog.records if record.name != "websockets.server"]
    secrets = (PIN, str(SIGNED_IN["token"]), str(SIGNED_IN["tokenForHttpServer"]))
    assert not [text for text in ours for secret in secrets if secret in text]
    assert not [text for text in ours if "TEXT" in text]


# Bringing back -------------------------------------------------------------------------------------


@pytest.mark.parametrize("api", [V3, V4])
def test_a_saved_conference_is_created_anew_under_its_old_id(api: str) -> None:
    emulator = server(api)
    emulator.add_conference("0073310045", ended=40 * DAY, topic="Budget", tags=["cleanup"])
    with client(emulator) as provider:
        item = provider.get(*listed(provider).values())
        assert item is not None
        provider.delete([item], Permit())
        made = provider.restore(item.raw, Permit())
        again = provider.get(item)
    assert made.id == "0073310045"
    assert again is not None
    assert (again.title, again.tags, again.ended_at, again.kind) == (item.title, item.tags, item.ended_at, item.kind)


def test_a_saved_conference_whose_id_is_taken_gets_a_new_one_and_disturbs_nothing() -> None:
    emulator = server()
    emulator.add_conference("0073310045", ended=40 * DAY, topic="Budget")
    with client(emulator) as provider:
        (item,) = listed(provider).values()
        emulator.conferences["0073310045"]["topic"] = "Another meeting by now"
        made = provider.restore(item.raw, Permit())
    assert made.id != "0073310045"
    assert [lost for lost in made.lost if "0073310045" in lost]
    assert emulator.conferences["0073310045"]["topic"] == "Another meeting by now"
    assert emulator.conferences[made.id]["topic"] == "Budget"


def test_nothing_is_created_without_a_permit() -> None:
    emulator = server()
    with client(emulator) as provider, pytest.raises(ProviderError, match="permit"):
        provider.restore({"id": "0073310045", "topic": "Budget"}, None)  # type: ignore[arg-type]  # that is the point
    assert emulator.conferences == {}


# Everything at once --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("way", "times", "status"),
    [(V3, "digits", 200), (V3, "digits", 204), (V4, "digits", 200), (V4, "iso", 204), ("room", "digits", 200)],
)
def test_of_a_whole_backlog_exactly_what_is_due_goes(way: str, times: str, status: int, command: Any) -> None:
    api = V4 if way == V4 else V3
    emulator = sandbox.TrueConf(api=api, v4_times=times, delete_status=status, page_cap=5)
    emulator.fill()
    stays = set(emulator.conferences) - emulator.doomed["conferences"]
    with Server(emulator) as served, Room(emulator, pin=PIN) as room:
        through_room = {"room_url": room.url, "room_pin": PIN} if way == "room" else {}
        text = emulator.account("hq", served.url, **through_room)
        rehearsed = command(text, "plan", "--format", "json", "--selected-only")
        assert emulator.requests("DELETE") == []
        result = command(text, "run", "--yes")
    (account,) = json.loads(rehearsed.stdout)["accounts"]
    assert {item["id"] for item in account["items"]} == emulator.doomed["conferences"]
    assert (rehearsed.exit_code, result.exit_code) == (0, 0)
    assert set(emulator.conferences) == stays
    assert emulator.disasters == []


def test_a_bare_list_counts_nothing_so_it_fails_the_listing() -> None:
    """TrueConf's own tc-erase does not take one either."""
    emulator = server(V4, bare_list=True)
    fill(emulator, 3)
    with client(emulator) as provider, pytest.raises(ProviderError):
        listed(provider)


@pytest.mark.parametrize(
    ("answer", "proven"),
    [
        (Response(204), True),
        (Response(200), True),
        (Response(200, {"id": "0000000000"}), True),
        (Response(200, {}), True),
        (Response(200, {"id": "0000000001"}), False),
        (Response(200, {"error": {"code": 403}}), False),
        (Response(200, {"error": {}}), False),
        (Response(200, {"id": "0000000000", "error": False}), False),
        (Response(200, {"id": "0000000000", "error": None}), True),
        (Response(200, {"code": 404, "message": "Not Found"}), False),
        (Response(200, {"success": False}), False),
        (Response(200, b"<html>Sign in</html>", {"Content-Type": "text/html"}), False),
        (Response(200, []), False),
        (Response(202), False),
        (Response(206), False),
        (Response(207, {}), False),
        (Response(302, None, {"Location": "/"}), False),
    ],
    ids=lambda value: f"{value.status} {value.body}" if isinstance(value, Response) else repr(value),
)
def test_hazard_26_only_a_status_and_a_body_that_agree_prove_a_deletion(answer: Response, proven: bool) -> None:
    emulator = server()
    fill(emulator, 1)
    emulator.interfere.append(lambda request: answer if request.method == "DELETE" else None)
    with client(emulator) as provider:
        (item,) = listed(provider).values()
        if proven:
            assert provider.delete([item], Permit())[0].outcome is Outcome.DELETED
        else:
            with pytest.raises(OutcomeUnknown):
                provider.delete([item], Permit())


@pytest.mark.parametrize("deleted_too", [True, False])
def test_hazard_26_what_is_not_proven_is_found_out_by_looking(deleted_too: bool, command: Any) -> None:
    emulator = sandbox.TrueConf()
    emulator.add_conference("0073310045", ended=40 * DAY)
    page = Response(200, b"<html>Sign in</html>", {"Content-Type": "text/html"})
    hooks = emulator.after if deleted_too else emulator.interfere
    hooks.append(lambda request, *_: page if request.method == "DELETE" else None)
    with Server(emulator) as served:
        result = command(config(emulator, served.url), "run", "--yes", "--format", "json")
    (item,) = json.loads(result.stdout)["accounts"][0]["items"]
    assert (result.exit_code, item["outcome"]) == ((0, "deleted") if deleted_too else (1, "unknown"))


@pytest.mark.parametrize("body", [None, b"<html>", {"error": {"errors": [{"reason": "routeNotFound"}]}}, {}], ids=repr)
def test_hazard_27_any_other_404_is_never_gone(body: Any) -> None:
    emulator = server()
    fill(emulator, 1)
    with client(emulator) as provider:
        (item,) = listed(provider).values()
        emulator.interfere.append(lambda request: Response(404, body))
        with pytest.raises(AccessDenied):
            provider.delete([item], Permit())
        with pytest.raises(AccessDenied):
            provider.get(item)


def test_hazard_27_the_vendors_own_404_is_not_gone_while_a_look_shows_it(command: Any) -> None:
    emulator = sandbox.TrueConf()
    emulator.add_conference("0073310045", ended=40 * DAY)
    error = {"code": 404, "errors": [{"reason": "conferenceNotFound"}]}
    absent = Response(404, {"error": error})
    emulator.interfere.append(lambda request: absent if request.method == "DELETE" else None)
    with Server(emulator) as served:
        result = command(config(emulator, served.url), "run", "--yes", "--format", "json")
    (item,) = json.loads(result.stdout)["accounts"][0]["items"]
    assert (result.exit_code, item["outcome"]) == (1, "failed")
    assert "still there" in item["error"]
