"""Secrets are replaced by value; other people's text cannot write to a terminal."""

from __future__ import annotations

import base64
import json
import threading
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from confcleanup.redact import PLACE, Redactor, harmless

SECRET = "s3cr3t/p+ss w&rd=Ünï"


def redactor(*secrets: str) -> Redactor:
    made = Redactor()
    for secret in secrets:
        made.add(secret)
    return made


def test_text_without_a_secret_is_left_alone() -> None:
    assert redactor(SECRET)("GET /conferences 200") == "GET /conferences 200"
    assert redactor()("nothing is known yet") == "nothing is known yet"


def test_every_occurrence_of_a_secret_is_replaced() -> None:
    assert redactor(SECRET)(f"{SECRET}, then {SECRET}!") == f"{PLACE}, then {PLACE}!"


@pytest.mark.parametrize(
    "spelling",
    [
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        urlencode({"": SECRET})[1:],
        base64.b64encode(SECRET.encode()).decode(),
        json.dumps(SECRET)[1:-1],
        repr(SECRET)[1:-1],
    ],
)
def test_a_secret_is_replaced_in_every_spelling_in_which_it_travels(spelling: str) -> None:
    assert redactor(SECRET)(f"token={spelling};") == f"token={PLACE};"


@pytest.mark.parametrize(
    "secret", ['with"quote', "with'quote", "with\\backslash", "line\nbreak", "tab\tbed", "ключ-42"]
)
@pytest.mark.parametrize("spell", [str, repr, json.dumps])
def test_quotes_and_control_characters_do_not_hide_a_secret(secret: str, spell: type[str]) -> None:
    assert redactor(secret)(f"{spell(secret)}").strip("\"'") == PLACE


def test_the_longer_of_two_secrets_is_replaced_first() -> None:
    assert redactor("abcdef", "abcdef-and-more")("abcdef-and-more abcdef") == f"{PLACE} {PLACE}"


def test_characters_with_a_meaning_in_patterns_are_only_themselves() -> None:
    assert redactor(".*.*.*")("abcdef .*.*.*") == f"abcdef {PLACE}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pin=1234;", f"pin={PLACE};"),
        ("1234", PLACE),
        ("id 123456", "id 123456"),
        ("x1234", "x1234"),
        ("at 12345", "at 12345"),
    ],
)
def test_a_short_secret_is_replaced_only_where_it_stands_alone(text: str, expected: str) -> None:
    assert redactor("1234")(text) == expected


@pytest.mark.parametrize("blank", ["", " ", "\n\t"])
def test_blank_text_is_no_secret(blank: str) -> None:
    assert redactor(blank)("a b\n\tc") == "a b\n\tc"


def test_a_secret_that_is_not_unicode_breaks_nothing() -> None:
    assert redactor("pass\udcffword")("a pass\udcffword b") == f"a {PLACE} b"


def test_a_secret_may_be_told_twice() -> None:
    assert redactor(SECRET, SECRET)(SECRET) == PLACE


def test_secrets_may_be_added_by_several_threads() -> None:
    shared = Redactor()
    secrets = [f"secret-number-{number}" for number in range(20)]
    threads = [threading.Thread(target=shared.add, args=(secret,)) for secret in secrets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shared(" ".join(secrets)) == " ".join([PLACE] * 20)


@given(st.text(min_size=6).filter(str.strip), st.text(), st.text())
@example("secret", "x", "y")
def test_no_secret_of_six_characters_or_more_is_left_in_any_text(secret: str, before: str, after: str) -> None:
    assert not any(secret in piece for piece in redactor(secret)(before + secret + after).split(PLACE))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Daily Standup", "Daily Standup"),
        ("Планёрка 会議 ñ 🙂", "Планёрка 会議 ñ 🙂"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("one\r\ntwo\ttab", "one\\x0d\\x0atwo\\x09tab"),
        ("\x9b31m", "\\x9b31m"),
        ("abc\u202ecba", "abc\\u202ecba"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("line\u2028paragraph\u2029", "line\\u2028paragraph\\u2029"),
        ("half \ud83d", "half \\ud83d"),
        ("soft\u00adhyphen", "soft\\xadhyphen"),
    ],
)
def test_what_could_steer_a_terminal_is_shown_and_everything_else_is_left(text: str, shown: str) -> None:
    assert harmless(text) == shown


@given(st.text())
def test_harmless_text_is_one_line_that_can_be_printed_and_stays_as_it_is(text: str) -> None:
    safe = harmless(text)
    assert len(safe.splitlines()) <= 1
    safe.encode("utf-8")
    assert harmless(safe) == safe
