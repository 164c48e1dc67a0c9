"""The suite that every provider passes, for each source of each vendor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from confcleanup.errors import ProviderError
from confcleanup.filter import LiveRule, Rule
from confcleanup.http.client import Permit
from confcleanup.items import Item, Outcome
from confcleanup.providers.base import Provider
from confcleanup.sandbox.huawei import RECORDINGS, Huawei
from confcleanup.sandbox.room import Room
from confcleanup.sandbox.server import Emulator, Request
from confcleanup.sandbox.trueconf import TrueConf
from confcleanup.sandbox.vobiz import Vobiz
from confcleanup.sandbox.vonage import PROVISIONING, RECORDING_API, SIGN_IN, Vonage
from tests.providers.contract import NOT_PROMISED, NOW, Contract, ListContract, PagedContract
from tests.providers.scripted_room import ScriptedRoom
from tests.providers.waiting import NoWaiting


class TestTrueConfV3(PagedContract):
    vendor = "trueconf"
    what = "conferences"
    api: ClassVar[str] = "v3.11"
    client_id: ClassVar[str] = "cleanup-app"
    secrets = ("trueconf-secret-58e2",)

    def emulator(self) -> TrueConf:
        made = TrueConf(lambda: NOW, api=self.api, page_cap=self.cap)
        made.client_id, made.client_secret = self.client_id, self.secrets[0]
        return made

    def add(self, emulator: TrueConf, number: int) -> str:
        ident = f"{73310045 + number:010d}"
        emulator.add_conference(ident, ended=timedelta(days=40, minutes=number))
        return ident

    def left(self, emulator: TrueConf) -> set[str]:
        return set(emulator.conferences)

    def settings(self, url: str) -> dict[str, Any]:
        return {"url": url, "api": self.api, "client_id": self.client_id, "client_secret": self.secrets[0]}

    def lists(self, request: Request) -> bool:
        return request.method == "GET" and request.path == f"/api/{self.api}/conferences"

    def rows(self, body: Any) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = body.get("conferences", [])
        return rows

    def row_id(self, row: Mapping[str, Any]) -> str:
        return str(row["id"])


class TestTrueConfV4(TestTrueConfV3):
    api = "v4"


class TestTrueConfRoom(Contract):
    """Lists over a WebSocket, so the trouble with lists is a Room's; everything else is the server's."""

    vendor = "trueconf"
    what = "conferences"
    server = TestTrueConfV3()
    secrets = (*TestTrueConfV3.secrets, "room-pin-3380")

    def emulator(self) -> TrueConf:
        return self.server.emulator()

    def add(self, emulator: TrueConf, number: int) -> str:
        return self.server.add(emulator, number)

    def left(self, emulator: TrueConf) -> set[str]:
        return self.server.left(emulator)

    def settings(self, url: str) -> dict[str, Any]:
        return {**self.server.settings(url), "room_pin": self.secrets[1], "timeout": "2 s"}

    @contextmanager
    def serving(self, emulator: Emulator) -> Iterator[dict[str, Any]]:
        assert isinstance(emulator, TrueConf)
        with super().serving(emulator) as table, Room(emulator, pin=self.secrets[1], local_events=False) as room:
            yield {**table, "room_url": room.url}

    @pytest.mark.parametrize("answer", NOT_PROMISED)
    def test_a_frame_that_nobody_promised_fails_the_listing(self, answer: str) -> None:
        body, _ = NOT_PROMISED[answer].encoded()
        self.fails(body.decode() or None)

    @pytest.mark.parametrize("answer", [{"result": False}, {"result": True, "cnt": 2, "conferences": []}], ids=repr)
    def test_a_failing_or_short_list_is_an_error_and_never_an_empty_list(self, answer: dict[str, Any]) -> None:
        self.fails({"method": "getScheduler", "requestId": ..., **answer})

    def fails(self, frame: Any) -> None:
        with ScriptedRoom(frame) as room:
            table = {**self.settings("http://127.0.0.1:9"), "room_url": room.url, "timeout": "1 s"}
            with self.client(table, NoWaiting()) as provider, pytest.raises(ProviderError):
                list(provider.list_items(self.what, [self.rule()]))


class TestVobizRooms(ListContract):
    vendor = "vobiz"
    what = "conferences"
    secrets = ("vobiz-token-4c1d7a",)
    token_headers = ("X-Auth-Token",)

    def emulator(self) -> Vobiz:
        return Vobiz(lambda: NOW, details="always", listing="all", auth_token=self.secrets[0])

    def add(self, emulator: Vobiz, number: int) -> str:
        return emulator.add_room(f"room {number:03d}", running=timedelta(hours=6)).name

    def left(self, emulator: Vobiz) -> set[str]:
        return set(emulator.rooms)

    def settings(self, url: str) -> dict[str, Any]:
        return {"url": url, "auth_id": Vobiz.auth_id, "auth_token": self.secrets[0]}

    def rule(self) -> Rule:
        live = LiveRule(max_duration=timedelta(hours=4))
        return Rule(name="test", what=self.what, cutoff=NOW, live=live)

    def lists(self, request: Request) -> bool:
        return request.method == "GET" and request.path.endswith("/Conference/")

    def rows(self, body: Any) -> list[Any]:
        rows: list[Any] = body.get("conferences", [])
        return rows

    def row_id(self, row: Any) -> str:
        return str(row)


class TestVobizRecordings(PagedContract):
    vendor = "vobiz"
    what = "recordings"
    secrets = TestVobizRooms.secrets
    token_headers = TestVobizRooms.token_headers

    def emulator(self) -> Vobiz:
        return Vobiz(lambda: NOW, page_cap=self.cap, auth_token=self.secrets[0])

    def add(self, emulator: Vobiz, number: int) -> str:
        emulator.add_recording(f"rec-{number:04d}", ended=timedelta(days=40, minutes=number))
        return f"rec-{number:04d}"

    def left(self, emulator: Vobiz) -> set[str]:
        return set(emulator.recordings)

    def settings(self, url: str) -> dict[str, Any]:
        return {"url": url, "auth_id": Vobiz.auth_id, "auth_token": self.secrets[0]}

    def lists(self, request: Request) -> bool:
        return request.method == "GET" and request.path.endswith("/Recording/")

    def rows(self, body: Any) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = body.get("objects", [])
        return rows

    def row_id(self, row: Mapping[str, Any]) -> str:
        return str(row["recording_id"])


class TestHuaweiRecordings(PagedContract):
    """Its deletion goes in batches and is verified by listing again, so it answers where others raise."""

    vendor = "huawei"
    what = "recordings"
    secrets = ("huawei-app-key-91be", "483920")
    token_headers = ("X-Access-Token",)

    def emulator(self) -> Huawei:
        return Huawei(lambda: NOW, page_cap=self.cap, app_key=self.secrets[0], unknown_uuid="refused")

    def add(self, emulator: Huawei, number: int) -> str:
        uuid = Huawei.uuid(number)
        emulator.add_recording(uuid, ended=timedelta(days=40, minutes=number))
        emulator.add_history(uuid, ended=timedelta(days=40, minutes=number))
        return uuid

    def left(self, emulator: Huawei) -> set[str]:
        return set(emulator.recordings)

    def settings(self, url: str) -> dict[str, Any]:
        return {"url": url, "app_id": Huawei.app_id, "app_key": self.secrets[0], "user_id": Huawei.user_id}

    def lists(self, request: Request) -> bool:
        return request.method == "GET" and request.path == RECORDINGS

    def rows(self, body: Any) -> list[dict[str, Any]]:
        return body.get("data") or []

    def row_id(self, row: Mapping[str, Any]) -> str:
        return str(row["confUUID"])

    def deletes(self, request: Request) -> bool:
        return request.method == "DELETE" and request.path == RECORDINGS

    def unclear(self, provider: Provider, item: Item, *, acted: bool) -> None:
        (result,) = provider.delete([item], Permit())
        assert result.outcome is Outcome.UNKNOWN
        assert result.error
        assert (provider.get(item) is None) == acted

    def refused(self, provider: Provider, item: Item) -> None:
        (result,) = provider.delete([item], Permit())
        assert result.outcome is Outcome.UNKNOWN

    def refused_id(self, provider: Provider, item: Item) -> None:
        (result,) = provider.delete([item], Permit())
        assert result.outcome is Outcome.FAILED
        assert result.error


class TestVonageCompanyRecordings(PagedContract):
    vendor = "vonage"
    what = "company-recordings"
    secrets = ("vonage-phrase/+=31d", "p&w+d%41=hidden")
    user: str | None = None

    def emulator(self) -> Vonage:
        made = Vonage(lambda: NOW, page_cap=self.cap, client_secret=self.secrets[0], password=self.secrets[1])
        if self.user:
            made.add_user(self.user)
        return made

    def add(self, emulator: Vonage, number: int) -> str:
        emulator.add_recording(204400 + number, user=self.user, ended=timedelta(days=40, minutes=number))
        return str(204400 + number)

    def left(self, emulator: Vonage) -> set[str]:
        return set(emulator.company)

    def settings(self, url: str) -> dict[str, Any]:
        return {
            "url": url + RECORDING_API,
            "token_url": url + SIGN_IN,
            "provisioning_url": url + PROVISIONING,
            "client_id": Vonage.client_id,
            "client_secret": self.secrets[0],
            "username": Vonage.username,
            "password": self.secrets[1],
        }

    def lists(self, request: Request) -> bool:
        return request.method == "GET" and request.path.endswith("/company_call_recordings")

    def rows(self, body: Any) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = body.get("_embedded", {}).get("recordings", [])
        return rows

    def row_id(self, row: Mapping[str, Any]) -> str:
        return str(row["id"])


class TestVonageOnDemandRecordings(TestVonageCompanyRecordings):
    what = "on-demand-recordings"
    user = "869048"

    def left(self, emulator: Vonage) -> set[str]:
        return set(emulator.on_demand.get("869048", {}))

    def lists(self, request: Request) -> bool:
        return request.method == "GET" and request.path.endswith("/users/869048/call_recordings")
