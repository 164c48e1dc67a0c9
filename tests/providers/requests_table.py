"""Every request that confcleanup sends, as a table to compare line by line with the vendors' pages.

``test_requests.py`` holds a full plan and run of every source against it. The same tables stand in docs/providers:
``python -m tests.providers.requests_table --write`` puts them there.

A row: what for | method | path | query | headers | body | where the vendor documents it. In a cell ``name`` is always
sent, ``name?`` sometimes, ``name=value`` with that value, in which ``…`` stands for anything. ``{…}`` in a path is one
segment.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from string import Template

DOCS = Path(__file__).parents[2] / "docs" / "providers"
BEGIN, END = "<!-- requests: made by python -m tests.providers.requests_table --write -->", "<!-- end -->"
HEAD = ("for", "method", "path", "query", "headers", "body", "documented at")

SHORT = {
    "BEARER": "Authorization: Bearer …",
    "TRUECONF": "JSON: grant_type=client_credentials client_id client_secret",
    "VOBIZ": "Content-Type: application/json; X-Auth-ID: …; X-Auth-Token: …",
    "HMAC": "Authorization: HMAC-SHA256 signature=…,access=…; Content-Type: application/json; charset=UTF-8; "
    "X-Token-Type: LongTicket",
    "TOKEN": "X-Access-Token: …",
    "APP": "JSON: appId clientType=72 expireTime nonce userId",
    "WINDOW": "startDate endDate offset limit queryAll=true sortType=ASC_StartTIME",
    "FORM": "Content-Type: application/x-www-form-urlencoded",
    "VONAGE": "form: grant_type=password scope=openid username=…@vbc.prod password client_id client_secret",
    "PAGE": "start:lte=…+0000 order=start:ASC page page_size",
}
"""What stands for ``$BEARER`` and the like below."""

SOURCES = {
    ("trueconf", "API v3.11"): """
        sign in    | POST   | /oauth2/v1/token            |                            | Content-Type: application/json | $TRUECONF | Server API
        list       | GET    | /api/v3.11/conferences      | page_id page_size=100 tag? | $BEARER                        |           | Server API
        look again | GET    | /api/v3.11/conferences/{id} |                            | $BEARER                        |           | Server API
        delete     | DELETE | /api/v3.11/conferences/{id} |                            | $BEARER                        |           | Server API
    """,
    ("trueconf", "API v4"): """
        sign in    | POST   | /api/v4/oauth2/token     |                     | Content-Type: application/json | $TRUECONF | the vendor's v4 clients
        list       | GET    | /api/v4/conferences      | page page_size=1000 | $BEARER                        |           | the vendor's v4 clients
        look again | GET    | /api/v4/conferences/{id} |                     | $BEARER                        |           | the vendor's v4 clients
        delete     | DELETE | /api/v4/conferences/{id} |                     | $BEARER                        |           | the vendor's v4 clients
    """,
    ("trueconf", "Listed through a Room"): """
        sign in there | frame  | auth                        |  |                                | JSON: method=auth type=secured credentials requestId | VideoSDK API
        list          | frame  | getScheduler                |  |                                | JSON: method=getScheduler requestId                  | VideoSDK API
        sign in       | POST   | /oauth2/v1/token            |  | Content-Type: application/json | $TRUECONF                                            | Server API
        look up       | GET    | /api/v3.11/conferences/{id} |  | $BEARER                        |                                                      | Server API
        delete        | DELETE | /api/v3.11/conferences/{id} |  | $BEARER                        |                                                      | Server API
    """,
    ("vobiz", "Live rooms"): """
        list    | GET    | /api/v1/Account/{auth_id}/Conference/        |  | $VOBIZ |  | conference/retrieve-all-conferences
        look up | GET    | /api/v1/Account/{auth_id}/Conference/{name}/ |  | $VOBIZ |  | conference/retrieve-conference
        hang up | DELETE | /api/v1/Account/{auth_id}/Conference/{name}/ |  | $VOBIZ |  | conference/hang-up-conference
    """,
    ("vobiz", "Recordings"): """
        list    | GET    | /api/v1/Account/{auth_id}/Recording/      | limit=100 offset | $VOBIZ |  | recording/list-all-recordings
        archive | GET    | {recording_url}                           |                  | $VOBIZ |  | recording/recording-object
        delete  | DELETE | /api/v1/Account/{auth_id}/Recording/{id}/ |                  | $VOBIZ |  | recording
    """,
    ("huawei", "Recordings"): """
        sign in          | POST   | /v2/usg/acs/auth/appauth                    |                       | $HMAC            | $APP | meeting_21_0311
        ends of meetings | GET    | /v1/mmc/management/conferences/history      | $WINDOW               | $TOKEN           |      | meeting_21_0051
        list             | GET    | /v1/mmc/management/record/files             | $WINDOW               | $TOKEN           |      | meeting_21_0048
        finished?        | GET    | /v1/mmc/management/conferences/record/files | confUUID              | $TOKEN           |      | meeting_21_0049
        files            | GET    | /v1/mmc/management/record/downloadurls      | confUUID offset limit | $TOKEN           |      | API reference
        archive          | GET    | {url}                                       |                       | Authorization: … |      | API reference
        delete           | DELETE | /v1/mmc/management/record/files             | confUUIDs             | $TOKEN           |      | meeting_21_0050
        give back        | DELETE | /v1/usg/acs/token                           |                       | $TOKEN           |      | meeting_21_0307
    """,
    ("huawei", "Meetings (list only)"): """
        sign in | POST | /v2/usg/acs/auth/appauth               |         | $HMAC  | $APP | meeting_21_0311
        list    | GET  | /v1/mmc/management/conferences/history | $WINDOW | $TOKEN |      | meeting_21_0051
    """,
    ("vonage", "Company recordings"): """
        sign in | POST   | /token                                                                            |       | $FORM   | $VONAGE | create-an-access-token
        list    | GET    | /t/vbc.prod/call_recording/api/accounts/{account_id}/company_call_recordings      | $PAGE | $BEARER |         | call-recording
        archive | GET    | /t/vbc.prod/call_recording/api/audio/recording/{id}                               |       | $BEARER |         | call-recording
        delete  | DELETE | /t/vbc.prod/call_recording/api/accounts/{account_id}/company_call_recordings/{id} |       | $BEARER |         | call-recording
    """,
    ("vonage", "On-demand recordings"): """
        sign in | POST   | /token                                                                                    |                | $FORM   | $VONAGE | create-an-access-token
        users   | GET    | /t/vbc.prod/provisioning/api/accounts/{account_id}/users                                  | page page_size | $BEARER |         | provisioning
        list    | GET    | /t/vbc.prod/call_recording/api/accounts/{account_id}/users/{user_id}/call_recordings      | $PAGE          | $BEARER |         | call-recording
        archive | GET    | /t/vbc.prod/call_recording/api/audio/recording/{id}                                       |                | $BEARER |         | call-recording
        delete  | DELETE | /t/vbc.prod/call_recording/api/accounts/{account_id}/users/{user_id}/call_recordings/{id} |                | $BEARER |         | call-recording
    """,
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One kind of request."""

    purpose: str
    method: str
    path: str
    query: str
    headers: str
    body: str
    documented: str


def rows(vendor: str, source: str) -> list[Row]:
    """The table of one source."""
    lines = Template(SOURCES[vendor, source]).substitute(SHORT).strip().splitlines()
    return [Row(*(cell.strip() for cell in line.split("|"))) for line in lines]


def markdown(vendor: str) -> str:
    """The tables of a vendor, as they stand in its page of documentation."""
    parts = []
    for name, source in SOURCES:
        if name == vendor:
            lines = [HEAD, ("---",) * len(HEAD), *map(_cells, rows(vendor, source))]
            parts += [f"### {source}", "\n".join("| " + " | ".join(line) + " |" for line in lines)]
    return "\n\n".join(parts)


def _cells(row: Row) -> tuple[str, ...]:
    kind, _, names = row.body.rpartition(": ")
    body = " ".join(filter(None, (kind, _code(names.split()))))
    return (
        row.purpose,
        row.method,
        f"`{row.path}`",
        _code(row.query.split()),
        _code(headers(row)),
        body,
        row.documented,
    )


def _code(words: list[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def headers(row: Row) -> list[str]:
    """``Name: value`` each; a ``;`` may also stand inside of a value."""
    return re.split(r"; (?=[\w-]+: )", row.headers) if row.headers else []


def documented(vendor: str) -> tuple[Path, str, str]:
    """A vendor's page: where it is, what it says, and what it should say."""
    page = DOCS / f"{vendor}.md"
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return page, text, f"{before}{BEGIN}\n\n{markdown(vendor)}\n\n{END}{after}"


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    for vendor in dict.fromkeys(name for name, _ in SOURCES):
        page, _, wanted = documented(vendor)
        page.write_text(wanted, encoding="utf-8")
