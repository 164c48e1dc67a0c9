"""Each command that a page shows is run as it stands there, on a machine as the page describes it, or says why not."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from confcleanup.cli import COMMANDS, cli
from confcleanup.cli.sandbox import ARCHIVE
from confcleanup.sandbox.sandbox import Sandbox
from tests.test_docs import ACCOUNTS, DOCS, PAGES, ROOT, blocks

SHELL = ("sh", "crontab", "console", "powershell", "bat", "")
INSTALLS = "it installs a package: .ci/run and tests/test_package.py do that"
CHANGES = "it changes the users, the links and the folders of the machine"
DEVELOPS = "it is for developers: .ci/run runs it"
REASONS = {
    r"(sudo )?python3 -m venv \S+$": INSTALLS,
    r"(sudo )?\S*pip install .*": INSTALLS,
    r"sudo (ln|useradd|install) .*": CHANGES,
    r"sudo -u confcleanup -H bash": "it opens a shell",
    r"cd": "the commands are run in a home directory already",
    r"\S*(pytest|ruff|mypy|sphinx-build)\b.*": DEVELOPS,
    r"\.ci/run": DEVELOPS,
    r"cp .*|\(cd confcleanup-acme": "tests/test_package.py makes the example provider's package with it",
    r"\.\./\.venv/bin/pytest -q\)": DEVELOPS,
    r"MAILTO=.*": "it is a setting of cron",
}
"""Why a command is not run, by what it looks like."""


def lines(page: Path) -> Iterator[str]:
    """The commands of a page, one by one, without comments and without what belongs to a crontab alone."""
    for language, text in blocks(page):
        for line in text.splitlines() if language in SHELL else ():
            line = re.sub(r"(^|\s)#.*", "", line).strip()
            for command in re.split(r"\s+&&\s+", re.sub(r"^([\d*/,-]+\s+){5}", "", line)):
                if command:
                    yield command


def reason(line: str) -> str | None:
    return next((why for pattern, why in REASONS.items() if re.fullmatch(pattern, line)), None)


def words_of(line: str) -> list[str]:
    """The words after the program's name, whatever stands before it."""
    found = re.match(r"(?:\S+ )*?(?:\S*/)?confcleanup (?!/)(.*)", line)
    assert found, f"neither a command of this program nor one with a reason not to run it: {line}"
    return shlex.split(found[1])


class Machine:
    """A machine as the pages describe it: an empty home directory, a config folder, and emulated vendors."""

    def __init__(self, root: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sandbox = sandbox
        self.home, self.etc, self.state = root / "home", root / "etc", root / "state"
        for folder in (self.home, self.etc):
            folder.mkdir()
        monkeypatch.setenv("HOME", str(self.home))
        for name in ("CONFCLEANUP_CONFIG", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.chdir(self.home)
        monkeypatch.setattr("confcleanup.cli.cleaning._asking", lambda: True)

    def config(self) -> str:
        """The accounts of the pages, at the emulated vendors."""
        accounts = [
            self.sandbox.served[served].config.replace(f"accounts.{served}", f"accounts.{name}")
            for name, served in ACCOUNTS.items()
        ]
        return "\n".join([f'[state]\ndirectory = "{self.state}"\n', *accounts])

    def run(self, line: str) -> None:
        words = [
            word.replace("/etc/confcleanup", str(self.etc)).replace("/var/lib/confcleanup", str(self.state))
            for word in words_of(line)
        ]
        name = next(word for word in words if word in COMMANDS)
        if name == "sandbox":  # it serves until it is stopped
            # Here the same vendors are served already; this is the config that it writes.
            self.write(Path("confcleanup-sandbox.toml"), self.sandbox.config_with_archive(Path(ARCHIVE)))
            return
        given = Path(words[words.index("-c") + 1]) if "-c" in words else self.home / ".config/confcleanup/config.toml"
        if name not in ("init", "demo") and not given.exists():
            self.write(given, self.config())
        if "--last-success" in words and not self.state.exists():
            self.run("confcleanup run --yes -q")  # what the scheduler started before
        done = CliRunner().invoke(cli, words, input="y\n")
        assert done.exit_code == 0, f"{line}\n{done.stdout}{done.stderr}"
        if name == "init":
            self.write(given, self.config())  # as it is once the questions are answered
        if words[words.index(name) + 1 :][:1] == ["crontab"]:
            self.run(done.stdout.splitlines()[-1].split(maxsplit=5)[5])

    def write(self, file: Path, text: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(0o600)


SHOWN = {page: [line for line in lines(page) if not reason(line)] for page in PAGES}


@pytest.mark.parametrize("page", [page for page, found in SHOWN.items() if found], ids=lambda page: page.name)
def test_the_commands_of_a_page_do_what_they_should_in_their_order(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Sandbox() as sandbox:
        machine = Machine(tmp_path, sandbox, monkeypatch)
        for line in SHOWN[page]:
            machine.run(line)


def test_the_pages_that_a_newcomer_reads_show_most_commands() -> None:
    assert len(SHOWN[ROOT / "README.md"]) == 6
    assert len(SHOWN[DOCS / "start.md"]) == 18


def test_no_reason_is_left_over_from_a_command_that_is_gone() -> None:
    every = [line for page in PAGES for line in lines(page)]
    assert [pattern for pattern in REASONS if not any(re.fullmatch(pattern, line) for line in every)] == []


def test_there_is_one_way_to_install_and_both_pages_show_it() -> None:
    ways = [
        re.findall(r"(?ms)^<!-- install -->\n```sh\n(.*?)^```\n<!-- end -->", page.read_text(encoding="utf-8"))
        for page in (ROOT / "README.md", DOCS / "start.md")
    ]
    assert ways[0] == ways[1]
    assert len(ways[0]) == 1
    installs = [line for page in PAGES for line in lines(page) if re.match(r"sudo .*pip install", line)]
    assert all(line.startswith("sudo /opt/confcleanup/bin/pip install ") for line in installs)


def test_the_readme_fits_on_a_hundred_lines() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 100


INLINE = {
    f"{page.name}: {found}": found
    for page in PAGES
    for found in re.findall(r"`confcleanup ([^`>|]*)(?:>[^`]*)?`", page.read_text(encoding="utf-8"))
    if not re.search(r"\b[A-Z]{2,}\b", found)
}


@pytest.mark.parametrize("found", INLINE)
def test_every_command_in_a_sentence_exists_with_its_options(found: str) -> None:
    words = shlex.split(INLINE[found])
    context = cli.make_context("confcleanup", list(words))
    command = cli.get_command(context, words[0])
    assert command
    command.make_context(words[0], words[1:], parent=context, resilient_parsing=True)
