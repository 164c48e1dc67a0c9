"""Providers from other packages: found by their entry point, checked, and never in the way of the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from confcleanup import providers
from confcleanup.cli import cli
from confcleanup.cli import wizard as asking
from confcleanup.config import load as config
from confcleanup.config import schema
from confcleanup.errors import BrokenProvider, ConfigError

Package = Callable[..., None]
WHOLE = """
from confcleanup.providers.base import Provider, Source
from confcleanup.settings.tables import AccountSettings, RuleSettings

class Rule(RuleSettings, frozen=True, kw_only=True):
    pass

class Good(Provider):
    name = "other"
    title = "Other"
    settings_type = AccountSettings
    sources = {"calls": Source("calls", Rule)}
    def list_items(self, what, rules): yield from ()
    def get(self, item): return None
    def delete(self, items, permit): return []

"""
BROKEN = {
    "raise OSError('no libfoo')": "could not be loaded (OSError: no libfoo)",
    "import not_there_at_all": "could not be loaded (ModuleNotFoundError: No module named 'not_there_at_all')",
    "def f(:": "could not be loaded (SyntaxError",
    "pass": "could not be loaded (AttributeError",
    "Given = 3": "is not a class derived from confcleanup.providers.base.Provider",
    "class Given: pass": "is not a class derived from confcleanup.providers.base.Provider",
    "from confcleanup.providers.base import Provider as Given": "lacks the methods delete, get, list_items",
    "class Given(Good): title = ''": "does not say its title",
    "class Given(Good): sources = {}": "does not say its sources",
    "class Given(Good): name = 'another'": "calls itself 'another'",
    "class Given(Good): settings_type = dict": "settings_type that is not derived from AccountSettings",
    "class Given(Good): sources = {'calls': 'calls'}": "sources that are not Source objects",
    "class Given(Good): sources = ['calls']": "is not what confcleanup.providers.base asks for",
    "class Given(Good): settings_type = AccountSettings.__init__": "is not what confcleanup.providers.base asks for",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """Installs a package that adds a provider; its module has a name that no other test has imported."""
    made = iter(range(100))

    def install(name: str, code: str, provider: str = "other", given: str = "Given") -> None:
        site = tmp_path / name
        info = site / f"{name}-1.2.dist-info"
        info.mkdir(parents=True)
        module = f"{name}_{tmp_path.name}_{next(made)}".replace("-", "_")
        (site / f"{module}.py").write_text(code, encoding="utf-8")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n", encoding="utf-8")
        text = f"[confcleanup.providers]\n{provider} = {module}:{given}\n"
        (info / "entry_points.txt").write_text(text, encoding="utf-8")
        monkeypatch.syspath_prepend(site)

    return install


def test_a_provider_of_another_package_is_found_by_its_entry_point(package: Package) -> None:
    package("good", WHOLE, given="Good")
    assert providers.names() == [*providers.BUILT_IN, "other"]
    assert providers.provider("other").title == "Other"


@pytest.mark.parametrize("code", BROKEN)
def test_a_broken_one_is_an_error_that_names_its_package_and_what_is_wrong(package: Package, code: str) -> None:
    package("broken", WHOLE + code)
    with pytest.raises(BrokenProvider) as caught:
        providers.provider("other")
    assert str(caught.value).startswith("the provider 'other' of the package broken 1.2 ")
    assert BROKEN[code] in str(caught.value)
    assert str(caught.value).endswith("update or uninstall that package")


OLD = {
    "from confcleanup.selection import Rule": "confcleanup.selection is now confcleanup.filter",
    "import confcleanup.paging": "confcleanup.paging is now confcleanup.http.paging",
    "from confcleanup.addresses import path": "confcleanup.addresses is now confcleanup.http.urls",
    "from confcleanup.pace import Stop": "confcleanup.pace is now confcleanup.deadline, with Deadline for Stop",
    "from confcleanup.http import Http, Permit": "Http is now in confcleanup.http.client",
    "from confcleanup.settings import Secret": "Secret is now in confcleanup.settings.secrets",
    "from confcleanup.settings import AccountSettings": "AccountSettings is now in confcleanup.settings.tables",
    "from confcleanup.settings import Pace": "Pace is now in confcleanup.settings.values",
    "from confcleanup.errors import AccessRefused": "AccessRefused is now AccessDenied",
    "from confcleanup.items import State\nOVER = State.OVER": "State.OVER is now State.ENDED",
    "class Given(Provider):\n    def items(self, what, rules): yield from ()": "items is now list_items",
    "class Given(Good):\n    get = Provider.get\n    def look(self, item): return None": "look is now get",
    "class Given(Good):\n    def look_at(self, items): return {}": "look_at is now get_many",
    "class Given(Good):\n    sources = {'calls': Source('calls', Rule, media=True)}\n    def fetch(self, item): pass": (
        "fetch is now media"
    ),
    "Given = Good\nclass SignIn:\n    def sign_in(self, http): return {}\n    def expired(self, error): return False": (
        "Auth.expired is now token_expired"
    ),
}
"""What a provider for an older version says, and what its author is told of it."""


@pytest.mark.parametrize("code", OLD)
def test_one_for_an_older_version_is_an_error_that_gives_the_new_names(package: Package, code: str) -> None:
    named = "\n    name = 'other'\n    title = 'x'\n    settings_type = AccountSettings\n    sources = {}\n"
    package("old", WHOLE + code + (named if "(Provider)" in code else ""))
    with pytest.raises(BrokenProvider) as caught:
        providers.provider("other")
    assert str(caught.value).startswith(
        "the provider 'other' of the package old 1.2 was written for an older confcleanup: "
    )
    assert OLD[code] in str(caught.value)
    assert "items is now list_items, look is now get" in str(caught.value)
    assert str(caught.value).endswith("; see docs/adding-a-provider.md; update or uninstall that package")


@pytest.mark.parametrize(
    "code",
    [
        "from confcleanup.http import not_yet_invented",
        "from confcleanup.items import not_yet_invented",
        "import confcleanup.not_yet_invented",
        "import selection",
        "from json import Http",
        "from confcleanup.items import State\nOVER = State.NOT_YET_INVENTED",
        "from confcleanup.items import Kind\nOVER = Kind.OVER",
    ],
)
def test_what_was_never_ours_to_import_is_not_taken_for_old(package: Package, code: str) -> None:
    package("new", WHOLE + code)
    with pytest.raises(BrokenProvider, match="could not be loaded"):
        providers.provider("other")


def test_a_provider_may_have_helpers_that_are_called_as_methods_once_were(package: Package) -> None:
    helpers = "".join(f"    def {name}(self): pass\n" for name in ("items", "look", "fetch"))
    package("good", WHOLE + "class Given(Good):\n" + helpers)
    assert providers.provider("other").title == "Other"


def test_two_packages_that_add_the_same_name_are_an_error_that_names_both(package: Package) -> None:
    package("one", WHOLE, given="Good")
    package("two", WHOLE, given="Good")
    with pytest.raises(BrokenProvider, match=r"is added by one 1\.2 and two 1\.2; uninstall all but one"):
        providers.provider("other")


def test_a_package_cannot_take_the_name_of_a_built_in_provider(package: Package) -> None:
    package("taker", "raise OSError", provider="vonage")
    assert providers.provider("vonage").__module__ == "confcleanup.providers.vonage"
    assert providers.names() == list(providers.BUILT_IN)


def test_an_account_of_a_broken_provider_is_a_mistake_in_the_config(package: Package, tmp_path: Path) -> None:
    package("broken", "raise OSError")
    file = tmp_path / "config.toml"
    file.write_text('[accounts.x]\nprovider = "other"\n', encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        config.load(file)
    assert [problem.key for problem in caught.value.problems] == ["accounts.x.provider"]
    assert "broken 1.2" in str(caught.value)


def test_a_broken_provider_does_not_stand_in_the_way_of_the_others(package: Package) -> None:
    package("broken", "raise OSError")
    done = CliRunner().invoke(cli, ["providers", "--format", "json"])
    assert done.exit_code == 0
    assert [entry["provider"] for entry in json.loads(done.stdout)["providers"]] == list(providers.BUILT_IN)
    assert "warning: the provider 'other' of the package broken 1.2 could not be loaded" in done.stderr
    assert len(schema.schema()["properties"]["accounts"]["additionalProperties"]["oneOf"]) == len(providers.BUILT_IN)


def test_init_offers_the_others_beside_a_broken_provider(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    package("broken", "raise OSError")
    offered: list[str] = []

    def choose(question: str, options: dict[str, str]) -> str:
        offered.extend(options)
        raise click.Abort

    monkeypatch.setattr(asking, "choose", choose)
    with pytest.raises(click.Abort):
        asking.ask((), Path())
    assert offered == list(providers.BUILT_IN)
