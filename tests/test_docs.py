"""The documentation is true: its recipes select what they say, its commands exist and run, its tables name all."""

from __future__ import annotations

import re
import runpy
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest

from confcleanup.cli import COMMANDS, cli
from confcleanup.cli.history import COLUMNS
from confcleanup.config import load as config
from confcleanup.config.schema import schema
from confcleanup.errors import ExitCode
from confcleanup.reports import data as report
from confcleanup.run import Ports, Run, resolve, run
from confcleanup.sandbox.sandbox import Sandbox

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("providers/*.md"))]
NOW = datetime(2026, 9, 15, 3, 30, tzinfo=UTC)
ACCOUNTS = {"hq": "trueconf-v3", "voice": "vobiz", "meetings": "huawei", "calls": "vonage"}
"""The cookbook's accounts, and the emulated ones that stand for them."""

HUAWEI = {f"fd0e72{number:02x}e9ff11f0a1b2c3d4e5f60718" for number in range(1, 60)}
SELECTS: dict[str, tuple[set[str], set[str]]] = {
    "Everything that ended a month ago, unless somebody tagged it": (
        {"0073310045", "0048411002", "old_version"},
        {"0000000009", "0000000010", "0000000013", "0000000014", "room_7", "room_tagged"},
    ),
    "Only what somebody marked for deletion": ({"a b&c=d"}, {"0073310045", "a b"}),
    "One kind of meeting, of one person": ({"0073310045"}, {"0048411002", "old_version"}),
    "Different ages for different meetings": ({"0073310045", "0048411002"}, {"old_version", "conf-42"}),
    "Abandoned project rooms": ({"room_tagged"}, {"room_new", "room_kept", "room_7", "0000000009"}),
    "The newest three of each person stay": (
        {"0073310045", "0048411003", "digits"},
        {"0048411002", "hostile", "nameless", "0000000012", "0000000008"},
    ),
    "Keep a copy first": ({"0048411002", "old_version"}, {"0073310045"}),
    "Copies that expire": ({"0048411002", "old_version"}, {"0073310045"}),
    "Rooms past their hour": ({"board 10:00"}, {"Team Meeting", "still booked"}),
    "Rooms left open": ({"Größe ✓ 会議"}, {"Team Meeting", "forgotten"}),
    "A forgotten participant": ({"forgotten"}, {"last one out", "newcomer", "quiet pair"}),
    "Old call recordings": ({"0007", "7"}, {"rec_A-b_01"}),
    "Recordings of a quarter": (set(), set()),
    "Only look": (set(), HUAWEI),
    "A year for the company's, two months for users'": ({"204411", "305026"}, {"204401", "305001"}),
    "Keep the calls of one extension": ({"204430"}, {"204411", "204401", "204409"}),
    "Legal holds": ({"old_version"}, {"0073310045", "0048411002", "0000000009"}),
    "Tight limits for the first weeks": ({"old_version"}, set()),
    "A training server that is emptied every night": ({"0073310045", "a b"}, {"0000000012", "0000000013", "room_7"}),
    "Tell people a week before": (set(), {"0073310045", "0048411002", "old_version"}),
    "Write to each owner first": (set(), {"0073310045", "0048411002", "old_version"}),
    "Months as the calendar has them": ({"0048411002", "0007", "7"}, {"0073310045", "rec_A-b_01"}),
}
"""What each recipe must select of the emulated backlog, and some of what it must not."""

RECIPES = dict(re.findall(r"(?ms)^### ([^\n]+)$.*?^```toml\n(.*?)^```", (DOCS / "cookbook.md").read_text("utf-8")))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(lambda: NOW) as sandbox:
        yield sandbox


def planned(sandbox: Sandbox, recipe: str, folder: Path) -> Run:
    """A plan with a recipe's rules, for the emulated accounts that it names."""
    file = folder / "config.toml"
    file.write_text(with_accounts(sandbox, recipe), encoding="utf-8")
    file.chmod(0o600)
    loaded = config.load(file)
    options = resolve(loaded, list(loaded.accounts.values()), NOW)
    return run(options, Ports(clock=lambda: NOW, confirm=None, ledger=None))


def with_accounts(sandbox: Sandbox, recipe: str) -> str:
    """The recipe with the address and the credentials of each account that it has rules for."""
    for name, served in ACCOUNTS.items():
        settings = sandbox.served[served].config.split("\n\n[[")[0].partition("\n")[2]
        head, rules = f"[accounts.{name}]\n", f"[[accounts.{name}.rules]]\n"
        if re.search(f"(?m)^{re.escape(head)}", recipe):
            recipe = recipe.replace(head, f"{head}{settings}\n", 1)
        else:
            recipe = recipe.replace(rules, f"{head}{settings}\n\n{rules}", 1)
    return recipe


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_selects_what_it_says(sandbox: Sandbox, tmp_path: Path, title: str) -> None:
    goes, stays = SELECTS[title]
    run = planned(sandbox, RECIPES[title], tmp_path)
    selected = {entry.item.id for plan in run.plans for entry in plan.selected}
    assert [plan.error for plan in run.plans if plan.error] == []
    assert all(plan.listed for plan in run.plans)
    assert goes <= selected
    assert not stays & selected
    assert run.exit_code == (ExitCode.REFUSED if "Tight limits" in title else ExitCode.DONE)


def test_the_recipe_for_a_quarter_keeps_what_is_younger(sandbox: Sandbox, tmp_path: Path) -> None:
    run = planned(sandbox, RECIPES["Recordings of a quarter"], tmp_path)
    assert [entry.item.title for entry in run.plans[0].selected] == ["The history has forgotten it"] * 3


def test_no_expectation_is_left_over_from_a_recipe_that_is_gone() -> None:
    assert SELECTS.keys() == RECIPES.keys()


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """The fenced blocks of a page: language and text."""
    for found in re.finditer(r"(?ms)^ *```(\w*)\n(.*?)^ *```", page.read_text(encoding="utf-8")):
        yield found[1], found[2]


def commands(text: str) -> Iterator[list[str]]:
    """The program's command lines in a block, also those of a crontab."""
    for line in text.splitlines():
        found = re.match(r"\s*(?:(?:[\d*/,-]+\s+){5})?(?:\S*/)?confcleanup (.*)", line)
        if found:
            yield shlex.split(found[1], comments=True)


SHOWN = {
    f"{page.name}: {shlex.join(words)}": words
    for page in PAGES
    for language, text in blocks(page)
    if language not in ("toml", "json")
    for words in commands(text)
}


def test_the_documentation_shows_commands() -> None:
    assert len(SHOWN) > 15


@pytest.mark.parametrize("line", SHOWN)
def test_every_command_shown_exists_with_its_options(line: str) -> None:
    words = list(SHOWN[line])
    context = cli.make_context("confcleanup", list(words))
    name = next((word for word in words if word in COMMANDS), "")
    command = cli.get_command(context, name)
    assert command, "there is no such command"
    command.make_context(name, words[words.index(name) + 1 :], parent=context)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    text = re.sub(r"(?ms)^ *```.*?^ *```|`[^`\n]*`", "", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)#]*)(?:#[^)]*)?\)", text):
        assert not target or "://" in target or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", [ROOT / "README.md", DOCS / "output.md"], ids=lambda page: page.name)
def test_every_exit_status_is_explained(page: Path) -> None:
    rows = " ".join(re.findall(r"(?m)^\| ([\d, ]+) \|", page.read_text(encoding="utf-8")))
    assert {int(status) for status in re.findall(r"\d+", rows)} == {int(status) for status in ExitCode}


def test_every_field_of_the_output_is_shown(sandbox: Sandbox, tmp_path: Path) -> None:
    text = (DOCS / "output.md").read_text(encoding="utf-8")
    plan = planned(sandbox, RECIPES["Old call recordings"], tmp_path).plans[0]
    for name in (*report.ITEM, *report.account(plan), *COLUMNS):
        assert f'"{name}"' in text or f"`{name}`" in text, name


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The generated pages of the site."""
    folder = tmp_path_factory.mktemp("site") / "_generated"
    runpy.run_path(str(DOCS / "reference.py"))["write"](folder)
    return {page.name: page.read_text(encoding="utf-8") for page in folder.iterdir()}


def options(command: click.Command) -> Iterator[str]:
    for parameter in command.params:
        yield from (option for option in parameter.opts if isinstance(parameter, click.Option))
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            yield from options(command.get_command(click.Context(command), name) or click.Command(""))


def test_every_command_and_option_is_in_the_reference(reference: dict[str, str]) -> None:
    text = reference["cli.md"]
    assert all(f"## `confcleanup {name}`" in text for name in COMMANDS)
    assert {option for option in options(cli) if not re.search(rf"(?m)(^|\s){option}\b", text)} == set()


def keys(table: object) -> Iterator[str]:
    """The name of every key that a schema describes; a secret's places are part of its type."""
    if isinstance(table, dict):
        yield from table.get("properties", {})
        for name, inner in table.items():
            yield from keys(inner) if name != "anyOf" else ()
    if isinstance(table, list):
        for inner in table:
            yield from keys(inner)


def test_every_key_of_the_config_is_in_the_reference(reference: dict[str, str]) -> None:
    rows_and_headings = re.findall(r"(?m)^(?:\| |#+ )`([^`]*)`", reference["config.md"])
    shown = {name for text in rows_and_headings for name in re.findall(r"\w+", text)}
    assert len(shown) > 60
    assert set(keys(schema())) - shown - {"limits"} == set()
