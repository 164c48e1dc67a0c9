"""Read TOML text; where it is not TOML, say what to write instead."""

from __future__ import annotations

import re
import tomllib
from typing import Any

UTF_16 = (
    "is UTF-16 text, as Notepad writes it as \"Unicode\" and Windows PowerShell with '>'; save it as UTF-8 "
    "(PowerShell: Out-File -Encoding utf8)"
)
CURLY = re.compile("[\u2018-\u201f\u2039\u203a\u00ab\u00bb\u300c-\u300f\uff02\uff07]")
"""Quotation marks as word processors and web pages set them."""
BLANK = re.compile("[\u00a0\u2000-\u200b\u2007\u202f\u205f\u2060\u3000\ufeff]")
"""What looks like an ordinary blank, or like nothing, and is not."""
BACKSLASH = re.compile(r'"[^"]*\\[^"]*"')
COMPLETE = re.compile(r"""\"[^"\\]*\"|'[^']*'|#.*""")
"""Texts and comments that are as they should be; what is in them is not the mistake."""


def parse(content: bytes) -> dict[str, Any]:
    """The tables of a TOML file. Raises ValueError, which continues a sentence that begins with the file's name."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content:
        raise ValueError(UTF_16)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"is not UTF-8 text (line {line}, byte {error.start}); save it as UTF-8") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"is not valid TOML: {error}{_hint(text, str(error))}") from None


def _hint(text: str, mistake: str) -> str:
    """What to write instead, if the line of the mistake has something that is often pasted in or comes from Windows."""
    at = re.search(r"line (\d+)", mistake)
    lines = text.split("\n")
    line = lines[int(at[1]) - 1] if at else lines[-1]
    rest = COMPLETE.sub(lambda found: "x" * len(found[0]), line)
    if found := CURLY.search(rest):
        return f". {found[0]} is a typographic quotation mark; write \" or ' instead"
    if found := BLANK.search(rest):
        return f". Character {found.start() + 1} of the line is not a plain blank (U+{ord(found[0]):04X}); type it anew"
    if BACKSLASH.search(rest):  # which is not shown, as it may be a password
        return ". Between \"…\" a backslash begins an escape; write '…' around the text, or each backslash twice"
    return ""
