"""What a rule archives: copied, checked, and only then deleted."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as changed

from confcleanup.cli import cli
from confcleanup.errors import ArchiveError
from confcleanup.items import Item, Media
from confcleanup.records.archive import Archive, item_folder, safe, without_private
from confcleanup.sandbox.huawei import Huawei
from confcleanup.sandbox.server import Emulator, Request, Response, Server
from confcleanup.sandbox.trueconf import TrueConf
from confcleanup.sandbox.vobiz import Vobiz
from confcleanup.sandbox.vonage import Vonage
from tests.fake import thing

DAY = timedelta(days=1)


@contextmanager
def chunks(*parts: bytes) -> Iterator[Iterator[bytes]]:
    yield iter(parts)


MP3 = b"\xff\xfb\x90\x64"
WAVE = b"RIFF\x24\0\0\0WAVEfmt "


def media(content: bytes = MP3, name: str = "call.mp3", **more: Any) -> Media:
    return Media(name, chunks(content), **more)


def folder_of(root: Path, item: Item) -> Path:
    return root / item_folder("hq", item)


def test_a_copy_holds_the_item_its_media_and_sums_that_sha256sum_accepts(tmp_path: Path) -> None:
    item = changed(thing("7"), raw={"topic": "Budget"})
    Archive(str(tmp_path)).keep("hq", item, [media(MP3 + b"one"), media(MP3 + b"two")])
    folder = folder_of(tmp_path, item)
    assert sorted(path.name for path in folder.iterdir()) == ["01-call.mp3", "02-call.mp3", "SHA256SUMS", "item.json"]
    assert json.loads((folder / "item.json").read_bytes())["vendor"] == {"topic": "Budget"}
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (media(b""), "empty"),
        (media(MP3, size=5), "4 bytes"),
        (media(MP3, sha256="0" * 64), "SHA-256"),
    ],
)
def test_a_download_that_is_not_what_the_vendor_says_leaves_no_complete_copy(
    tmp_path: Path, broken: Media, why: str
) -> None:
    item = thing("7")
    with pytest.raises(ArchiveError, match=why):
        Archive(str(tmp_path)).keep("hq", item, [broken])
    assert not (folder_of(tmp_path, item) / "SHA256SUMS").exists()
    assert Archive(str(tmp_path)).find("hq", item) is None


def test_a_size_and_a_sum_that_fit_are_accepted(tmp_path: Path) -> None:
    content = MP3 + b"sound"
    good = media(content, size=9, sha256=hashlib.sha256(content).hexdigest().upper())
    Archive(str(tmp_path)).keep("hq", thing("7"), [good])
    assert Archive(str(tmp_path)).find("hq", thing("7")) is not None


def test_a_complete_copy_is_not_downloaded_again(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path))
    archive.keep("hq", thing("7"), [media()])
    archive.keep("hq", thing("7"), [media(b"never read", size=1)])


def test_a_copy_that_was_damaged_is_made_again(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path))
    archive.keep("hq", thing("7"), [media(MP3)])
    file = folder_of(tmp_path, thing("7")) / "01-call.mp3"
    file.write_bytes(b"rotten")
    archive.keep("hq", thing("7"), [media(MP3)])
    assert file.read_bytes() == MP3


def test_an_archive_that_cannot_be_written_keeps_the_item(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder", encoding="utf-8")
    with pytest.raises(ArchiveError, match="cannot be used"):
        Archive(str(blocked)).keep("hq", thing("7"), [])


def test_passwords_links_and_tokens_are_not_archived() -> None:
    saved = without_private(
        {
            "topic": "Budget",
            "url": "https://vc.example.org/c/1",
            "guestJoinUri": "x",
            "password": "p",
            "deep": [{"accessToken": "t", "tags": ["a"]}],
        }
    )
    assert saved == {"topic": "Budget", "deep": [{"tags": ["a"]}]}


@given(st.text(max_size=200))
def test_no_name_leaves_its_folder(name: str) -> None:
    found = safe(name)
    assert found
    assert "/" not in found
    assert "\\" not in found
    assert found.strip(". ") == found
    assert len(found) <= 95


@given(st.text(max_size=30), st.text(max_size=30))
def test_two_names_never_become_the_same(one: str, other: str) -> None:
    assert (safe(one) == safe(other)) == (one == other)


@pytest.mark.parametrize("name", ["CON", "nul.txt", "com1", "LPT9.mp3"])
def test_names_that_windows_reserves_are_changed(name: str) -> None:
    assert safe(name) != name


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"Not found", "neither audio nor video but text"),
        (b"<?xml version='1.0'?><Error/>", "but XML"),
        (b'{"error": "expired"}', "but JSON"),
        (b"\x00", "not known"),
        (b"", "empty"),
    ],
)
def test_what_is_neither_audio_nor_video_is_no_copy(tmp_path: Path, content: bytes, why: str) -> None:
    with pytest.raises(ArchiveError, match=why):
        Archive(str(tmp_path)).keep("hq", thing("7"), [media(content)])
    assert Archive(str(tmp_path)).find("hq", thing("7")) is None


def test_a_file_that_cannot_last_as_long_as_the_vendor_says_is_no_copy(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="too few for 60 seconds"):
        Archive(str(tmp_path)).keep("hq", thing("7"), [media(MP3.ljust(2999, b"x"), duration=60)])
    Archive(str(tmp_path)).keep("hq", thing("7"), [media(MP3.ljust(3000, b"x"), duration=60)])


def test_the_first_bytes_are_known_however_they_arrive(tmp_path: Path) -> None:
    drops = Media("call.mp3", chunks(*(bytes([byte]) for byte in WAVE)))
    Archive(str(tmp_path)).keep("hq", thing("7"), [drops])
    assert (folder_of(tmp_path, thing("7")) / "01-call.wav").read_bytes() == WAVE


def test_a_copy_whose_media_nobody_recognised_then_is_made_again(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path))
    archive.keep("hq", thing("7"), [media()])
    folder = folder_of(tmp_path, thing("7"))
    (folder / "01-call.mp3").write_bytes(b"Not found")
    sums = "".join(
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in ("item.json", "01-call.mp3")
    )
    (folder / "SHA256SUMS").write_text(sums, encoding="utf-8")
    archive.keep("hq", thing("7"), [media()])
    assert (folder / "01-call.mp3").read_bytes() == MP3


def test_a_download_goes_next_to_its_destination_and_not_through_the_systems_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "there is none"))
    seen: list[list[str]] = []

    @contextmanager
    def watched() -> Iterator[Iterator[bytes]]:
        def parts() -> Iterator[bytes]:
            yield MP3
            seen.append([path.name for path in (tmp_path / "archive").glob(".confcleanup-*/*")])

        yield parts()

    Archive(str(tmp_path / "archive")).keep("hq", thing("7"), [Media("call.mp3", watched())])
    assert seen == [["media"]]
    assert left_over(tmp_path / "archive") == []


def left_over(root: Path) -> list[str]:
    return [path.name for path in root.rglob(".*")]


KILLED = """
import sys, os, signal
from confcleanup.records.archive import Archive
from tests.fake import thing
from tests.records.test_archive import MP3, Media, contextmanager

@contextmanager
def dying():
    def parts():
        yield MP3 * 100000
        os.kill(os.getpid(), signal.SIGKILL)
    yield parts()

Archive(sys.argv[1]).keep("hq", thing("8"), [Media("call.mp3", dying())])
"""


@pytest.mark.skipif(os.name != "posix", reason="Windows does not tell which processes run")
def test_what_a_killed_run_left_behind_is_removed_by_the_next_and_nothing_else(tmp_path: Path) -> None:
    Archive(str(tmp_path)).keep("hq", thing("7"), [media()])
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], check=False, cwd=Path(__file__).parents[2], capture_output=True
    )
    assert done.returncode == -9, done.stderr
    assert len(left_over(tmp_path)) == 1
    (tmp_path / ".confcleanup-of-somebody-else").mkdir()
    Archive(str(tmp_path)).keep("hq", thing("9"), [media()])
    assert left_over(tmp_path) == [".confcleanup-of-somebody-else"]
    assert Archive(str(tmp_path)).find("hq", thing("7"))
    assert Archive(str(tmp_path)).find("hq", thing("8")) is None


@pytest.mark.parametrize(("hours", "stays"), [(23, True), (25, False)])
def test_what_another_machine_left_is_removed_when_nothing_was_written_for_a_day(
    tmp_path: Path, hours: int, stays: bool
) -> None:
    foreign = tmp_path / ".confcleanup-00000000-17-abcdefgh"
    foreign.mkdir()
    (foreign / "media").write_bytes(b"x")
    then = time.time() - hours * 3600
    for path in (foreign / "media", foreign):
        os.utime(path, (then, then))
    Archive(str(tmp_path)).keep("hq", thing("7"), [media()])
    assert foreign.exists() == stays


@pytest.mark.skipif(os.name != "posix", reason="Windows does not tell which processes run")
def test_what_a_run_that_is_going_on_is_writing_is_left_alone(tmp_path: Path) -> None:
    @contextmanager
    def slow() -> Iterator[Iterator[bytes]]:
        Archive(str(tmp_path)).keep("hq", thing("8"), [media()])
        yield iter([MP3])

    Archive(str(tmp_path)).keep("hq", thing("7"), [Media("call.mp3", slow())])
    assert Archive(str(tmp_path)).find("hq", thing("7"))
    assert Archive(str(tmp_path)).find("hq", thing("8"))


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_nobody_else_may_read_what_is_archived(tmp_path: Path) -> None:
    Archive(str(tmp_path / "new")).keep("hq", thing("7"), [media()])
    modes = {path.stat().st_mode & 0o077 for path in folder_of(tmp_path / "new", thing("7")).iterdir()}
    assert modes == {0}


def refuse(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Flushing a folder fails, as on a mount that has no such call."""

    def fail(folder: Path) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("confcleanup.records.stores.sync_folder", fail)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EPERM, errno.EACCES])
def test_a_mount_that_cannot_flush_a_folder_is_told_and_works_by_reading_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    refuse(monkeypatch, number)
    (weakness,) = Archive(str(tmp_path)).check()
    assert "cannot flush a folder to the disk" in weakness
    Archive(str(tmp_path)).keep("hq", thing("7"), [media()])
    assert Archive(str(tmp_path)).find("hq", thing("7"))


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_disk_that_fails_is_not_taken_for_a_mount_that_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    refuse(monkeypatch, number)
    with pytest.raises(ArchiveError, match="cannot be used"):
        Archive(str(tmp_path)).keep("hq", thing("7"), [media()])
    with pytest.raises(ArchiveError, match="cannot be used"):
        Archive(str(tmp_path)).check()


def test_what_does_not_read_back_as_it_was_written_is_no_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, errno.EINVAL)
    monkeypatch.setattr("confcleanup.records.stores.Folder.digest", lambda self, name: "0" * 64)
    with pytest.raises(ArchiveError, match="read back"):
        Archive(str(tmp_path)).keep("hq", thing("7"), [media()])


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_a_mount_on_which_others_can_read_every_file_is_told_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("confcleanup.records.stores.mode_of", lambda file: 0o755)
    (weakness,) = Archive(str(tmp_path)).check()
    assert "cannot keep others on this machine from reading" in weakness


def test_a_folder_of_the_archive_may_lie_on_another_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def across(self: Path, target: Path) -> Path:
        if self.parent != target.parent:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        self.rename(target)
        return target

    monkeypatch.setattr(Path, "replace", across)
    Archive(str(tmp_path)).keep("hq", thing("7"), [media()])
    assert Archive(str(tmp_path)).find("hq", thing("7"))
    assert left_over(tmp_path) == []


# Through the whole program ---------------------------------------------------------------------


class Setting:
    """An emulator, an archive, and a config whose every deleting rule archives."""

    def __init__(self, folder: Path, emulator: Any, url: str) -> None:
        self.folder, self.emulator, self.archive = folder, emulator, folder / "archive"
        emulator.public_url = url
        emulator.fill()
        self.config = folder / "config.toml"
        text = emulator.account("hq", url)
        lines = [
            line + f'\narchive = "{self.archive}"' if line.startswith("what = ") else line for line in text.splitlines()
        ]
        self.config.write_text("\n".join(lines), encoding="utf-8")
        self.config.chmod(0o600)

    def __call__(self, *words: str) -> Result:
        options = ["-c", str(self.config), "--state", str(self.folder / "state"), "-q"]
        return CliRunner().invoke(cli, [*options, *words])

    def copies(self) -> list[Path]:
        return [path.parent for path in self.archive.rglob("SHA256SUMS")]


@contextmanager
def setting(folder: Path, emulator: Emulator) -> Iterator[Setting]:
    with Server(emulator) as server:
        yield Setting(folder, emulator, server.url)


@pytest.mark.parametrize("vendor", [TrueConf, Vobiz, Huawei, Vonage])
def test_everything_deleted_was_archived_before(tmp_path: Path, vendor: Any) -> None:
    with setting(tmp_path, vendor()) as hq:
        done = hq("run", "--yes")
        doomed = sum(len(ids) for ids in hq.emulator.doomed.values())
        assert done.exit_code in (0, 1)
        gone = json.loads(hq("history", "--format", "json").stdout)["deletions"]
        assert len(hq.copies()) >= len([entry for entry in gone if entry["outcome"] == "deleted"]) > 0
        if vendor is not Vobiz:
            assert len(gone) == doomed, done.stderr
        for folder in hq.copies():
            assert subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=folder, check=False).returncode == 0
        assert hq.emulator.disasters == []


def spoil(hq: Setting, path_part: str, answer: Response) -> None:
    def hook(request: Request) -> Response | None:
        return answer if path_part in request.path and request.method == "GET" else None

    hq.emulator.interfere.append(hook)


@pytest.mark.parametrize(
    "answer",
    [
        Response(500),
        Response(404),
        Response(200, b""),
        Response(200, b"short"),
        Response(200, {"error": "expired"}),
        Response(200, b"<html>sign in</html>", {"Content-Type": "text/html"}),
        Response(302, None, {"Location": "https://elsewhere.example/audio"}),
        Response(close=True),
    ],
)
def test_a_failed_short_or_foreign_download_blocks_the_deletion(
    tmp_path: Path, answer: Response, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("confcleanup.deadline.Deadline.wait", lambda self, seconds: None)
    with setting(tmp_path, Vonage()) as hq:
        before = dict(hq.emulator.company)
        spoil(hq, "/audio/", answer)
        done = hq("run", "--yes")
        assert done.exit_code == 1
        assert hq.emulator.company == before
        assert hq.emulator.requests("DELETE") == []
        assert hq.copies() == []


def test_the_bearer_is_not_sent_to_another_host(tmp_path: Path) -> None:
    class Thief(Emulator):
        def handle(self, request: Request) -> Response:
            return Response(200, MP3)

    thief = Thief()
    with Server(thief) as other, setting(tmp_path, Vonage()) as hq:
        for row in hq.emulator.company.values():
            row["download_url"] = f"{other.url}/audio"
        done = hq("run", "--yes", "--rule", "old company-recordings")
        assert done.exit_code == 1
        assert thief.seen == []
        assert hq.emulator.requests("DELETE") == []


def test_restore_creates_a_conference_anew_and_says_what_is_lost(tmp_path: Path) -> None:
    with setting(tmp_path, TrueConf()) as hq:
        hq("run", "--yes")
        assert "0073310045" not in hq.emulator.conferences
        dry = hq("restore", "hq", "0073310045", "--dry-run")
        assert dry.exit_code == 0
        assert "0073310045" not in hq.emulator.conferences
        done = hq("restore", "hq", "0073310045", "--yes")
        assert done.exit_code == 0, done.stderr
        row = hq.emulator.conferences["0073310045"]
        assert (row["topic"], row["schedule"]["type"]) == ("Budget review", 1)
        assert "recordings" in done.stdout
        assert "none altered" in hq("history", "--verify").stdout


def test_restore_warns_if_the_next_run_would_delete_it_again_and_is_right(tmp_path: Path) -> None:
    with setting(tmp_path, TrueConf()) as hq:
        hq("run", "--yes")
        assert "the next run would delete it again (rule " in hq("restore", "hq", "0073310045", "--yes").stderr
        hq("run", "--yes")
        assert "0073310045" not in hq.emulator.conferences


def test_restore_of_a_room_does_not_warn_as_it_is_young_again(tmp_path: Path) -> None:
    with setting(tmp_path, TrueConf()) as hq:
        hq("run", "--yes")
        assert hq("restore", "hq", "room_tagged", "--yes").stderr == ""
        hq("run", "--yes")
        assert "room_tagged" in hq.emulator.conferences


def test_a_second_restore_is_refused_unless_it_is_meant_or_the_item_was_deleted_again(tmp_path: Path) -> None:
    with setting(tmp_path, TrueConf()) as hq:
        hq("run", "--yes")
        assert hq("restore", "hq", "room_tagged", "--yes").exit_code == 0
        second = hq("restore", "hq", "room_tagged", "--yes")
        assert second.exit_code == 3
        assert "it was already recreated with the id room_tagged" in second.stderr
        count = len(hq.emulator.conferences)
        assert hq("restore", "hq", "room_tagged", "--yes", "--again").exit_code == 0
        assert len(hq.emulator.conferences) == count + 1


def test_history_shows_restorations(tmp_path: Path) -> None:
    with setting(tmp_path, TrueConf()) as hq:
        hq("run", "--yes")
        hq("restore", "hq", "room_tagged", "--yes")
        line = r"UTC  restored +hq +conferences +room_tagged .* as room_tagged"
        assert re.search(line, hq("history").stdout)
        (entry,) = json.loads(hq("history", "--format", "json").stdout)["restores"]
        assert (entry["id"], entry["new_id"], entry["error"]) == ("room_tagged", "room_tagged", None)
        assert json.loads(hq("history", "--format", "json", "--id", "other").stdout)["restores"] == []


def test_restore_takes_another_id_if_the_old_one_is_taken(tmp_path: Path) -> None:
    with setting(tmp_path, TrueConf()) as hq:
        hq("run", "--yes")
        hq.emulator.add_conference("0073310045", topic="A newcomer")
        done = hq("restore", "hq", "0073310045", "--yes")
        assert done.exit_code == 0, done.stderr
        assert "the id 0073310045" in done.stdout
        assert hq.emulator.conferences["0073310045"]["topic"] == "A newcomer"


def test_restore_of_a_room_brings_its_tags_back(tmp_path: Path) -> None:
    with setting(tmp_path, TrueConf()) as hq:
        hq("run", "--yes")
        assert hq("restore", "hq", "room_tagged", "--yes").exit_code == 0
        row = hq.emulator.conferences["room_tagged"]
        assert (row["tags"], row["schedule"]["type"]) == (["cleanup"], -1)


def test_restore_of_a_recording_says_where_its_files_lie(tmp_path: Path) -> None:
    with setting(tmp_path, Vonage()) as hq:
        hq("run", "--yes")
        done = hq("restore", "hq", "204401", "--yes")
        assert done.exit_code == 0, done.stderr
        assert str(hq.archive) in done.stdout
        assert "Recordings cannot be uploaded again" in done.stdout


def test_restore_of_something_never_deleted_says_so(tmp_path: Path) -> None:
    with setting(tmp_path, TrueConf()) as hq:
        hq("run", "--yes")
        done = hq("restore", "hq", "room_7", "--yes")
        assert done.exit_code == 1
        assert "knows of no deletion" in done.stderr


def test_restore_without_an_answer_creates_nothing_and_is_refused(tmp_path: Path) -> None:
    with setting(tmp_path, TrueConf()) as hq:
        hq("run", "--yes")
        done = hq("restore", "hq", "0073310045")
        assert done.exit_code == 3
        assert "Nothing was created" in done.stderr
        assert "0073310045" not in hq.emulator.conferences


def test_a_new_item_under_an_old_id_gets_a_copy_of_its_own(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path))
    first = changed(thing("7", days=40), raw={"topic": "first"})
    second = changed(thing("7", days=39), raw={"topic": "second"})
    archive.keep("hq", first, [])
    archive.keep("hq", second, [])
    found = [archive.find("hq", item) for item in (first, second)]
    assert [copy and copy[1]["vendor"]["topic"] for copy in found] == ["first", "second"]


def test_an_item_that_changed_since_a_failed_run_is_copied_again(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path))
    archive.keep("hq", changed(thing("7"), raw={"topic": "before"}), [])
    archive.keep("hq", changed(thing("7"), raw={"topic": "after"}), [])
    found = archive.find("hq", thing("7"))
    assert found
    assert found[1]["vendor"] == {"topic": "after"}


def test_a_download_that_does_not_say_how_long_it_is_blocks_the_deletion(tmp_path: Path) -> None:
    def unsized(request: Request) -> Response | None:
        return Response(200, b"cut", {"Content-Length": ""}) if request.path.startswith("/media/") else None

    with setting(tmp_path, Vobiz()) as hq:
        hq.emulator.interfere.append(unsized)
        done = hq("run", "--yes", "--rule", "old recordings")
        assert done.exit_code == 1
        assert "how long it is" in done.stderr
        assert hq.emulator.requests("DELETE") == []
