"""``keep_archive``: the program's own copies are removed when their time is over, and nothing else is."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from confcleanup.cli import cli, expired
from confcleanup.cli.item_tables import ItemTables
from confcleanup.cli.output import account_line, closing_line
from confcleanup.config.holds import HoldEntry, HoldSettings
from confcleanup.config.load import Account, Config, StateSettings
from confcleanup.cutoff import Period
from confcleanup.errors import ConfcleanupError
from confcleanup.guards import Limits
from confcleanup.items import Item, Media
from confcleanup.plan import Copy, Plan
from confcleanup.plan_file import SavedPlan
from confcleanup.providers.base import Source
from confcleanup.records.entries import item_of
from confcleanup.records.journal import Journal
from confcleanup.records.ledger import Ledger
from confcleanup.records.stores import Folder
from confcleanup.reports import data
from confcleanup.run import Ports, Run, resolve
from confcleanup.run import run as run_accounts
from confcleanup.settings.tables import AccountSettings
from tests.fake import NOW, Fake, FakeRule, thing

MP3 = b"\xff\xfb\x90\x64"
DAY = timedelta(days=1)
YEARS_LATER = datetime(2028, 3, 2, 12, tzinfo=UTC)


@contextmanager
def chunks(content: bytes) -> Iterator[Iterator[bytes]]:
    yield iter([content])


class Filmed(Fake):
    """Items with two files each."""

    sources = {"files": Source("recordings", FakeRule, media=True)}

    def media(self, item: Item) -> list[Media]:
        return [Media(f"{item.id}{number}.mp3", chunks(MP3 + item.id.encode())) for number in range(2)]


class World:
    """An account whose rule archives, a ledger, and runs at any time."""

    def __init__(self, folder: Path, target: str = "") -> None:
        self.url = "https://x"
        self.archive = folder / "archive"
        self.state = folder / "state"
        self.provider = Filmed(*(thing(ident, what="files", owner="anna", title=f"Call {ident}") for ident in "abc"))
        self.rule = FakeRule(
            what="files",
            name="old",
            older_than=Period.parse("30 days"),
            archive=target or str(self.archive),
            keep_archive=Period.parse("2 years"),
        )
        self.limits = Limits()
        self.holds = HoldSettings()
        self.ledger = Ledger(self.state)

    def run(self, now: datetime = NOW, *, delete: bool = True, confirm: Any = None, **options: Any) -> Run:
        provider = self.provider

        class Mine(Filmed):
            def __new__(cls, settings: Any, stop: Any, clock: Any) -> Any:
                provider.stop = stop
                return provider

        settings = AccountSettings(provider="fake", url=self.url, concurrency=1)
        account = Account("hq", Mine, settings, (self.rule,), self.limits, "fingerprint")
        config = Config(Path("c"), UTC, None, {"hq": account}, StateSettings(), self.holds)
        resolved = resolve(config, [account], now, delete=delete, **options)
        return run_accounts(resolved, Ports(clock=lambda: now, ledger=self.ledger, confirm=confirm))

    def expire(self, now: datetime = YEARS_LATER, **options: Any) -> Plan:
        return self.run(now, **options).plans[0]

    def folder(self, ident: str) -> Path:
        (found,) = self.archive.glob(f"hq/files/*/{ident}-*")
        return found

    @property
    def there(self) -> set[str]:
        """The ids of which a folder is there."""
        return {path.name[0] for path in self.archive.glob("hq/files/*/*")}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    made.run()
    assert made.there == {"a", "b", "c"}
    yield made
    made.ledger.close()


def test_a_copy_goes_after_its_time_and_not_before(world: World) -> None:
    assert world.expire(NOW + timedelta(days=2 * 365 - 1)).copies.count == 0
    assert world.there == {"a", "b", "c"}
    plan = world.expire()
    assert (plan.copies.count, plan.copies.removed, plan.status, plan.undone) == (3, 3, "ok", False)
    assert world.there == set()
    assert world.archive.is_dir()
    assert world.expire().copies.count == 0


def test_years_are_those_of_the_calendar_and_the_moment_itself_is_not_over(world: World) -> None:
    assert world.expire(datetime(2028, 3, 1, 12, tzinfo=UTC)).copies.count == 0
    assert world.expire(datetime(2028, 3, 1, 12, 0, 1, tzinfo=UTC)).copies.count == 3


def test_without_the_key_nothing_is_looked_at(world: World) -> None:
    world.rule = replace(world.rule, keep_archive=None)
    assert world.expire().copies.count == 0
    assert world.there == {"a", "b", "c"}


def test_a_dry_run_shows_the_copies_and_removes_none(world: World) -> None:
    run = world.run(YEARS_LATER, delete=False)
    (plan,) = run.plans
    assert world.there == {"a", "b", "c"}
    assert account_line(run, plan).endswith("; 3 expired copies")
    ItemTables(shown := StringIO(), UTC, {}).show(plan, "hq")
    row = shown.getvalue().splitlines()[2]
    assert row.split()[:2] == ["hq", "copy"]
    assert f"deleted 2026-03-01, its copy is {world.archive}/hq/files/" in row
    assert closing_line(run, "confcleanup run").endswith("To delete 3 expired copies: confcleanup run")
    assert (plan.selected.count(None), len(plan.selected)) == (0, 0)


def test_a_run_says_what_it_removed_beside_the_counts_of_the_contract(world: World) -> None:
    run = world.run(YEARS_LATER)
    (plan,) = run.plans
    assert account_line(run, plan) == "hq: deleted 0 of 0 selected; 3 of 3 expired copies removed"
    assert closing_line(run, "") == "Deleted 0 items of 0 selected. Removed 3 expired copies."
    found = data.account(plan)
    assert (found["selected"], found["deleted"]) == (0, 0)
    assert {name: found["copies"][name] for name in ("expired", "removed", "kept", "changed")} == {
        "expired": 3,
        "removed": 3,
        "kept": 0,
        "changed": 0,
    }
    assert [one["outcome"] for one in found["copies"]["items"]] == ["removed"] * 3


def test_more_copies_than_max_deletions_refuse_the_account(world: World) -> None:
    world.limits = Limits(max_deletions=2)
    plan = world.expire()
    (refusal,) = plan.refusals
    assert refusal == (
        "3 copies in the archive have expired, max_deletions allows 2: look at keep_archive, and raise max_deletions "
        "to 3 if it is right"
    )
    assert world.there == {"a", "b", "c"}


def test_who_is_asked_and_says_no_keeps_the_copies(world: World) -> None:
    asked: list[str] = []
    plan = world.expire(confirm=lambda run: asked.append(expired.due(run, "")))
    assert asked == ["3 expired copies"]
    assert (plan.status, world.there) == ("refused", {"a", "b", "c"})


def test_with_a_reviewed_plan_no_copy_goes(world: World) -> None:
    assert world.expire(reviewed=SavedPlan(None, None, {"hq": {}}, {"hq": {}})).copies.count == 0
    assert world.there == {"a", "b", "c"}


def test_where_the_account_cannot_be_listed_no_copy_goes(world: World) -> None:
    def fail() -> None:
        raise ConfcleanupError("no answer")

    world.provider.before_list = fail
    assert world.expire().failed
    assert world.there == {"a", "b", "c"}


@pytest.mark.parametrize(
    "hold", [{"id": "a"}, {"title": "*call A*"}, {"owner": "anna"}, {"tag": "x"}], ids=lambda hold: next(iter(hold))
)
def test_a_hold_keeps_copies_also_where_it_cannot_be_judged(world: World, hold: dict[str, str]) -> None:
    path = world.folder("a") / "item.json"
    saved = json.loads(path.read_bytes())
    if "tag" in hold:  # not known of a
        _rewrite(world.folder("a"), {**saved, "tags": None})
    world.holds = HoldSettings(hold=(HoldEntry(reason="case 7", **hold),))
    plan = world.expire()
    assert world.there == ({"a", "b", "c"} if "owner" in hold else {"a"})
    assert plan.copies.kept == len(world.there)
    assert "kept by a hold or a rule" in expired.summary(plan)


def test_what_the_rules_keep_by_id_keeps_its_copy(world: World) -> None:
    world.rule = replace(world.rule, keep_ids=("b",))
    world.expire()
    assert world.there == {"b"}


def test_copies_of_another_rule_stay(world: World) -> None:
    world.rule = replace(world.rule, name="another")
    world.expire()
    assert world.there == {"a", "b", "c"}


def test_a_copy_without_an_entry_in_the_ledger_stays(world: World, tmp_path: Path) -> None:
    world.ledger.close()
    shutil.rmtree(world.state)
    world.ledger = Ledger(tmp_path / "new")
    world.expire()
    assert world.there == {"a", "b", "c"}


def test_an_item_that_was_restored_since_keeps_its_copy(world: World) -> None:
    Journal(world.ledger, "r", "hq", "fake", lambda: NOW + DAY, "https://x").note(
        "restore", what="files", id="a", new_id="a", error=None
    )
    world.expire()
    assert world.there == {"a"}


def test_a_copy_counts_from_the_last_deletion_of_its_item(world: World) -> None:
    item = thing("a", what="files", owner="anna", title="Call a")
    world.provider.held["a"] = item
    world.provider.listing.append(item)
    world.run(NOW + 300 * DAY)
    world.expire()
    assert world.there == {"a"}
    world.expire(NOW + 1200 * DAY)
    assert world.there == set()


def _rewrite(folder: Path, saved: Any) -> None:
    """Another item.json with a manifest that fits it."""
    content = saved if isinstance(saved, bytes) else json.dumps(saved).encode()
    (folder / "item.json").write_bytes(content)
    sums = (folder / "SHA256SUMS").read_text("utf-8").splitlines()
    digest = hashlib.sha256(content).hexdigest()
    lines = [f"{digest}  item.json" if line.endswith("  item.json") else line for line in sums]
    (folder / "SHA256SUMS").write_text("\n".join(lines) + "\n", "utf-8")


def _saved(folder: Path, **changes: Any) -> None:
    _rewrite(folder, {**json.loads((folder / "item.json").read_bytes()), **changes})


def _to_a_link(folder: Path) -> None:
    elsewhere = folder.parent.parent.parent.parent.parent / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)


def _file_to_a_link(folder: Path) -> None:
    elsewhere = folder.parent.parent.parent.parent.parent / "elsewhere.mp3"
    (folder / "01-a0.mp3").rename(elsewhere)
    (folder / "01-a0.mp3").symlink_to(elsewhere)


def _add_line(folder: Path, name: str) -> None:
    with (folder / "SHA256SUMS").open("a") as file:
        file.write(f"{'0' * 64}  {name}\n")


HOSTILE: dict[str, Callable[[Path], object]] = {
    "a changed file": lambda folder: (folder / "01-a0.mp3").write_bytes(MP3 + b"another"),
    "a file beside": lambda folder: (folder / "notes.txt").write_text("mine"),
    "a folder in it": lambda folder: (folder / "more").mkdir(),
    "a missing file": lambda folder: (folder / "02-a1.mp3").unlink(),
    "a missing json": lambda folder: (folder / "item.json").unlink(),
    "a link in place of the folder": _to_a_link,
    "a link in place of a file": _file_to_a_link,
    "a manifest that climbs": lambda folder: _add_line(folder, "../../../../../outside"),
    "a manifest with an absolute path": lambda folder: _add_line(folder, "/etc/passwd"),
    "a manifest that names a file twice": lambda folder: _add_line(folder, "item.json"),
    "a manifest that names itself": lambda folder: _add_line(folder, "SHA256SUMS"),
    "a manifest of another shape": lambda folder: (folder / "SHA256SUMS").write_bytes(b"\xff\x00 what?"),
    "an empty manifest": lambda folder: (folder / "SHA256SUMS").write_bytes(b""),
    "no json": lambda folder: _rewrite(folder, b"<html>"),
    "another json": lambda folder: _rewrite(folder, []),
    "an empty json": lambda folder: _rewrite(folder, b""),
    "a json that is null": lambda folder: _rewrite(folder, b"null"),
    "another id": lambda folder: _saved(folder, id="z"),
    "another source": lambda folder: _saved(folder, what="things"),
    "another address": lambda folder: _saved(folder, address=["7"]),
    "another time": lambda folder: _saved(folder, ended_at="2020-01-01 00:00:00+00:00"),
    "a time that is none": lambda folder: _saved(folder, ended_at="soon"),
    "tags that are none": lambda folder: _saved(folder, tags=7),
}


@pytest.mark.parametrize("harm", HOSTILE)
def test_a_copy_that_is_not_exactly_as_it_was_written_stays_and_is_named(
    world: World, tmp_path: Path, harm: str
) -> None:
    (tmp_path / "outside").write_text("not ours")
    HOSTILE[harm](world.folder("a"))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and "/a-" in str(path)}
    plan = world.expire()
    assert world.there == {"a"}
    assert {path: path.read_bytes() for path in before} == before
    assert (tmp_path / "outside").exists()
    assert (plan.copies.removed, plan.copies.changed, plan.status) == (2, 1, "ok")
    (warning,) = [warning for warning in plan.warnings if "not as confcleanup wrote it" in warning]
    assert warning.startswith(f"the copy of files a in {world.archive}/hq/files/")


def test_an_archive_that_is_not_there_is_an_error_and_forgets_no_copy(world: World, tmp_path: Path) -> None:
    world.archive.rename(tmp_path / "unmounted")
    plan = world.expire()
    assert "the copies of the rule 'old' could not be looked at" in plan.copies.errors[0]
    assert plan.undone
    (tmp_path / "unmounted").rename(world.archive)
    assert world.expire().copies.removed == 3


def test_a_copy_that_cannot_be_removed_is_an_error_and_is_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Folder, name: str) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Folder, "remove", fail)
        plan = world.expire()
    assert (plan.copies.removed, len(plan.copies.errors), plan.undone, plan.status) == (0, 3, True, "partial")
    assert "Permission denied" in plan.copies.errors[0]
    assert world.expire().copies.removed == 3
    assert world.there == set()


class Killed(BaseException):
    """As if the program had been killed there."""


STEPS = ((Folder, "remove", 4), (Folder, "close", 1), (Journal, "begin_copy", 1), (Journal, "end_copy", 1))


@pytest.mark.parametrize(
    ("owner", "name", "call", "late"),
    [(owner, name, call, late) for owner, name, calls in STEPS for call in range(calls) for late in (False, True)],
)
def test_after_a_kill_at_any_step_the_next_run_finishes(
    world: World, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, call: int, late: bool
) -> None:
    real, calls = getattr(owner, name), iter(range(1000))

    def cut(self: Any, *args: Any) -> Any:
        kill = next(calls) == call
        if kill and not late:
            raise Killed
        done = real(self, *args)
        if kill:
            raise Killed
        return done

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, cut)
        world.expire()
    assert {"b", "c"} <= world.there
    plan = world.expire()
    assert (plan.copies.changed, plan.copies.errors, world.there) == (0, [], set())
    removed = [one["id"] for one in world.ledger.copies() if one["removed_at"]]
    assert sorted(removed) == ["a", "b", "c"]
    assert world.expire().copies.count == 0


def test_history_shows_expired_copies_and_restore_says_that_it_has_expired(world: World) -> None:
    world.expire()
    world.ledger.close()
    invoke = CliRunner().invoke
    shown = invoke(cli, ["history", "--state", str(world.state)]).stdout
    assert "copy expired" in shown
    assert f"it was in {world.archive}/hq/files/" in shown
    whole = json.loads(invoke(cli, ["history", "--state", str(world.state), "--format", "json"]).stdout)
    assert [one["id"] for one in whole["copies"]] == ["a", "b", "c"]
    assert whole["copies"][0]["removed_at"] == "2028-03-02T12:00:00Z"
    assert invoke(cli, ["history", "--state", str(world.state), "--verify"]).exit_code == 0
    config = world.state.parent / "c.toml"
    account = 'provider = "trueconf"\nurl = "https://x"\naccess_token = { env = "T" }'
    rule = f'what = "conferences"\nolder_than = "30 days"\narchive = "{world.archive}"'
    config.write_text(f"[accounts.hq]\n{account}\n[[accounts.hq.rules]]\n{rule}\n", "utf-8")
    config.chmod(0o600)
    done = invoke(cli, ["restore", "hq", "a", "-c", str(config), "--state", str(world.state)])
    assert done.exit_code == 1
    assert (
        "error: the archived copy of files a has expired: it was kept for as long as keep_archive says, and "
        in done.stderr
    )
    assert "removed on 2028-03-02" in done.stderr
    world.ledger = Ledger(world.state)


def test_history_is_not_shortened_behind_a_removal_that_has_no_end(world: World) -> None:
    (_, body, at, _), *_ = world.ledger.deleted_before("hq", "old", "9999")
    begun = Copy("old", item_of(body), datetime.fromisoformat(at), "x", "y", 1)
    Journal(world.ledger, "r", "hq", "fake", lambda: NOW + DAY).begin_copy(begun)
    world.ledger.prune(NOW + 400 * DAY, NOW + 401 * DAY)
    assert [one["removed_at"] for one in world.ledger.copies()] == [None]


def test_a_copy_of_another_configs_account_with_the_same_name_stays(world: World) -> None:
    world.url = "https://y"
    assert world.expire().copies.count == 0
    assert world.there == {"a", "b", "c"}
    world.url = "https://x"
    assert world.expire().copies.count == 3
    assert world.there == set()
