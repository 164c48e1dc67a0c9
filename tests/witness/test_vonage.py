"""Vonage, by a description of its calls that other programs read: ``vonage.openapi.yaml``, made from the fact sheet.

``openapi-core`` checks every request of our client and every answer of the emulated vendor against it, and
``schemathesis`` makes requests of its own from it, sound and unsound ones. Needs the extra ``witness``.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from confcleanup.cli import cli
from confcleanup.sandbox.server import Request, Response, Server
from confcleanup.sandbox.vonage import Vonage

pytestmark = pytest.mark.witness

DESCRIPTION = Path(__file__).with_name("vonage.openapi.yaml")
ACCOUNT = "/t/vbc.prod/call_recording/api/accounts/self"
COMPANY, USERS = ACCOUNT + "/company_call_recordings", ("869048", "869049", "869040")
AGE = 'older_than = "30 days"'
SIGNED = {"Authorization": "Bearer eyJ.demo-access-1"}
LIST = Request("GET", COMPANY, (("start:lte", "2026-01-30T12:00:00+0000"), ("page", "1")), SIGNED)
Exchange = tuple[Request, Response]


@cache
def described() -> Any:
    """The description as openapi-core reads it; one that is no sound OpenAPI is refused."""
    from openapi_core import OpenAPI

    return OpenAPI.from_file_path(str(DESCRIPTION))


@cache
def calls() -> list[tuple[re.Pattern[str], str, dict[str, Any]]]:
    """Path, method and operation of each call; a path's words are tried before its placeholders."""
    import yaml

    document = yaml.safe_load(DESCRIPTION.read_text("utf-8"))
    named = document["components"]["parameters"]
    return [
        (
            re.compile(re.sub(r"\{\w+\}", "[^/]+", path)),
            method.upper(),
            {**operation, "query": _query(operation, named)},
        )
        for path, item in sorted(document["paths"].items(), key=lambda pair: pair[0].count("{"))
        for method, operation in item.items()
        if method != "parameters"
    ]


def _query(operation: dict[str, Any], named: dict[str, Any]) -> set[str]:
    given = (named.get(each.get("$ref", "").rpartition("/")[2], each) for each in operation.get("parameters", []))
    return {each["name"] for each in given if each["in"] == "query"}


def call(request: Request) -> dict[str, Any]:
    """What the description says of the call that a request makes; nothing, if it knows none."""
    return next((each for path, way, each in calls() if way == request.method and path.fullmatch(request.path)), {})


def wrong_request(request: Request) -> list[str]:
    """What the description does not allow, with unknown and doubled query names, which OpenAPI itself lets pass."""
    names = Counter(name for name, _ in request.query)
    unknown = names.keys() - call(request).get("query", set())
    doubled = [name for name, count in names.items() if count > 1]
    wrong = [f"{request.method} {request.path}: query {name}" for name in [*unknown, *doubled]]
    return wrong + [_words(error) for error in described().iter_request_errors(_foreign(request))]


def wrong_answer(request: Request, response: Response) -> list[str]:
    """What the description does not allow in the answer to a request."""
    from openapi_core.testing import MockResponse

    body, headers = response.encoded()
    kind = headers.get("Content-Type", "")
    answer = MockResponse(body, response.status, headers, kind)
    if not kind:  # a refusal may come without any body; what has none promises none
        return [] if str(response.status) in call(request).get("responses", {}) and not body else ["undescribed"]
    return [_words(error) for error in described().iter_response_errors(_foreign(request), answer)]


def _foreign(request: Request) -> Any:
    from openapi_core.testing import MockRequest

    headers = dict(request.headers.items())
    kind = request.headers.get("Content-Type") or ""
    host, query = "https://api.vonage.com", dict(request.query)
    return MockRequest(
        host, request.method, request.path, args=query, headers=headers, data=request.body, content_type=kind
    )


def _words(error: Any) -> str:
    """An error with what it rests on, as the library's own text is often its class only."""
    inner = error.__cause__
    details = [
        f"{'/'.join(map(str, each.absolute_path))} {each.message}" for each in getattr(inner, "schema_errors", [])
    ]
    return f"{error} {inner or ''} {'; '.join(details)}"


# The real client against the emulated vendor -----------------------------------------------------------


def filled(**switches: Any) -> Vonage:
    """A vendor with old and young recordings of the company and of three users, over several pages."""
    vendor = Vonage(lambda: datetime.now(UTC), **switches)
    for user in USERS[:2]:
        vendor.add_user(user)
    for number in range(12):
        ended = timedelta(days=21 + number * 2)
        for place, user in enumerate([None, *USERS]):
            vendor.add_recording(204000 + 100 * place + number, user=user, ended=ended)
    return vendor


def overheard(vendor: Vonage, folder: Path, rule: str = AGE, **keys: Any) -> list[Exchange]:
    """A check, a plan and a run, in which two acknowledgements are lost: what was asked, and what was answered."""
    heard: list[Exchange] = []
    lost: set[str] = set()

    def listen(request: Request, response: Response) -> Response | None:
        heard.append((request, response))
        name = call(request).get("operationId", "")
        if not name.startswith("delete") or name in lost:
            return None
        lost.add(name)
        return Response(close=True)

    vendor.after.append(listen)
    with Server(vendor) as served:
        vendor.public_url = served.url
        file = folder / "config.toml"
        file.write_text(vendor.account("vbc", served.url, **keys).replace(AGE, rule), "utf-8")
        file.chmod(0o600)
        for words in (["check"], ["plan"], ["run", "--yes"]):
            result = CliRunner().invoke(cli, ["-c", str(file), "--state", str(folder / "state"), *words])
            assert result.exit_code == 0, result.output
    return heard


def names(heard: list[Exchange]) -> set[str]:
    """The operations that were called, each by its name in the description."""
    return {call(request).get("operationId", request.path) for request, _ in heard}


ALWAYS = {"signIn", "listCompany", "listOnDemand", "getCompany", "getOnDemand", "deleteCompany", "deleteOnDemand"}


@pytest.mark.parametrize("archive", [False, True], ids=["without archive", "with archive"])
@pytest.mark.parametrize(
    ("users", "rule", "more"),
    [
        pytest.param("self", AGE, set(), id="self"),
        pytest.param("all", AGE, {"listUsers"}, id="all"),
        pytest.param(list(USERS), AGE, set(), id="ids"),
        pytest.param(list(USERS), AGE + '\nowner = "user*"', {"getUser"}, id="ids and an owner"),
    ],
)
def test_every_request_and_every_answer_is_as_described(
    users: Any, rule: str, more: set[str], archive: bool, tmp_path: Path
) -> None:
    vendor = filled()
    for row in vendor.company.values():
        row["extensions"] = ["user701"]  # so that one glob fits the company's recordings and the users' names
    rule += f"\narchive = {str(tmp_path / 'kept')!r}" if archive else ""
    heard = overheard(vendor, tmp_path, rule, users=users)
    assert [wrong for request, _ in heard for wrong in wrong_request(request)] == []
    assert [wrong for exchange in heard for wrong in wrong_answer(*exchange)] == []
    assert names(heard) == ALWAYS | more | ({"getAudio"} if archive else set())
    assert len(vendor.company) == 5
    assert not vendor.disasters


@pytest.mark.parametrize(
    "switches",
    [
        {"integer_types": True},
        {"users_key": "users"},
        {"embedded_when_empty": True},
        {"serve_again": False},
        {"links_host": "https://elsewhere.example"},
    ],
    ids=lambda switches: next(iter(switches)),
)
def test_what_the_sources_contradict_is_described_both_ways(switches: dict[str, Any], tmp_path: Path) -> None:
    heard = overheard(filled(**switches), tmp_path)
    assert [wrong for exchange in heard for wrong in wrong_answer(*exchange)] == []


def test_odd_rows_of_the_backlog_are_exactly_those_that_the_description_refuses() -> None:
    vendor = signed_in()
    vendor.fill()
    odd = set()
    for page in range(len(vendor.company)):
        request = replace(LIST, query=(("page", str(page + 1)), ("page_size", "1")))
        answer = vendor.answer(request)
        (row,) = answer.body["_embedded"]["recordings"]
        odd |= {str(row["id"])} if wrong_answer(request, answer) else set()
    assert odd == {
        *("204409", "204410"),  # null and text where there is a list, a text or a number
        *("204424", "204425"),  # a duration that is true, or negative
        *("204441", "204442", "204444"),  # a start or an end that is no time
        *("export", "0000204499"),  # an id that is no number
    }


def signed_in(**switches: Any) -> Vonage:
    """The same vendor with a token that has been granted."""
    vendor = filled(**switches)
    body = b"grant_type=password&scope=openid&username=cleanup%40example.com%40vbc.prod&password=p%26w%2Bd%2541%3D"
    body += b"&client_id=demo-client&client_secret=demo-client-phrase%2F%2B%3D"
    request = Request("POST", "/token", (), {"Content-Type": "application/x-www-form-urlencoded"}, body)
    answer = vendor.answer(request)
    assert (wrong_request(request), wrong_answer(request, answer), answer.status) == ([], [], 200)
    return vendor


# It bites -----------------------------------------------------------------------------------------------


def test_a_sound_request_is_allowed() -> None:
    assert wrong_request(LIST) == []


@pytest.mark.parametrize(
    "wrong",
    [
        replace(LIST, path=COMPANY + "/"),
        replace(LIST, path=COMPANY.replace("company_call", "call")),
        replace(LIST, method="DELETE"),
        replace(LIST, method="DELETE", path=COMPANY + "/export", query=()),
        replace(LIST, path=ACCOUNT + "/users/ana/call_recordings"),
        replace(LIST, headers={}),
        replace(LIST, query=(("start:le", "2026-01-30T12:00:00+0000"),)),
        replace(LIST, query=(("page", "1"), ("page", "2"))),
        replace(LIST, query=(("start:lte", "2026-01-30 12:00:00"),)),
        replace(LIST, query=(("start:lte", "2026-01-30T12:00:00 0000"),)),
        replace(LIST, query=(("order", "asc"),)),
        replace(LIST, query=(("page", "0"),)),
        Request("POST", "/token", (), {"Content-Type": "application/x-www-form-urlencoded"}, b"grant_type=password"),
    ],
    ids=lambda wrong: f"{wrong.method} {wrong.path.rpartition('/')[2]} {wrong.query}",
)
def test_a_wrong_request_is_noticed(wrong: Request) -> None:
    assert wrong_request(wrong)


@pytest.mark.parametrize(
    "changes",
    [{"length_ms": 1}, {"id": "204001"}, {"start": "06.10.2025"}, {"duration": "61500"}, {"call_direction": "IN"}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_wrong_field_of_an_answer_is_noticed(changes: dict[str, Any]) -> None:
    vendor = signed_in()
    request = Request("GET", f"{COMPANY}/204001", (), SIGNED)
    assert wrong_answer(request, vendor.answer(request)) == []
    vendor.company["204001"].update(changes)
    assert wrong_answer(request, vendor.answer(request))


def test_an_answer_with_another_status_is_noticed() -> None:
    assert wrong_answer(LIST, Response(202, {}))
    assert wrong_answer(LIST, Response(418))


def test_a_client_that_asks_for_something_else_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("confcleanup.providers.vonage._until", lambda rules: [("start:before", "2026-01-30")])
    heard = overheard(filled(), tmp_path)
    assert {wrong for request, _ in heard for wrong in wrong_request(request)} >= {f"GET {COMPANY}: query start:before"}


# Requests that no client of ours would make -------------------------------------------------------------


def attacked(vendor: Vonage, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """What schemathesis says after its examples, edge cases, random requests and sequences of requests."""
    import yaml

    plain = folder / "vonage.json"  # without YAML's aliases, which schemathesis would take for one and the same thing
    plain.write_text(json.dumps(yaml.safe_load(DESCRIPTION.read_text("utf-8"))), "utf-8")
    hooks = {"SCHEMATHESIS_HOOKS": "tests.witness.vonage_instants", "PYTHONPATH": str(DESCRIPTION.parents[2])}
    with Server(vendor) as served:
        vendor.public_url = served.url
        words = ["run", str(plain), "--url", served.url, "-H", f"Authorization: {SIGNED['Authorization']}"]
        words += ["--seed", "6", "--max-examples", "15", "--warnings", "off", "--output-sanitize", "false", *more]
        return subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", *words],
            env={**os.environ, **hooks},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.mark.timeout(600)
def test_the_sandbox_withstands_odd_requests_and_answers_as_described(tmp_path: Path) -> None:
    vendor = signed_in()
    done = attacked(vendor, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    answers = Counter(seen.status for seen in vendor.seen)
    assert len(vendor.seen) > 500
    assert answers.keys() <= {200, 204, 400, 401, 404, 405, 415}
    assert min(answers[status] for status in (200, 204, 400, 401, 404, 405, 415)) > 0


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (500, None, "Server error"),
        (200, {"_embedded": {"recordings": [{"id": "204001"}]}}, "Response violates schema"),
        (418, None, "Undocumented status code"),
    ],
)
def test_the_attack_notices_a_sandbox_that_answers_otherwise(
    status: int, body: Any, words: str, tmp_path: Path
) -> None:
    vendor = signed_in()
    vendor.interfere.append(lambda request: Response(status, body) if request.path == COMPANY else None)
    done = attacked(vendor, tmp_path, "--include-operation-id", "listCompany", "--phases", "coverage")
    assert done.returncode == 1
    assert words in done.stdout
