"""What the vendors' modules share: the token, the right answer, ids that may be sent."""

from __future__ import annotations

from typing import Any

import pytest

from confcleanup.errors import AccessDenied, ProviderError, UnsafeId
from confcleanup.providers.base import aliases, require_same, sendable, token_of, why_undeletable
from confcleanup.redact import redact


def digits(ident: str) -> str | None:
    return None if ident.isdigit() else f"its id {ident!r} is not a number"


def test_a_token_is_read_and_never_shown_nor_what_came_with_it() -> None:
    answer = {"token": "tok-5f1e7c", "refresh": "ref-90ab3d", "user": "ada"}
    assert token_of(answer, "token", also=("refresh", "absent")) == "tok-5f1e7c"
    shown = redact("tok-5f1e7c ref-90ab3d ada")
    assert "5f1e7c" not in shown
    assert "90ab3d" not in shown
    assert "ada" in shown


@pytest.mark.parametrize("answer", [{}, *({"access_token": token} for token in (None, "", 7, True, ["x"], {"x": 1}))])
def test_an_answer_without_a_token_is_a_refused_sign_in(answer: dict[str, Any]) -> None:
    with pytest.raises(AccessDenied, match="the answer holds no access token"):
        token_of(answer)


@pytest.mark.parametrize("found", [None, "8", 7, "", "7 ", ["7"]])
def test_an_answer_about_something_else_is_no_answer(found: object) -> None:
    require_same("7", "recording", "7")
    with pytest.raises(ProviderError, match="answered with something else than recording 7"):
        require_same(found, "recording", "7")


@pytest.mark.parametrize("ident", [None, "", 7, True, ["7"], {}])
def test_what_has_no_id_as_text_cannot_be_deleted(ident: object) -> None:
    assert why_undeletable(ident, digits, name="number") == f"its number is not text ({ident!r})"


@pytest.mark.parametrize("ident", ["..", "a/../b", "\0", "x" * 1001])
def test_without_a_form_of_its_own_an_id_is_deletable_where_an_address_can_hold_it(ident: str) -> None:
    assert why_undeletable("a b") is None
    assert "cannot be sent" in str(why_undeletable(ident))


def test_what_is_listed_as_deletable_can_be_sent_and_nothing_else() -> None:
    assert why_undeletable("12", digits) is None
    assert sendable("12", digits) == "12"
    assert why_undeletable("export", digits) == "its id 'export' is not a number"
    with pytest.raises(UnsafeId, match="its id 'export' is not a number"):
        sendable("export", digits)


def test_an_items_other_numbers_are_told_once_each() -> None:
    row = {"call": "c1", "conference": 7, "other": "c1", "none": None, "empty": ""}
    assert aliases(row, "call", "conference", "other", "none", "empty", "absent") == ("c1", "7")
