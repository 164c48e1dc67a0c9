"""Relative paths in a config begin at the config's folder, whatever the working folder is."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from confcleanup import providers
from confcleanup.cli import cli
from confcleanup.config.load import TABLES, General, load
from confcleanup.config.schema import meaning
from confcleanup.errors import ConfigError, Problem
from confcleanup.sandbox.server import Server
from confcleanup.sandbox.trueconf import TrueConf
from confcleanup.settings.secrets import Secret
from confcleanup.settings.tables import _convert, reader_of, struct_of
from confcleanup.settings.values import ArchivePlace, FilePath, located
from tests.config.test_load import WHOLE
from tests.fake import one_rule

NO_PATH = {"media_hosts"}
"""Keys whose meaning speaks of a file or a folder although their value is no path."""


def tables() -> Iterator[type[msgspec.Struct]]:
    """Every table that a config can have, of every provider too."""
    waiting: list[type[msgspec.Struct]] = [General, *TABLES.values()]
    for name in providers.names():
        kind = providers.provider(name)
        waiting += [kind.settings_type, *(source.rule for source in kind.sources.values())]
    for table in waiting:
        yield table
        waiting += [inner for field in msgspec.structs.fields(table) if (inner := struct_of(field.type))]


KEYS = {
    f"{table.__name__}.{field.encode_name}": (table, field)
    for table in tables()
    for field in msgspec.structs.fields(table)
}
PATHS = [name for name, (_, field) in KEYS.items() if issubclass(reader_of(field.type) or object, FilePath)]
SECRETS = [name for name, (_, field) in KEYS.items() if issubclass(reader_of(field.type) or object, Secret)]


def read(name: str, written: Any, folder: Path) -> Any:
    """What becomes of a key's value in a config of that folder."""
    problems: list[Problem] = []
    found = _convert(KEYS[name][1].type, written, name, problems, folder)
    assert problems == []
    return found


@pytest.mark.parametrize("name", PATHS)
def test_a_path_begins_at_the_configs_folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    assert read(name, "in/file", tmp_path) == str(tmp_path / "in/file")
    assert read(name, str(tmp_path / "whole"), tmp_path / "other") == str(tmp_path / "whole")
    assert read(name, "~/file", tmp_path) == str(tmp_path / "home" / "file")


@pytest.mark.parametrize("name", SECRETS)
def test_so_does_the_file_or_the_program_of_a_secret(name: str, tmp_path: Path) -> None:
    assert read(name, {"file": "secret"}, tmp_path).where == str(tmp_path / "secret")
    assert read(name, {"command": ["./print-it", "x/y"]}, tmp_path).where == str(tmp_path / "print-it")
    assert read(name, {"command": ["pass", "show", "x/y"]}, tmp_path).where == "pass", "it is looked for in PATH"
    assert read(name, {"env": "A/B"}, tmp_path).where == "A/B"


def test_so_do_those_in_a_list(tmp_path: Path) -> None:
    (secret,) = read("NotifySettings.apprise", [{"file": "secret"}], tmp_path)
    assert secret.where == str(tmp_path / "secret")


@pytest.mark.parametrize("name", sorted(KEYS))
def test_a_key_whose_meaning_speaks_of_a_file_or_a_folder_is_read_as_a_path(name: str) -> None:
    table, field = KEYS[name]
    speaks = re.search(r"\b(file|folder|directory|path|CSV)\b", meaning(table, field.encode_name), re.IGNORECASE)
    named = re.search(r"file|folder|directory|path|addresses$", field.encode_name)
    if field.type is bool or field.encode_name in NO_PATH or not (named or speaks):
        assert name not in PATHS
    elif reader_of(field.type) is None or name in PATHS:
        assert name in PATHS, "read it as FilePath, so that it begins at the config's folder"


@pytest.mark.parametrize("written", ["", " ", "C:\temp", "a\nb"])
def test_what_is_no_path_is_refused_with_how_to_write_one(written: str) -> None:
    with pytest.raises(ValueError, match="is not a path; write a Windows path in single quotes"):
        FilePath.parse(written)


def test_an_archive_may_have_an_address_which_stays_as_it_is(tmp_path: Path) -> None:
    assert ArchivePlace.read("s3://bucket/prefix", tmp_path) == "s3://bucket/prefix"


def test_a_home_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no such home folder"):
        located("~nobody-of-this-name/x", tmp_path)


def test_what_is_missing_is_told_with_the_path_that_was_looked_for(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(WHOLE.replace('{ env = "TRUECONF_SECRET" }', '{ file = "in/secret" }\nca_file = "ca.crt"'), "utf-8")
    file.chmod(0o600)
    with pytest.raises(ConfigError) as caught:
        load(file).accounts["hq"].require_ready()
    told = {problem.key: problem.message for problem in caught.value.problems}
    assert str(tmp_path / "ca.crt") in told["accounts.hq.ca_file"]
    assert str(tmp_path / "in" / "secret") in told["accounts.hq.client_secret"]


@pytest.fixture
def conf(tmp_path: Path) -> Iterator[Path]:
    """A folder with a config whose paths are all relative, and the server it is for."""
    folder = tmp_path / "conf"
    folder.mkdir()
    server = TrueConf()
    server.add_conference("0073310045", ended=timedelta(days=41))
    server.add_conference("0073310046", ended=timedelta(days=41))
    with Server(server) as served:
        account = one_rule(server.account("hq", served.url)).replace("[[accounts.hq.rules]]", "", 1)
        account = re.sub(r"client_secret = .*", 'client_secret = { command = ["./print-it"] }', account)
        rules = '[[accounts.hq.rules]]\narchive = "copies"\n' + account.partition("\n\n")[2]
        head = '[state]\ndirectory = "state"\n[holds]\nfile = "holds.csv"\n[notify]\nprometheus = "run.prom"\n'
        (folder / "config.toml").write_text(head + account.partition("\n\n")[0] + "\n" + rules, "utf-8")
        (folder / "config.toml").chmod(0o600)
        (folder / "holds.csv").write_text("id,reason\n0073310046,audit\n", "utf-8")
        (folder / "print-it").write_text(f"#!/bin/sh\necho {server.client_secret}\n", "utf-8")
        (folder / "print-it").chmod(0o700)
        yield folder


def run(config: str, *words: str) -> Result:
    return CliRunner().invoke(cli, ["-c", config, *words])


@pytest.mark.skipif(os.name != "posix", reason="the program that prints the secret is a shell's")
@pytest.mark.parametrize("how", ["from elsewhere", "from within", "through a link"])
def test_a_config_works_from_every_folder(
    conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    config = conf / "config.toml"
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(conf if how == "from within" else tmp_path / "work")
    if how == "through a link":
        (tmp_path / "link").symlink_to(conf)
        config = tmp_path / "link" / "config.toml"
    done = run("config.toml" if how == "from within" else os.path.relpath(config), "run", "--yes", "--format", "json")
    assert done.exit_code == 0, done.stderr
    decided = {item["id"]: item["outcome"] for item in json.loads(done.stdout)["accounts"][0]["items"]}
    assert decided == {"0073310045": "deleted", "0073310046": None}
    assert {"state", "copies", "run.prom"} <= {path.name for path in conf.iterdir()}
    assert list((tmp_path / "work").iterdir()) == []


def test_paths_on_the_command_line_begin_at_the_working_folder(
    conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--state", "own-state", "--log-file", "own.log", "run", "--yes", "--html", "own.html"]
    assert run(str(conf / "config.toml"), *words).exit_code == 0
    assert {"own-state", "own.log", "own.html"} <= {path.name for path in tmp_path.iterdir()}
