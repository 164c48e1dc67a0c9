"""What every provider owes, whatever its vendor: the suite that each of them passes.

A vendor's test class derives from ``Contract``, ``ListContract`` or (if the vendor counts its rows and gives
them in pages) ``PagedContract``, and says how to make an emulator with deletable items. Everything runs the real client
over real sockets. A third party's provider can be tested with these classes as well.
"""

from __future__ import annotations

import json
import logging
import traceback
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from msgspec.structs import replace as changed

from confcleanup import providers
from confcleanup.errors import AccessDenied, ConfcleanupError, OutcomeUnknown, Problem, ProviderError
from confcleanup.filter import Rule, decide
from confcleanup.http.client import Permit
from confcleanup.items import Item, Outcome, Result
from confcleanup.outcomes import Claim, claim_of
from confcleanup.providers.base import Provider
from confcleanup.sandbox.server import Emulator, Request, Response, Server
from confcleanup.settings.tables import build

from .waiting import NoWaiting

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HTML = b"<!doctype html><title>502 Bad Gateway</title><h1>Bad Gateway</h1>"

NOT_PROMISED = {
    "a page of HTML": Response(200, HTML, {"Content-Type": "text/html"}),
    "an empty list": Response(200, b"[]", {"Content-Type": "application/json"}),
    "an empty object": Response(200, b"{}", {"Content-Type": "application/json"}),
    "null": Response(200, b"null", {"Content-Type": "application/json"}),
    "a text": Response(200, b'"ok"', {"Content-Type": "application/json"}),
    "a number": Response(200, b"0", {"Content-Type": "application/json"}),
    "half an object": Response(200, b'{"conferences": [', {"Content-Type": "application/json"}),
    "nothing": Response(200, b""),
    "204": Response(204),
}
FAILURES = {
    "500 with HTML": Response(500, HTML, {"Content-Type": "text/html"}),
    "503 without a body": Response(503),
    "400": Response(400, {"message": "no"}),
    "403": Response(403, {"message": "no"}),
    "404": Response(404, {"message": "no"}),
    "a redirect elsewhere": Response(302, None, {"Location": "http://127.0.0.1:9/"}),
    "silence": Response(close=True),
}
UNCLEAR = {"500": Response(500, HTML, {"Content-Type": "text/html"}), "silence": Response(close=True)}


@dataclass
class World:
    """One emulated vendor with a client signed up to it, and the ids of what was put there."""

    emulator: Emulator
    provider: Provider
    stop: NoWaiting
    ids: list[str]


class Contract(ABC):
    """What holds for every source. ``secrets`` are the texts that nobody may ever be shown."""

    vendor: ClassVar[str]
    what: ClassVar[str]
    secrets: ClassVar[tuple[str, ...]]
    token_headers: ClassVar[tuple[str, ...]] = ("Authorization",)
    sizes: ClassVar[tuple[int, ...]] = (0, 1, 7)

    @abstractmethod
    def emulator(self) -> Emulator:
        """The vendor without any items, its clock standing at ``NOW``."""

    @abstractmethod
    def add(self, emulator: Any, number: int) -> str:
        """Puts in one item that a rule would delete; its id."""

    @abstractmethod
    def left(self, emulator: Any) -> set[str]:
        """The ids of the items that are still there."""

    @abstractmethod
    def settings(self, url: str) -> dict[str, Any]:
        """The account's table in the config."""

    def lists(self, request: Request) -> bool:
        """Whether a request asks for (a page of) this source's list."""
        return False

    def deletes(self, request: Request) -> bool:
        """Whether a request deletes an item."""
        return request.method == "DELETE"

    def answer(self, provider: Provider, item: Item) -> Result | Exception:
        """What the deletion of an item is answered with, as the deleter sees it."""
        try:
            return provider.delete([item], Permit())[0]
        except ProviderError as error:
            return error

    def unclear(self, provider: Provider, item: Item, *, acted: bool) -> None:
        """What a DELETE without a clear answer must lead to; a batch gives results instead."""
        with pytest.raises(OutcomeUnknown):
            provider.delete([item], Permit())

    def refused(self, provider: Provider, item: Item) -> None:
        """How a DELETE shows that was refused with a status nobody promised."""
        with pytest.raises(ProviderError):
            provider.delete([item], Permit())

    @contextmanager
    def serving(self, emulator: Emulator) -> Iterator[dict[str, Any]]:
        """The emulator on a socket, and the account's table that leads to it."""
        with Server(emulator) as server:
            if hasattr(emulator, "public_url"):
                emulator.public_url = server.url
            yield self.settings(server.url)

    @contextmanager
    def opened(self, count: int) -> Iterator[World]:
        """A world with so many deletable items."""
        emulator = self.emulator()
        ids = [self.add(emulator, number) for number in range(count)]
        with ExitStack() as stack:
            table = stack.enter_context(self.serving(emulator))
            stop = NoWaiting()
            yield World(emulator, stack.enter_context(self.client(table, stop)), stop, ids)

    def client(self, table: dict[str, Any], stop: NoWaiting) -> Provider:
        """The real client, from the account's table as the config file has it."""
        kind = providers.provider(self.vendor)
        problems: list[Problem] = []
        table = {"provider": self.vendor, "rate": "unlimited", "timeout": "10 s", **table}
        settings = build(kind.settings_type, table, "accounts.test", problems)
        assert not problems
        return kind(settings, stop, lambda: NOW)

    def rule(self) -> Rule:
        """A rule that selects everything ``add`` puts in."""
        return Rule(name="test", what=self.what, cutoff=NOW - timedelta(days=30), age="30 days")

    def listed(self, world: World) -> list[Item]:
        return list(world.provider.list_items(self.what, [self.rule()]))

    def deletions(self, emulator: Emulator) -> list[Request]:
        return [seen.request for seen in emulator.seen if self.deletes(seen.request)]

    # The list ---------------------------------------------------------------------------------

    def test_every_item_is_listed_exactly_once(self) -> None:
        for size in self.sizes:
            with self.opened(size) as world:
                assert sorted(item.id for item in self.listed(world)) == sorted(world.ids)

    def test_a_listed_item_has_what_a_rule_needs(self) -> None:
        with self.opened(1) as world:
            (item,) = self.listed(world)
            decision = decide(item, self.rule(), NOW)
            assert decision.delete, decision.reason
            assert item.what == self.what
            assert item.raw

    def test_listing_changes_nothing(self) -> None:
        with self.opened(3) as world:
            for item in self.listed(world):
                world.provider.get(item)
            assert {seen.request.method for seen in world.emulator.seen} <= {"GET", "POST"}
            assert self.left(world.emulator) == set(world.ids)

    def test_checking_an_account_changes_nothing(self) -> None:
        with self.opened(3) as world:
            world.provider.check([self.what])
            assert {seen.request.method for seen in world.emulator.seen} <= {"GET", "POST"}
            assert self.left(world.emulator) == set(world.ids)

    def test_a_vendor_that_is_not_there_is_an_error(self) -> None:
        with self.serving(self.emulator()) as table:
            pass
        with self.client(table, NoWaiting()) as provider, pytest.raises(ProviderError):
            list(provider.list_items(self.what, [self.rule()]))

    # Looking again ----------------------------------------------------------------------------

    def test_looking_again_finds_the_same_item(self) -> None:
        with self.opened(3) as world:
            for item in self.listed(world):
                fresh = world.provider.get(item)
                assert fresh is not None
                assert (fresh.key, fresh.kind) == (item.key, item.kind)
                assert decide(fresh, self.rule(), NOW).delete

    def test_looking_for_a_deleted_item_finds_nothing(self) -> None:
        with self.opened(2) as world:
            item = self.listed(world)[0]
            world.provider.delete([item], Permit())
            assert world.provider.get(item) is None

    # The deletion -----------------------------------------------------------------------------

    def test_exactly_the_given_item_is_deleted(self) -> None:
        with self.opened(3) as world:
            item = self.listed(world)[1]
            assert [result.outcome for result in world.provider.delete([item], Permit())] == [Outcome.DELETED]
            assert self.left(world.emulator) == set(world.ids) - {item.id}
            assert len(self.deletions(world.emulator)) == 1
            assert not getattr(world.emulator, "disasters", [])

    def test_what_is_already_gone_is_called_absent_and_a_look_agrees(self) -> None:
        with self.opened(2) as world:
            item = self.listed(world)[0]
            world.provider.delete([item], Permit())
            assert claim_of(self.answer(world.provider, item)) is Claim.ABSENT
            assert world.provider.get(item) is None
            assert self.left(world.emulator) == set(world.ids) - {item.id}

    @pytest.mark.parametrize("answer", UNCLEAR)
    def test_a_delete_is_sent_once_if_it_was_not_carried_out(self, answer: str) -> None:
        with self.opened(2) as world:
            item = self.listed(world)[0]
            world.emulator.interfere.append(lambda request: UNCLEAR[answer] if self.deletes(request) else None)
            self.unclear(world.provider, item, acted=False)
            assert len(self.deletions(world.emulator)) == 1
            assert self.left(world.emulator) == set(world.ids)

    @pytest.mark.parametrize("answer", UNCLEAR)
    def test_a_delete_is_sent_once_if_its_answer_was_lost(self, answer: str) -> None:
        with self.opened(2) as world:
            item = self.listed(world)[0]
            world.emulator.after.append(lambda request, _: UNCLEAR[answer] if self.deletes(request) else None)
            self.unclear(world.provider, item, acted=True)
            assert len(self.deletions(world.emulator)) == 1
            assert self.left(world.emulator) == set(world.ids) - {item.id}

    def test_a_redirected_delete_is_not_followed_and_deletes_nothing(self) -> None:
        moved = Response(302, None, {"Location": "/elsewhere"})
        with self.opened(1) as world:
            (item,) = self.listed(world)
            world.emulator.interfere.append(lambda request: moved if self.deletes(request) else None)
            self.refused(world.provider, item)
            assert len(self.deletions(world.emulator)) == 1
            assert not [request for request in world.emulator.requests("GET") if "elsewhere" in request.path]

    def test_a_delete_that_is_forbidden_stops_the_account(self) -> None:
        with self.opened(1) as world:
            (item,) = self.listed(world)
            no = Response(403, {"message": "no"})
            world.emulator.interfere.append(lambda request: no if self.deletes(request) else None)
            with pytest.raises(AccessDenied):
                world.provider.delete([item], Permit())
            assert len(self.deletions(world.emulator)) == 1

    @pytest.mark.parametrize("permit", [None, True, object(), Permit], ids=["None", "True", "object", "the class"])
    def test_without_a_permit_nothing_is_sent(self, permit: Any) -> None:
        with self.opened(1) as world:
            (item,) = self.listed(world)
            before = len(world.emulator.seen)
            with pytest.raises(ProviderError, match="permit"):
                world.provider.delete([item], permit)
            assert len(world.emulator.seen) == before
            assert self.left(world.emulator) == set(world.ids)

    @pytest.mark.parametrize("ident", ["", ".", "..", "../x", "a/..", "%2e%2e", "a\0b", "\ud800"])
    def test_an_id_that_cannot_be_sent_safely_is_never_sent(self, ident: str) -> None:
        with self.opened(2) as world:
            item = changed(self.listed(world)[0], id=ident)
            before = len(world.emulator.seen)
            self.refused_id(world.provider, item)
            assert not [seen for seen in world.emulator.seen[before:] if self.deletes(seen.request)]
            assert self.left(world.emulator) == set(world.ids)

    def refused_id(self, provider: Provider, item: Item) -> None:
        """How an unsendable id shows; a provider that deletes in batches gives a result instead."""
        with pytest.raises(ProviderError):
            provider.delete([item], Permit())

    # Secrets ----------------------------------------------------------------------------------

    def test_no_secret_is_logged_or_told(self, caplog: pytest.LogCaptureFixture, monkeypatch: Any) -> None:
        caplog.set_level(logging.DEBUG)
        monkeypatch.setattr(logging.getLogger("confcleanup"), "propagate", True)
        monkeypatch.setattr(logging.getLogger("confcleanup"), "level", logging.DEBUG)
        told: list[str] = []
        known = set(self.secrets)
        for trouble in (None, "list", "delete", "look", "all"):
            with self.opened(2) as world:
                self._go_through(world, trouble, told)
                known |= self._tokens(world.emulator)
        with self.serving(self.emulator()) as table:
            pass
        with self.client(table, NoWaiting()) as provider:
            self._note(told, lambda: list(provider.list_items(self.what, [self.rule()])))
        told += [self._line(record) for record in caplog.records if not record.name.startswith("websockets.server")]
        assert told
        assert known
        assert [(secret, text) for text in told for secret in known if secret in text] == []

    def _go_through(self, world: World, trouble: str | None, told: list[str]) -> None:
        """Lists, looks and deletes, with a vendor that repeats what it was sent when it refuses."""
        items: list[Item] = []
        if trouble in ("list", "all"):
            world.emulator.interfere.append(
                lambda request: echo(request) if trouble == "all" or self.lists(request) else None
            )
        self._note(told, lambda: items.extend(self.listed(world)))
        if trouble in ("look", "delete"):
            world.emulator.interfere.append(
                lambda request: echo(request) if self.deletes(request) == (trouble == "delete") else None
            )
        for item in items[:1]:
            self._note(told, lambda item=item: world.provider.get(item))
            self._note(told, lambda item=item: world.provider.delete([item], Permit()))
        told += [*world.provider.warnings, repr(world.provider.settings)]

    @staticmethod
    def _note(told: list[str], act: Any) -> None:
        try:
            told.append(repr(act()))
        except ConfcleanupError as error:
            told += [str(error), repr(error), *traceback.format_exception(error)]

    def _tokens(self, emulator: Emulator) -> set[str]:
        headers = [seen.request.headers.get(name) for seen in emulator.seen for name in self.token_headers]
        return {header.rpartition(" ")[2] for header in headers if header}

    @staticmethod
    def _line(record: logging.LogRecord) -> str:
        return logging.Formatter("%(name)s %(message)s").format(record)


class ListContract(Contract):
    """What holds where the list comes over HTTP, as a list of rows in a JSON object."""

    @abstractmethod
    def lists(self, request: Request) -> bool:
        """Whether a request asks for (a page of) this source's list."""

    @abstractmethod
    def rows(self, body: Any) -> list[dict[str, Any]]:
        """The list of rows in the answer to such a request, so that a test can take some away."""

    @abstractmethod
    def row_id(self, row: Mapping[str, Any]) -> str:
        """The id in such a row."""

    def spoil(self, emulator: Emulator, answer: Response, page: int = 1, *, times: int = 1000) -> None:
        """From the given page with rows on (1 is the first), so many list requests are answered with this instead."""
        pages = 0

        def hook(request: Request, response: Response) -> Response | None:
            nonlocal pages
            if not self.lists(request) or not (pages or self._has_rows(response)):
                return None
            pages += 1
            return answer if page <= pages < page + times else None

        emulator.after.append(hook)

    def _has_rows(self, response: Response) -> bool:
        return response.status == 200 and isinstance(response.body, dict) and bool(self.rows(response.body))

    @pytest.mark.parametrize("answer", NOT_PROMISED)
    def test_an_answer_that_nobody_promised_fails_the_listing(self, answer: str) -> None:
        with self.opened(1) as world:
            self.spoil(world.emulator, NOT_PROMISED[answer])
            with pytest.raises(ProviderError):
                self.listed(world)

    @pytest.mark.parametrize("answer", FAILURES)
    def test_a_failing_list_is_an_error_and_never_an_empty_list(self, answer: str) -> None:
        with self.opened(1) as world:
            self.spoil(world.emulator, FAILURES[answer])
            with pytest.raises(ProviderError):
                self.listed(world)

    @pytest.mark.parametrize("answer", ["500 with HTML", "503 without a body", "silence"])
    def test_a_list_that_fails_once_is_asked_for_again(self, answer: str) -> None:
        with self.opened(2) as world:
            self.spoil(world.emulator, FAILURES[answer], times=1)
            assert {item.id for item in self.listed(world)} == set(world.ids)
            assert world.stop.waited


class PagedContract(ListContract):
    """What holds where the vendor counts its rows and gives them in pages of ``cap`` at most."""

    cap: ClassVar[int] = 3
    sizes = (0, 1, 2, 3, 4, 6, 7, 17)
    second_page: ClassVar[int] = 2

    @pytest.mark.parametrize("answer", NOT_PROMISED)
    def test_a_later_page_that_nobody_promised_fails_the_listing(self, answer: str) -> None:
        with self.opened(2 * self.cap + 1) as world:
            self.spoil(world.emulator, NOT_PROMISED[answer], self.second_page)
            with pytest.raises(ProviderError):
                self.listed(world)

    @pytest.mark.parametrize("answer", FAILURES)
    def test_a_later_page_that_fails_fails_the_listing(self, answer: str) -> None:
        with self.opened(2 * self.cap + 1) as world:
            self.spoil(world.emulator, FAILURES[answer], self.second_page)
            with pytest.raises(ProviderError):
                self.listed(world)

    @pytest.mark.parametrize("place", [0, 3, -1])
    def test_a_row_that_is_counted_and_never_shown_fails_the_listing(self, place: int) -> None:
        with self.opened(2 * self.cap + 1) as world:
            lost = world.ids[place]
            world.emulator.after.append(lambda request, response: self._without(lost, request, response))
            with pytest.raises(ProviderError):
                self.listed(world)

    def _without(self, lost: str, request: Request, response: Response) -> Response | None:
        if not self.lists(request) or not self._has_rows(response):
            return None
        body = json.loads(json.dumps(response.body))
        rows = self.rows(body)
        rows[:] = [row for row in rows if self.row_id(row) != lost]
        return Response(response.status, body, response.headers)

    def test_a_page_that_comes_again_fails_the_listing(self) -> None:
        first: list[Response] = []

        def hook(request: Request, response: Response) -> Response | None:
            if not self.lists(request) or not self._has_rows(response):
                return None
            first.append(response)
            return first[0]

        with self.opened(2 * self.cap + 1) as world:
            world.emulator.after.append(hook)
            with pytest.raises(ProviderError):
                self.listed(world)
            assert len(world.emulator.seen) < 100

    def test_an_empty_page_before_the_end_fails_the_listing(self) -> None:
        def hook(request: Request, response: Response) -> Response | None:
            if not self.lists(request) or not self._has_rows(response):
                return None
            pages.append(request)
            body = json.loads(json.dumps(response.body))
            if len(pages) > 1:
                self.rows(body).clear()
            return Response(response.status, body, response.headers)

        pages: list[Request] = []
        with self.opened(2 * self.cap + 1) as world:
            world.emulator.after.append(hook)
            with pytest.raises(ProviderError):
                self.listed(world)


def echo(request: Request) -> Response:
    """A refusal that repeats everything it was sent, as a careless vendor's does."""
    said = [*(f"{name}: {value}" for name, value in request.headers.items()), request.body.decode("utf-8", "replace")]
    return Response(400, {"error": {"message": " ".join(said), "errors": [{"reason": value} for value in said]}})
