"""What a file is, by its first bytes, and whether it can be as long as the vendor says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confcleanup.records.media import HEAD, SHORT, SLOWEST, named, suffixes, too_small, what_else

RECOGNISED = {
    "wav": b"RIFF\x24\0\0\0WAVEfmt ",
    "a long wav": b"RF64\xff\xff\xff\xffWAVEds64",
    "avi": b"RIFF\x24\0\0\0AVI LIST",
    "mp3 with ID3": b"ID3\x04\0\0\0\0\x02\x01",
    "mp3, MPEG 1": b"\xff\xfb\x90\x64",
    "mp3, MPEG 1 with a checksum": b"\xff\xfa\x90\x64",
    "mp3, MPEG 2": b"\xff\xf3\x40\xc4",
    "mp3, MPEG 2.5, 8 kHz": b"\xff\xe3\x18\xc4",
    "mp4": b"\0\0\0\x18ftypmp42\0\0\0\0",
    "m4a": b"\0\0\0\x1cftypM4A \0\0\0\0",
    "3gp": b"\0\0\0\x18ftyp3gp4\0\0\0\0",
    "mov": b"\0\0\0\x14ftypqt  ",
    "ogg": b"OggS\0\x02",
    "webm": b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm",
    "mkv": b"\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska",
    "flac": b"fLaC\0\0\0\x22",
    "amr": b"#!AMR\n\x3c",
    "aac": b"\xff\xf1\x50\x80",
    "au": b".snd\0\0\0\x18",
    "aiff": b"FORM\0\0\0\x20AIFFCOMM",
    "wma": b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9",
    "flv": b"FLV\x01\x05",
}


@pytest.mark.parametrize("kind", RECOGNISED)
def test_sound_and_pictures_are_recognised(kind: str) -> None:
    assert suffixes(RECOGNISED[kind])[0] == kind.replace(",", " ").split()[-1 if kind == "a long wav" else 0]


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\xff",
        b"film",
        b"ID3 tags are missing",
        b"RIFF",
        b"RIFF\x24\0\0\0WEBPVP8 ",
        b"\0\0\0\x18ftypheic\0\0\0\0",
        b"<?xml version='1.0'?>",
        b'{"error": 1}',
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        b"%PDF-1.7",
        b"PK\x03\x04",
        b"\x1f\x8b\x08\0",
        b"\xff\xfb\xf0\x00",
        b"\xff\xfb\x9c\x00",
        "Error: not found".encode("utf-16"),
        b"\0" * HEAD,
    ],
)
def test_anything_else_is_not(head: bytes) -> None:
    assert suffixes(head) == ()


@given(st.text(min_size=1, max_size=HEAD), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]))
def test_no_text_is_taken_for_media(text: str, encoding: str) -> None:
    printable = "".join(character for character in text if character >= " ")
    assert suffixes(printable.encode(encoding)[:HEAD]) == ()


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\xef\xbb\xbf <!DOCTYPE html>", "HTML"),
        (b"<html>", "HTML"),
        (b"<?xml version='1.0'?>", "XML"),
        (b'\n{"error": 1}', "JSON"),
        (b"Not found", "text"),
        (b"\x89PNG\r\n\x1a\n", "of a kind that is not known"),
    ],
)
def test_what_it_is_instead_is_said(head: bytes, kind: str) -> None:
    assert what_else(head) == kind


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("call.mp3", "call.wav"),
        ("call.WAV", "call.WAV"),
        ("call", "call.wav"),
        ("call.v2", "call.v2.wav"),
        (".mp3", ".mp3.wav"),
    ],
)
def test_a_file_is_named_by_what_it_is(name: str, found: str) -> None:
    assert named(name, ("wav", "wave")) == found


def test_what_no_codec_can_hold_is_too_small_and_a_short_recording_may_have_any_size() -> None:
    assert too_small(int(SLOWEST * 60) - 1, 60)
    assert not too_small(SLOWEST * 60, 60)
    assert not too_small(1, SHORT)
    assert not too_small(1, None)
