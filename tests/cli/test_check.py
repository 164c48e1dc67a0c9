"""``check`` tries what a run will need: archives, the state folder, files that hold secrets."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from confcleanup.account_check import Checked
from confcleanup.cli import cli
from confcleanup.http.paging import Page
from confcleanup.providers.base import Access, visible
from confcleanup.records.archive import Archive
from confcleanup.sandbox.sandbox import Sandbox
from tests.cli.test_cli import Setting, hq
from tests.fake import Fake, thing

__all__ = ["hq"]


def archiving(hq: Setting, target: Path | str) -> None:
    hq.write(hq.config.read_text(encoding="utf-8") + f'archive = "{target}"\n')


def test_a_folder_for_archives_that_can_be_written_or_made_is_well_and_stays_as_it_is(
    hq: Setting, tmp_path: Path
) -> None:
    archiving(hq, tmp_path / "not" / "yet")
    before = sorted(tmp_path.iterdir())
    done = hq("check")
    assert (done.exit_code, done.stderr) == (0, "")
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_for_archives_that_cannot_be_written_names_the_account_and_the_rule(
    hq: Setting, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    archiving(hq, tmp_path / "file" / "archive")
    done = hq("check")
    assert done.exit_code == 1
    assert "hq: rule 'tagged rooms': the archive" in done.stderr
    assert "cannot be used" in done.stderr
    assert "well" not in done.stdout


def test_a_mount_that_cannot_flush_a_folder_draws_a_warning_and_is_well(
    hq: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: Path) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr("confcleanup.records.stores.sync_folder", fail)
    archiving(hq, tmp_path / "archive")
    done = hq("check")
    assert done.exit_code == 0
    assert "hq: rule 'tagged rooms': the archive" in done.stderr
    assert "cannot flush a folder to the disk, so every file is read back instead" in done.stderr


def test_remote_storage_without_its_extra_is_found_out(hq: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fsspec", None)
    archiving(hq, "s3://bucket/x")
    done = hq("check")
    assert done.exit_code == 1
    assert "pip install 'confcleanup[s3]'" in done.stderr


@pytest.mark.parametrize("words", [["check"], ["run", "--yes"]])
def test_a_state_folder_that_cannot_be_written_is_a_wrong_config_and_nobody_is_contacted(
    hq: Setting, tmp_path: Path, words: list[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    for bad in (tmp_path / "file", tmp_path / "file" / "state"):
        done = hq(*words, "--state", str(bad))
        assert done.exit_code == 2
        assert "state.directory" in done.stderr
        assert str(bad) in done.stderr
    assert hq.emulator.seen == []


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_a_secret_file_that_the_group_can_read_draws_a_warning(hq: Setting, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(hq.emulator.client_secret)
    text = hq.config.read_text(encoding="utf-8")
    hq.write(text.replace(f'"{hq.emulator.client_secret}"', f'{{ file = "{secret}" }}'))
    secret.chmod(0o640)
    done = hq("check")
    assert done.exit_code == 0
    assert "hq: client_secret is in a file that its group can read or write" in done.stderr
    secret.chmod(0o644)
    assert hq("check").exit_code == 2


def test_the_bucket_of_remote_storage_must_be_there(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    fsspec.filesystem("memory").mkdir("/there-for-the-check")
    Archive("memory://there-for-the-check/x").check()


UNTESTED = "the right to delete is not tested"
FOUND = {
    "trueconf-v3": r"application cleanup-app, may delete, \d+ conferences visible",
    "trueconf-v4": r"application cleanup-app, may delete, \d+ conferences visible",
    "trueconf-room": r"application cleanup-app, may delete, \d+ conferences visible in the Room's schedule",
    "vobiz": rf"MA_SANDBOX, {UNTESTED}, \d+ live rooms listed and \d+ recordings visible",
    "huawei": rf"the default administrator cleanup-bot@example.com, {UNTESTED}, \d+ recordings visible from \S+ to \S+",
    "vonage": rf"cleanup@example.com@vbc.prod, {UNTESTED}, \d+ company recordings visible and "
    r"\d+ on-demand recordings visible of user \d+ \(the first of all users\)",
}
MOST_REQUESTS = {"trueconf-v3": 2, "trueconf-v4": 2, "trueconf-room": 2, "vobiz": 2, "huawei": 3, "vonage": 4}
"""The sign-in, where there is one, and a page of each list."""


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sandbox, str]]:
    """The emulated vendors after a check, and what it printed."""
    folder = tmp_path_factory.mktemp("checked")
    with Sandbox() as sandbox:
        file = folder / "config.toml"
        file.write_text(sandbox.config, encoding="utf-8")
        file.chmod(0o600)
        done = CliRunner().invoke(cli, ["-c", str(file), "--state", str(folder / "state"), "check"])
        assert (done.exit_code, done.stderr) == (0, "")
        yield sandbox, done.stdout


@pytest.mark.parametrize("name", FOUND)
def test_check_says_who_signed_in_what_is_visible_and_how_far_the_clock_is_off(
    checked: tuple[Sandbox, str], name: str
) -> None:
    line = rf"(?m)^{name}: OK, signed in as {FOUND[name]}, clock less than 1 s off; \d rules?$"
    assert re.search(line, checked[1]), checked[1]


@pytest.mark.parametrize("name", MOST_REQUESTS)
def test_check_asks_for_one_page_of_each_list(checked: tuple[Sandbox, str], name: str) -> None:
    assert len(checked[0].served[name].emulator.seen) <= MOST_REQUESTS[name]


def test_check_counts_what_a_vendor_lists_on_many_pages(hq: Setting) -> None:
    for number in range(1202):
        hq.emulator.add_conference(f"{number:05}", ended=timedelta(days=1))
    assert "may delete, 1,204 conferences visible" in hq("check").stdout
    assert [seen.request.method for seen in hq.emulator.seen] == ["POST", "GET"]


def test_a_right_that_is_missing_is_an_error_with_the_next_step(hq: Setting) -> None:
    hq.emulator.scope = "conferences:read"
    done = hq("check")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "give it the right conferences:write in the control panel" in done.stderr


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (Page([{}] * 100, None), "at least 100 recordings visible"),
        (Page([{}] * 7, None, last=True), "7 recordings visible"),
        (Page([{}] * 100, 1204), "1,204 recordings visible"),
        (Page([], 1), "1 recording visible"),
    ],
)
def test_a_vendor_without_a_total_is_said_to_have_at_least_what_its_first_page_shows(page: Page, words: str) -> None:
    assert visible(page, "recording") == words


def test_what_a_plug_in_does_not_tell_is_not_claimed() -> None:
    fake = Fake(thing("a"))
    fake.http.sign_in = lambda: None
    found = fake.check(["things"])
    assert found == Access()
    assert (
        Checked(access=found, errors=[], warnings=[]).summary()
        == "signed in, the right to delete is not tested, can list, clock not compared"
    )


@pytest.mark.parametrize(("seconds", "words"), [(-0.9, "less than 1 s"), (12.4, "12 s"), (-100, "100 s")])
def test_the_clocks_difference_is_no_finer_than_the_vendors_header(seconds: float, words: str) -> None:
    summary = Checked(errors=[], warnings=[], skew=timedelta(seconds=seconds)).summary()
    assert summary.endswith(f"clock {words} off")
