"""A vendor whose answers are altered at random: whatever it answers, nothing is deleted that should be kept.

What may go is judged from the emulator's state before anything was altered. A value is only ever replaced
by nonsense, never by another item's id or a date that could be one: a vendor that lies well is believed.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from confcleanup.providers import (
    huawei_items,
    huawei_lists,
    trueconf_conferences,
    vobiz_recordings,
    vobiz_rooms,
    vonage_recordings,
)
from confcleanup.sandbox.huawei import Huawei
from confcleanup.sandbox.server import Emulator, Request, Response, Server
from confcleanup.sandbox.trueconf import TrueConf
from confcleanup.sandbox.vobiz import Vobiz
from confcleanup.sandbox.vonage import Vonage
from tests.faults.worlds import VENDORS, doomed, held, miscounts, run, write_config

pytestmark = pytest.mark.usefixtures("no_waiting")
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
EXAMPLES = settings(
    max_examples=12, derandomize=True, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
MANY = settings(max_examples=300, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

ODD_TEXTS = st.sampled_from(
    ["", ".", "..", "../x", "a/b", "BulkDelete", "all", "null", "--5", "\u202e\x1b[2J", "x" * 5000]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.sampled_from([-1, 0, 1, 7, 10**18, 10**30, 10**400])
    | st.floats()
    | ODD_TEXTS
    | st.text()
)
JUNK = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD_TEXTS | st.text(), inner, max_size=3)
)
STATUSES = st.sampled_from(
    [200, 201, 202, 204, 206, 301, 304, 307, 400, 401, 402, 403, 404, 408, 409, 410, 429, 500, 503]
)
Change = Callable[[Request, Response], Response | None]


def _places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value, the whole of it first."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place, *(inner for key, part in parts for inner in _places(part, (*place, key)))]


def _replaced(value: Any, place: tuple[Any, ...], junk: Any) -> Any:
    if not place:
        return junk
    copy = json.loads(json.dumps(value))
    at = copy
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = junk
    return copy


@st.composite
def changes(draw: st.DrawFn) -> Change:
    """One way to alter an answer: a value in it, its status, or how much of it comes."""
    kind = draw(st.sampled_from(["value", "value", "value", "status", "cut"]))
    where, junk, status = draw(st.floats(0, 0.999)), draw(JUNK), draw(STATUSES)

    def alter(request: Request, response: Response) -> Response:
        if kind == "status":
            return Response(status, response.body, response.headers)
        if kind == "cut":
            body, headers = response.encoded()
            return Response(response.status, body[: int(len(body) * where)], headers)
        places = _places(response.body) if isinstance(response.body, dict) else [()]
        return Response(
            response.status, _replaced(response.body, places[int(len(places) * where)], junk), response.headers
        )

    return alter


@st.composite
def plans(draw: st.DrawFn) -> dict[tuple[str, int], Change]:
    """Which answers are altered: by method, and by their number among those of that method."""
    methods = st.sampled_from(["GET", "GET", "DELETE"])
    return draw(st.dictionaries(st.tuples(methods, st.integers(0, 30)), changes(), min_size=1, max_size=4))


def altered(emulator: Emulator, plan: dict[tuple[str, int], Change]) -> None:
    seen: dict[str, int] = {}

    def hook(request: Request, response: Response) -> Response | None:
        number = seen.get(request.method, 0)
        seen[request.method] = number + 1
        change = plan.get((request.method, number))
        return change(request, response) if change else None

    emulator.after.append(hook)


def scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(dir=os.environ.get("PYTEST_DEBUG_TEMPROOT"))


def nothing_else_goes(name: str, plan: dict[tuple[str, int], Change]) -> None:
    emulator = VENDORS[name].small(lambda: NOW, old=6, young=6)
    before, may_go = held(emulator), doomed(emulator)
    altered(emulator, plan)
    with Server(emulator) as server, scratch() as folder:
        file = write_config(emulator, server.url, Path(folder), concurrency=1)
        done = run(file, Path(folder) / "state", lambda: NOW)
    assert before - held(emulator) <= may_go
    assert emulator.disasters == []
    assert miscounts(done) == []


@pytest.mark.parametrize("name", VENDORS)
@EXAMPLES
@given(plan=plans())
def test_whatever_a_vendor_answers_nothing_else_is_deleted(name: str, plan: dict[tuple[str, int], Change]) -> None:
    nothing_else_goes(name, plan)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", VENDORS)
@MANY
@given(plan=plans())
def test_whatever_a_vendor_answers_hundreds_of_times_the_same_holds(
    name: str, plan: dict[tuple[str, int], Change]
) -> None:
    nothing_else_goes(name, plan)


WINDOW = huawei_lists.Window(0, 0)
CLOSED = Vobiz(lambda: NOW)
ROWS: dict[str, tuple[Callable[[Any], object], dict[str, Any]]] = {
    "trueconf": (trueconf_conferences.conference, TrueConf(lambda: NOW).add_conference("0073310045")),
    "vobiz recording": (lambda row: vobiz_recordings.recording(row, NOW), CLOSED.add_recording("7c1d")),
    "vobiz room": (lambda row: vobiz_rooms.details(row, "room"), CLOSED.add_room("room").wire(NOW)),
    "huawei recording": (
        lambda row: huawei_items.recording(row, WINDOW, {}),
        Huawei(lambda: NOW).add_recording("ab").row,
    ),
    "huawei meeting": (lambda row: huawei_items.meeting(row, WINDOW), Huawei(lambda: NOW).add_history("ab")),
    "vonage": (
        lambda row: vonage_recordings.recording(row, "company-recordings"),
        Vonage(lambda: NOW).add_recording(204401),
    ),
}


@pytest.mark.parametrize("name", ROWS)
@settings(max_examples=300, derandomize=True, database=None)
@given(where=st.floats(0, 0.999), junk=JUNK)
def test_a_row_with_nonsense_in_it_is_read_or_in_doubt_and_stops_no_listing(name: str, where: float, junk: Any) -> None:
    read, row = ROWS[name]
    places = _places(row)[1:]
    read(_replaced(row, places[int(len(places) * where)], junk))
