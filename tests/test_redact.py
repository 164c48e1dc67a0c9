"""Secrets are replaced by value; other people's text cannot write to a terminal."""

from __future__ import annotations

import base64
import html
import json
import re
import threading
from collections.abc import Callable
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from confcleanup.redact import PLACE, SHORT, Redactor, harmless

SECRET = "s3cr3t/p+ss w&rd=Ünï"


def lower(coded: str) -> str:
    """Percent-encoded text with the digits in lower case."""
    return re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), coded)


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
        quote(SECRET, safe="/"),
        quote(SECRET, safe="/:@!$&'()*+,;="),
        lower(quote(SECRET, safe="")),
        lower(quote_plus(SECRET)),
        base64.b64encode(SECRET.encode()).decode().rstrip("="),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("="),
        quote(base64.b64encode(SECRET.encode()), safe=""),
        SECRET.encode().hex(),
        SECRET.encode().hex().upper(),
        html.escape(SECRET),
        html.escape(SECRET).encode("ascii", "xmlcharrefreplace").decode(),
        json.dumps(SECRET, ensure_ascii=False)[1:-1].replace("/", r"\/"),
        json.dumps(SECRET)[1:-1].replace("u00dc", "u00DC"),
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


def test_a_text_that_nearly_holds_a_secret_is_looked_through_at_once() -> None:
    """A pattern that may begin again at each of 40 places, two ways at each, would not end."""
    text = "\\" * 80
    assert redactor("\\" * 40 + "x")(text) == text
    assert redactor("\\" * 40 + "x")(text + "x") == PLACE


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


ENCODERS = [
    lambda coded: base64.b64encode(coded).decode(),
    lambda coded: base64.b64encode(coded).decode().rstrip("="),
    lambda coded: base64.urlsafe_b64encode(coded).decode(),
    bytes.hex,
]


@given(st.text(min_size=4).filter(str.strip), st.text(), st.text(), st.sampled_from(ENCODERS), st.text(), st.text())
@example("Pa55", "anna@vbc.prod:", "", ENCODERS[0], "Basic ", ".")
@example("tok_en-tok_en", '{"id": 7, "secret": "', '"}', ENCODERS[2], "", "")
def test_a_secret_within_what_was_encoded_is_replaced_too(
    secret: str, left: str, right: str, encode: Callable[[bytes], str], before: str, after: str
) -> None:
    if encode is bytes.hex and len(secret) < SHORT:
        left = right = ""
        before, after = before + " ", f" {after}"
    whole = encode(f"{left}{secret}{right}".encode())
    assert not any(whole in piece for piece in redactor(secret)(before + whole + after).split(PLACE))


def test_nothing_of_a_password_is_left_of_a_basic_header() -> None:
    header = base64.b64encode(b"anna@vbc.prod:correct horse battery").decode()
    shown = redactor("correct horse battery")(f"Authorization: Basic {header}")
    left = shown.split()[-1].removesuffix(PLACE)
    assert base64.b64decode(left + "=" * (-len(left) % 4)) == b"anna@vbc.prod"


@pytest.mark.parametrize("text", ["id 0031323334", "id 1323334", "at 12:34", "anna1234"])
def test_a_pin_does_not_blacken_numbers_that_look_like_another_spelling_of_it(text: str) -> None:
    assert redactor("1234")(text) == text


def test_many_secrets_cost_no_more_than_few() -> None:
    """What is looked at for a text are its own letters, not the secrets: nothing is compiled for what is not there."""
    shared = redactor(*(f"number-{number:04}-of-many-secrets" for number in range(500)))
    assert shared("a title without any of them") == "a title without any of them"
    assert shared("x number-0042-of-many-secrets") == f"x {PLACE}"
    assert shared._unmarked == ()


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
