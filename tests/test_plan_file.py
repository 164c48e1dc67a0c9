"""A reviewed plan: what a person has looked at is the most that a run deletes."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from confcleanup import plan_file as reviewed
from confcleanup.cli import cli
from confcleanup.errors import ConfigError, Refused
from confcleanup.items import Item
from confcleanup.sandbox.server import Server
from confcleanup.sandbox.trueconf import TrueConf

DAY = timedelta(days=1)


class Setting:
    """A TrueConf server with two conferences that are due, a config for it, and the plan of them."""

    def __init__(self, folder: Path, url: str, emulator: TrueConf) -> None:
        self.folder, self.url, self.emulator = folder, url, emulator
        self.config, self.plan = folder / "config.toml", folder / "plan.json"
        self.write()

    def write(self, text: str = "", **extra: Any) -> None:
        self.config.write_text(text or self.emulator.account("hq", self.url, **extra), "utf-8")
        self.config.chmod(0o600)

    def __call__(self, *words: str) -> Result:
        options = ["-c", str(self.config), "--state", str(self.folder / "state")]
        return CliRunner().invoke(cli, [*options, *words])

    def save(self, *words: str) -> None:
        done = self("plan", "-o", str(self.plan), *words)
        assert done.exit_code == 0, done.stderr
        self.emulator.seen.clear()

    def run(self, *words: str) -> Result:
        return self("run", "--yes", "--plan", str(self.plan), *words)

    def edit(self, **fields: Any) -> None:
        """Changes the saved plan by hand."""
        self.plan.write_text(json.dumps({**json.loads(self.plan.read_text("utf-8")), **fields}), "utf-8")

    def make_again(self, made: str) -> None:
        """The plan as confcleanup would have written it at another time."""
        self.seal(json.loads(self.plan.read_text("utf-8")) | {"made": made})

    def seal(self, content: dict[str, Any]) -> None:
        """Writes a plan as another program would that knows how to seal it."""
        self.plan.write_text(json.dumps(sealed(content)), "utf-8")


def sealed(content: dict[str, Any]) -> dict[str, Any]:
    """A plan's content with its seal."""
    content = {name: value for name, value in content.items() if name != "seal"}
    return {**content, "seal": reviewed._seal(content)}


@pytest.fixture
def hq(tmp_path: Path) -> Iterator[Setting]:
    emulator = TrueConf()
    emulator.add_conference("a", ended=41 * DAY)
    emulator.add_conference("b", ended=50 * DAY)
    emulator.add_conference("young", ended=DAY)
    with Server(emulator) as server:
        yield Setting(tmp_path, server.url, emulator)


def outcomes(done: Result) -> dict[str, tuple[str, str | None]]:
    """Of everything selected: what came of it, and the error."""
    (account,) = json.loads(done.stdout)["accounts"]
    selected = [item for item in account["items"] if item["decision"] == "delete"]
    assert (
        account["selected"]
        == len(selected)
        == sum(account[name] for name in ("deleted", "gone", "changed", "failed", "unknown", "deferred"))
    )
    return {item["id"]: (item["outcome"], item["error"]) for item in selected}


def reasons(done: Result) -> dict[str, str]:
    return {item["id"]: item["reason"] for item in json.loads(done.stdout)["accounts"][0]["items"]}


def test_what_was_planned_is_deleted(hq: Setting) -> None:
    hq.save()
    done = hq.run("--format", "json")
    assert done.exit_code == 0, done.stderr
    assert outcomes(done) == {"a": ("deleted", None), "b": ("deleted", None)}
    assert set(hq.emulator.conferences) == {"young"}


@pytest.mark.skipif(os.name != "posix", reason="only POSIX files have modes")
def test_a_saved_plan_is_for_its_owner_alone(hq: Setting) -> None:
    hq.save()
    assert stat.S_IMODE(hq.plan.stat().st_mode) == 0o600


def test_saving_a_plan_deletes_nothing(hq: Setting) -> None:
    hq("plan", "-o", str(hq.plan))
    assert hq.emulator.requests("DELETE") == []


def test_what_became_due_since_stays(hq: Setting) -> None:
    hq.save()
    hq.emulator.add_conference("new", ended=60 * DAY)
    done = hq.run("--format", "json")
    assert reasons(done)["new"] == "it is not in the reviewed plan"
    assert set(hq.emulator.conferences) == {"new", "young"}


def test_what_changed_since_stays_and_is_told(hq: Setting) -> None:
    hq.save()
    hq.emulator.conferences["a"]["topic"] = "Another topic"
    done = hq.run("--format", "json")
    assert done.exit_code == 0
    assert outcomes(done) == {
        "a": ("changed", "it has changed since the plan was made"),
        "b": ("deleted", None),
    }
    assert "a" in hq.emulator.conferences


def test_what_is_kept_by_now_stays_and_is_told(hq: Setting) -> None:
    hq.save()
    hq.emulator.conferences["a"]["tags"] = ["keep"]
    outcome, error = outcomes(hq.run("--format", "json"))["a"]
    assert outcome == "changed"
    assert error == "no rule selects it now: has the keep tag 'keep'"
    assert "a" in hq.emulator.conferences


def test_what_is_not_listed_any_more_is_told_and_not_asked_for(hq: Setting) -> None:
    hq.save()
    del hq.emulator.conferences["a"]
    done = hq.run("--format", "json")
    assert outcomes(done) == {"a": ("changed", "it is no longer listed"), "b": ("deleted", None)}
    assert "stuck" not in done.stderr, "what is away needs nobody"
    assert [request.segments[-1] for request in hq.emulator.requests("DELETE")] == ["b"]


def test_a_dry_run_with_a_plan_shows_what_would_still_go(hq: Setting) -> None:
    hq.save()
    hq.emulator.conferences["a"]["topic"] = "Another topic"
    done = hq("run", "--dry-run", "--plan", str(hq.plan), "--format", "json")
    items = json.loads(done.stdout)["accounts"][0]["items"]
    assert {item["id"]: item["outcome"] for item in items if item["decision"] == "delete"} == {
        "a": "changed",
        "b": None,
    }
    assert len(hq.emulator.conferences) == 3


def test_guards_judge_what_is_left_of_a_plan(hq: Setting) -> None:
    hq.save()
    hq.write(max_deletions=1)
    assert hq.run().exit_code == 3
    hq.emulator.conferences["a"]["topic"] = "Another topic"
    assert hq.run().exit_code == 0


def test_the_age_of_the_plan_is_that_of_the_run(hq: Setting) -> None:
    hq.save("--older-than", "45 days")
    assert list(outcomes(hq.run("--format", "json"))) == ["b"]
    hq.emulator.add_conference("b", ended=44 * DAY)
    assert hq.run().exit_code == 0
    assert set(hq.emulator.conferences) == {"a", "b", "young"}


def test_the_date_of_the_plan_is_that_of_the_run(hq: Setting) -> None:
    before = (hq.emulator.clock() - 45 * DAY).isoformat()
    hq.save("--before", before)
    assert hq.run().exit_code == 0
    assert set(hq.emulator.conferences) == {"a", "young"}


def refused(hq: Setting, status: int, *told: str) -> None:
    done = hq.run()
    assert done.exit_code == status, done.stderr
    for words in told:
        assert words in done.stderr
    assert hq.emulator.seen == []


def test_an_edited_plan_is_refused(hq: Setting) -> None:
    hq.save()
    hq.edit(older_than="1 day")
    refused(hq, 3, "was changed after confcleanup wrote it", "make a new plan")


def test_a_plan_with_an_item_added_is_refused(hq: Setting) -> None:
    hq.save()
    accounts = json.loads(hq.plan.read_text("utf-8"))["accounts"]
    accounts["hq"]["items"].append(accounts["hq"]["items"][0] | {"id": "young"})
    hq.edit(accounts=accounts)
    refused(hq, 3, "was changed after confcleanup wrote it")


def test_a_plan_without_its_seal_is_refused(hq: Setting) -> None:
    hq.save()
    hq.edit(seal=None)
    refused(hq, 3, "was changed after confcleanup wrote it")


def test_a_stale_plan_is_refused_and_its_age_can_be_allowed(hq: Setting) -> None:
    hq.save()
    hq.make_again((hq.emulator.clock() - 8 * DAY).isoformat(timespec="seconds"))
    refused(hq, 3, "8 days old, at most 7 days are allowed")
    assert hq.run("--plan-max-age", "10 days").exit_code == 0


def test_a_plan_from_the_future_is_refused(hq: Setting) -> None:
    hq.save()
    hq.make_again((hq.emulator.clock() + DAY).isoformat(timespec="seconds"))
    refused(hq, 3, "in the future by this machine's clock")


def test_a_plan_made_with_another_config_is_refused(hq: Setting) -> None:
    hq.save()
    hq.write(hq.config.read_text("utf-8").replace("30 days", "20 days"))
    refused(hq, 3, "made with other settings of hq", "make a new plan")


def test_a_plan_of_another_server_is_refused(hq: Setting) -> None:
    hq.save()
    hq.write(hq.emulator.account("hq", "http://127.0.0.1:9"))
    refused(hq, 3, "made with other settings of hq")


def test_a_plan_that_does_not_speak_of_an_account_is_refused(hq: Setting) -> None:
    hq.save()
    hq.write(hq.config.read_text("utf-8") + hq.emulator.account("branch", hq.url))
    refused(hq, 3, "does not include the account branch")
    assert hq.run("--account", "hq").exit_code == 0


def test_brakes_and_secrets_are_no_part_of_what_a_plan_is_bound_to(
    hq: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    hq.save()
    monkeypatch.setenv("THE_SECRET", hq.emulator.client_secret)
    text = hq.config.read_text("utf-8").replace(f'"{hq.emulator.client_secret}"', '{ env = "THE_SECRET" }')
    hq.write(text.replace("[[", "max_deletions = 5\n[[", 1))
    assert hq.run().exit_code == 0


def test_a_plan_with_a_rule_chosen_speaks_only_of_what_that_rule_lists(hq: Setting) -> None:
    hq.save()
    done = hq.run("--rule", "tagged rooms", "--format", "json")
    assert {outcome for outcome, _ in outcomes(done).values()} == {"changed"}
    assert len(hq.emulator.conferences) == 3


@pytest.mark.parametrize(
    "content",
    [None, b"", b"not json", b"[]", b"{}", b"\xff\xfe", b'{"confcleanup_plan": 2}', b"[" * 100_000],
    ids=["missing", "empty", "text", "list", "object", "not utf-8", "newer", "deep"],
)
def test_what_is_no_plan_is_wrong_usage(hq: Setting, content: bytes | None) -> None:
    if content is not None:
        hq.plan.write_bytes(content)
    refused(hq, 2, "--plan", str(hq.plan))


def test_a_nonsensical_age_of_the_plan_is_wrong_usage(hq: Setting) -> None:
    hq.save()
    assert hq.run("--plan-max-age", "soon").exit_code == 2
    assert hq.emulator.seen == []


# Values of the wrong type, in a plan that is sealed as it should be ---------------------------------

ENTRY: dict[str, Any] = {
    "what": "conferences",
    "id": "a",
    "address": ["u1"],
    "kind": "one-time",
    "began": None,
    "title": "Budget",
    "reason": "ended 41 days ago",
    "digest": "0" * 64,
}
PLAN: dict[str, Any] = {
    "confcleanup_plan": 1,
    "made": "2026-03-01T12:00:00Z",
    "older_than": "30 days",
    "before": None,
    "accounts": {"hq": {"config": "f", "items": [ENTRY]}},
}
MADE = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLACES: list[tuple[str | int, ...]] = [
    *((name,) for name in PLAN),
    *(("accounts", "hq", name) for name in ("config", "items")),
    *(("accounts", "hq", "items", 0, name) for name in ENTRY),
    *(("seal",), ("accounts", "hq"), ("accounts", "hq", "items", 0), ("accounts", "hq", "items", 0, "address", 0)),
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


def with_value(place: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """The plan with another value in one place."""
    made: dict[str, Any] = json.loads(json.dumps(PLAN))
    inner: Any = made
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    return made


def loaded(folder: Path, text: str) -> reviewed.SavedPlan:
    file = folder / "plan.json"
    file.write_text(text, "utf-8", "surrogatepass")
    return reviewed.load(file, MADE, {"hq": "f"})


def test_a_plan_that_another_program_sealed_is_read(tmp_path: Path) -> None:
    found = loaded(tmp_path, json.dumps(sealed(PLAN)))
    (item,) = found.items["hq"].values()
    assert (item.key, item.title) == (("conferences", "u1", "a"), "Budget")
    assert found.accounts == {"hq": {item.key: "0" * 64}}


@given(st.sampled_from(PLACES), json_values)
def test_whatever_stands_anywhere_in_a_sealed_plan_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, place: tuple[str | int, ...], value: Any
) -> None:
    content = with_value(place, value)
    text = json.dumps(content if place == ("seal",) else sealed(content))
    try:
        found = loaded(tmp_path_factory.getbasetemp(), text)
    except (ConfigError, Refused):
        return
    assert all(isinstance(item, Item) for items in found.items.values() for item in items.values())


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_whatever_is_in_the_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.json"
    file.write_bytes(content)
    with pytest.raises((ConfigError, Refused)):
        reviewed.load(file, MADE, {"hq": "f"})


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (("confcleanup_plan",), True, "Expected `int`, got `bool` - at `$.confcleanup_plan`"),
        (("confcleanup_plan",), 1.0, "Expected `int`, got `float` - at `$.confcleanup_plan`"),
        (("made",), 1740830400, "at `$.made`"),
        (("made",), "yesterday", "at `$.made`"),
        (("made",), "2026-03-01T12:00:00", "with a timezone component - at `$.made`"),
        (("older_than",), 30, "at `$.older_than`"),
        (("accounts",), [], "at `$.accounts`"),
        (("accounts", "hq", "items"), "a", "items`"),
        (("accounts", "hq", "items", 0, "kind"), "odd", "Invalid enum value 'odd'"),
        (("accounts", "hq", "items", 0, "digest"), None, "digest`"),
        (("accounts", "hq", "items", 0, "address"), {}, "address`"),
        (("accounts", "hq", "items", 0, "also"), "x", "unknown field `also`"),
        (("older_than",), "soon", "--older-than"),
        (("before",), "soon", "--older-than and --before"),
    ],
)
def test_a_value_of_the_wrong_type_is_wrong_usage_and_says_where(
    hq: Setting, place: tuple[str | int, ...], value: Any, told: str
) -> None:
    hq.save("--older-than", "30 days")
    content = with_value(place, value)
    if "hq" not in place and "accounts" not in place:
        content = json.loads(hq.plan.read_text("utf-8")) | {place[0]: value}
    hq.seal(content)
    refused(hq, 2, told)


@pytest.mark.parametrize("again", ['"made": "2026-03-01T12:00:00Z", ', '"older_than": null, '])
def test_a_plan_in_which_a_key_stands_twice_is_wrong_usage(hq: Setting, again: str) -> None:
    hq.save()
    hq.plan.write_text(hq.plan.read_text("utf-8").replace("{", "{" + again, 1), "utf-8")
    refused(hq, 2, "a key occurs twice")
