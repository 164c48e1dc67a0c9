"""Huawei's own SDK signs in at the sandbox, lists, reads, deletes; its models know every field of every answer."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from confcleanup.sandbox.huawei import APP_LOGIN, RECORDINGS, Huawei
from confcleanup.sandbox.server import Emulator, Request, Response
from tests.witness.statements import Witness

pytestmark = [pytest.mark.witness, pytest.mark.filterwarnings("default")]
CLIENT = "huaweicloudsdkmeeting"
Https = Callable[[Emulator], tuple[str, Path]]
READS = {
    "search_recordings": "SearchRecordings",
    "search_his_meetings": "SearchHisMeetings",
    "search_meetings": "SearchMeetings",
    "show_recording_detail": "ShowRecordingDetail",
    "show_his_meeting_detail": "ShowHisMeetingDetail",
    "show_recording_file_download_urls": "ShowRecordingFileDownloadUrls",
}
SDK_TYPES = {"str": str, "int": int, "bool": bool}


def sdk(emulator: Huawei, https: Https, **changed: Any) -> Any:
    """The SDK's client, signing in with App ID and App Key."""
    from huaweicloudsdkcore.http.http_config import HttpConfig
    from huaweicloudsdkmeeting.v1 import MeetingClient
    from huaweicloudsdkmeeting.v1.meeting_credentials import AuthTypeEnum, MeetingCredentials, TenantSceneEnum

    url, ca_file = https(emulator)
    keys = {"app_id": emulator.app_id, "app_key": emulator.app_key, "user_id": emulator.user_id, **changed}
    credentials = MeetingCredentials().with_auth_type_enum(AuthTypeEnum.APP_ID)
    if "corp_id" in keys:
        credentials.with_tenant_scene_enum(TenantSceneEnum.MULTI_TENANT)
    for name, value in keys.items():
        getattr(credentials, f"with_{name}")(value)
    builder = MeetingClient.new_builder().with_http_config(HttpConfig(ssl_ca_cert=str(ca_file)))
    return builder.with_credentials(credentials).with_endpoint(url).build()


def ask(client: Any, call: str, **fields: Any) -> Any:
    """One call of the SDK, with the request object that belongs to it."""
    from huaweicloudsdkmeeting import v1

    name = "".join(part.capitalize() for part in call.split("_"))
    return getattr(client, call)(getattr(v1, f"{name}Request")(**fields))


def window(emulator: Huawei) -> dict[str, Any]:
    end = emulator.clock()
    start = end - timedelta(days=30)
    return {"start_date": int(start.timestamp() * 1000), "end_date": int(end.timestamp() * 1000), "query_all": True}


def asked_for(emulator: Huawei, call: str) -> dict[str, Any]:
    if call.startswith("search_"):
        return {"query_all": True} if call == "search_meetings" else window(emulator)
    return {"conf_uuid": emulator.uuid(1)}


def huawei() -> Huawei:
    """Recordings, history and meetings as the vendor shows them, with nothing odd."""
    made = Huawei()
    for number in range(1, 8):
        made.add_recording(made.uuid(number), ended=timedelta(days=number))
        made.add_history(made.uuid(number), ended=timedelta(days=number))
    made.add_meeting("912000901")
    return made


def model(name: str) -> Any:
    from huaweicloudsdkmeeting import v1

    return getattr(v1, name)


def refusals(kind: str, value: Any, where: str, known: list[str], *, types: bool = True) -> Iterator[str]:
    """What of a raw answer the SDK's models do not know, miss, or have with another type. Null is no value."""
    if value is None:
        return
    if inner := re.fullmatch(r"list\[(\w+)\]", kind):
        for row in value:
            yield from refusals(inner[1], row, where, known, types=types)
    elif kind in SDK_TYPES:
        if types and type(value) is not SDK_TYPES[kind]:
            yield f"{where}: {value!r} is no {kind}"
    else:
        yield from _fields(model(kind), value, where, known, types=types)


def _fields(kind: Any, row: dict[str, Any], where: str, known: list[str], *, types: bool) -> Iterator[str]:
    names = {wire: kind.openapi_types[name] for name, wire in kind.attribute_map.items()}
    required = re.findall(r"\n {8}self\.([a-z]\w*) = (?!None)", inspect.getsource(kind.__init__))
    yield from (f"{where}: {name} is missing" for name in map(kind.attribute_map.get, required) if name not in row)
    for name, value in row.items():
        if name not in names:
            yield f"{where}: {name} is unknown"
            continue
        known.append(f"{kind.__name__}.{name}")
        yield from refusals(names[name], value, f"{where}.{name}", known, types=types)


def listen(emulator: Huawei) -> list[tuple[Request, Any]]:
    """Every answer of the emulator as JSON, with the request that it answers."""
    heard: list[tuple[Request, Any]] = []

    def hook(request: Request, response: Response) -> None:
        content, _ = response.encoded()
        heard.append((request, json.loads(content) if content else None))

    emulator.after.append(hook)
    return heard


@pytest.mark.parametrize(("call", "kind"), READS.items())
def test_the_models_know_every_field_and_type_of_an_answer(
    https: Https, witness: Witness, call: str, kind: str
) -> None:
    emulator = huawei()
    heard = listen(emulator)
    assert ask(sdk(emulator, https), call, **asked_for(emulator, call)) is not None
    witness.called(call)
    assert not list(refusals(f"{kind}Response", heard[-1][1], call, witness.fields))
    assert witness.fields


@pytest.mark.parametrize("kind", ["CheckTokenResponse", "UpdateTokenResponse"])
def test_the_answer_to_a_sign_in_is_the_token_that_the_models_know(https: Https, witness: Witness, kind: str) -> None:
    emulator = huawei()
    heard = listen(emulator)
    ask(sdk(emulator, https), "search_meetings", query_all=True)
    (body,) = [body for request, body in heard if request.path == APP_LOGIN]
    witness.called("sign-in")
    assert not list(refusals(kind, body, "sign-in", witness.fields))


def test_the_odd_backlog_has_no_field_that_the_models_do_not_know(witness: Witness) -> None:
    emulator = Huawei()
    emulator.fill()
    rows = [recording.row | recording.detail for recording in emulator.recordings.values()]
    meetings = [*emulator.history.values(), *emulator.meetings.values()]
    assert not list(refusals("list[RecordResultDO]", rows, "recording", witness.fields, types=False))
    assert not list(refusals("list[ConferenceInfo]", meetings, "meeting", witness.fields, types=False))


@pytest.mark.parametrize("call", ["search_recordings", "search_his_meetings"])
def test_the_lists_are_read_to_the_end_page_by_page(https: Https, witness: Witness, call: str) -> None:
    emulator = huawei()
    client = sdk(emulator, https)
    found: list[str] = []
    while True:
        page = ask(client, call, **window(emulator), offset=len(found), limit=100)
        witness.called(call)
        if not page.data:
            break
        found += [row.conf_uuid for row in page.data]
    assert len(found) == page.count == 7
    assert set(found) == set(emulator.recordings)


def test_recordings_are_deleted_with_an_encoded_comma_between_their_uuids(https: Https, witness: Witness) -> None:
    emulator = huawei()
    lines: list[str] = []
    client = sdk(emulator, https)
    client._http_client._session.hooks["response"].append(lambda answer, **_: lines.append(answer.request.url))
    ask(client, "delete_recordings", conf_uui_ds=f"{emulator.uuid(1)},{emulator.uuid(2)}")
    witness.called("delete_recordings")
    assert "%2C" in lines[-1]
    assert set(emulator.deleted) == {emulator.uuid(1), emulator.uuid(2)}
    assert not emulator.disasters


def test_the_token_is_checked_renewed_and_given_back(https: Https, witness: Witness) -> None:
    from huaweicloudsdkmeeting.v1 import ValidateTokenReqDTO

    emulator = huawei()
    client = sdk(emulator, https)
    renewed = ask(client, "update_token")
    body = ValidateTokenReqDTO(token=renewed.access_token, need_gen_new_token=False, need_account_info=False)
    client._credentials._token = renewed.access_token
    assert ask(client, "check_token", body=body).access_token == renewed.access_token
    ask(client, "delete_token")
    for call in ("update_token", "check_token", "delete_token"):
        witness.called(call)
    assert emulator.tokens == {}


def test_a_wrong_key_is_refused(https: Https, witness: Witness) -> None:
    from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException

    with pytest.raises(ClientRequestException) as refused:
        ask(sdk(huawei(), https, app_key="another-key"), "search_meetings", query_all=True)
    assert (refused.value.status_code, refused.value.error_code) == (401, "MMC.111070004")


@pytest.mark.parametrize("shape", ["error_code", "errorCode", "code", "nested"])
def test_every_shape_of_an_error_is_read(https: Https, witness: Witness, shape: Any) -> None:
    from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException

    emulator = huawei()
    emulator.error_shape = shape
    with pytest.raises(ClientRequestException) as refused:
        ask(sdk(emulator, https), "show_recording_detail", conf_uuid="0" * 32)
    assert (refused.value.error_code, refused.value.error_msg) == ("MMC.111070005", "CONF_DATA_NOT_FOUND")
    assert refused.value.request_id
    witness.called("show_recording_detail of nothing")


def test_a_service_provider_signs_its_corp_id(https: Https, witness: Witness) -> None:
    emulator = huawei()
    emulator.corp_id = "651000001"
    assert ask(sdk(emulator, https, corp_id="651000001"), "search_meetings", query_all=True).count == 1
    witness.called("sign-in for a service provider")


def test_the_habits_that_the_fact_sheet_calls_contradictory_are_the_sdks(https: Https, witness: Witness) -> None:
    emulator = huawei()
    emulator.require_access = True
    ask(sdk(emulator, https), "search_meetings", query_all=True)
    sent = emulator.requests("POST")[0]
    signature = (sent.headers.get("Authorization") or "").partition("signature=")[2].partition(",")[0]
    assert re.fullmatch("[0-9A-F]{64}", signature)
    assert "X-Token-Type" not in sent.headers
    witness.called("sign-in")


def test_a_sandbox_that_asks_for_the_token_type_refuses_the_sdk(https: Https) -> None:
    from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException

    emulator = huawei()
    emulator.require_token_type = True
    with pytest.raises(ClientRequestException, match="X-Token-Type"):
        ask(sdk(emulator, https), "search_meetings", query_all=True)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("rcdTime", "recordTime", ["recordings: recordTime is unknown"]),
        ("rcdSize", 85.5, ["recordings.rcdSize: 85.5 is no int"]),
        ("ucloginAccount", None, ["user: ucloginAccount is missing"]),
    ],
)
def test_the_witness_bites(https: Https, old: str, new: Any, said: list[str]) -> None:
    emulator = huawei()
    heard = listen(emulator)
    ask(sdk(emulator, https), "search_recordings", **window(emulator))
    bodies = {request.path: body for request, body in heard}
    row, user = bodies[RECORDINGS]["data"][0], bodies[APP_LOGIN]["user"]
    place = user if old in user else row
    value = place.pop(old)
    if isinstance(new, str):
        place[new] = value
    elif new is not None:
        place[old] = new
    found = [*refusals("RecordResultDO", row, "recordings", []), *refusals("UserInfo", user, "user", [])]
    assert found == said
