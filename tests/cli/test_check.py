"""``check`` tries what a run will need: archives, the state folder, files that hold secrets."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from confcleanup.records.archive import Archive
from tests.cli.test_cli import Setting, hq

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

    monkeypatch.setattr("confcleanup.records.archive.sync_folder", fail)
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
