"""From the TOML file to checked settings: every mistake at once, each with the key it is in."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import trustme
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from confcleanup import providers
from confcleanup.config import load as config
from confcleanup.config.load import Config
from confcleanup.config.places import VARIABLE, find, system_path, user_path
from confcleanup.config.rules import rules
from confcleanup.cutoff import Period
from confcleanup.errors import ConfigError
from confcleanup.filter import Rule
from confcleanup.guards import Limits
from confcleanup.providers.base import Source
from tests.fake import Fake, FakeRule

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

ACCOUNT = """
[accounts.hq]
provider = "trueconf"
url = "https://conf.example.com"
client_id = "confcleanup"
client_secret = { env = "TRUECONF_SECRET" }
"""
RULE = """
[[accounts.hq.rules]]
what = "conferences"
older_than = "30 days"
"""
WHOLE = ACCOUNT + RULE
COPIES = "name = 'n'\narchive = '/a'\n"
HISTORY = "[state]\nkeep_history = '12 months'\n"

Load = Callable[..., Config]
Mistakes = Callable[..., dict[str, str]]

posix = pytest.mark.skipif(os.name != "posix", reason="only POSIX files have modes")


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Writes a config file and loads it."""

    def written(content: str | bytes, mode: int = 0o600) -> Config:
        file = tmp_path / "config.toml"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        file.chmod(mode)
        return config.load(file)

    return written


@pytest.fixture
def mistakes(load: Load) -> Mistakes:
    """Loads a config that cannot be used; gives each mistake by its key."""

    def found(content: str | bytes, mode: int = 0o600) -> dict[str, str]:
        with pytest.raises(ConfigError) as caught:
            load(content, mode)
        problems = caught.value.problems
        assert len({problem.key for problem in problems}) == len(problems), "a key is blamed twice"
        return {problem.key: problem.message for problem in problems}

    return found


def rule_of(loaded: Config, number: int = 0, **given_here: Any) -> Rule:
    """A rule of the one account, as the run would get it."""
    (account,) = loaded.accounts.values()
    return rules(loaded, [account], NOW, given_here.get("older_than"), given_here.get("before"))[account.name][number]


# --- what a good file becomes -----------------------------------------------------------------------


def test_a_small_config_is_enough(load: Load) -> None:
    loaded = load(WHOLE)
    assert list(loaded.accounts) == ["hq"]
    assert loaded.zone == ZoneInfo("UTC")
    assert loaded.accounts["hq"].limits == Limits()
    assert loaded.warnings == ()


def test_an_empty_state_and_limits_are_as_good_as_none(load: Load) -> None:
    loaded = load("[state]\n[limits]\n" + WHOLE)
    assert loaded.state.directory is None
    assert loaded.accounts["hq"].limits == Limits()


def test_the_state_folder_may_be_named(load: Load) -> None:
    assert load('[state]\ndirectory = "/var/lib/x"\n' + WHOLE).state.directory == "/var/lib/x"


def test_a_rules_own_age_counts_before_the_one_for_all_rules(load: Load) -> None:
    loaded = load('older_than = "7 days"\n' + WHOLE + "[[accounts.hq.rules]]\n")
    assert [rule_of(loaded, number).age for number in (0, 1)] == ["30 days", "7 days"]
    assert rule_of(loaded, 1).cutoff == NOW - timedelta(days=7)


def test_an_age_given_for_this_run_counts_before_every_other(load: Load) -> None:
    rule = rule_of(load(WHOLE), older_than=Period.parse("2 days"))
    assert (rule.cutoff, rule.age) == (NOW - timedelta(days=2), "2 days")


def test_an_instant_given_for_this_run_counts_before_every_other(load: Load) -> None:
    before = NOW - timedelta(days=100)
    rule = rule_of(load(WHOLE), before=before)
    assert (rule.cutoff, rule.age) == (before, "")


def test_ages_are_counted_in_the_files_time_zone(load: Load) -> None:
    loaded = load('timezone = "America/New_York"\n' + ACCOUNT + '[[accounts.hq.rules]]\nolder_than = "1 month"\n')
    account = loaded.accounts["hq"]
    (rule,) = rules(loaded, [account], datetime(2026, 3, 1, 2, 0, tzinfo=UTC))[account.name]
    assert rule.cutoff == datetime(2026, 1, 29, 2, 0, tzinfo=UTC)


def test_every_key_of_a_rule_reaches_the_selection(load: Load) -> None:
    keys = 'name = "n"\ntags = ["a"]\nkeep_tags = ["b"]\nkeep_ids = ["0048"]\ntitle = "t*"\nowner = "o"\nrooms = true\n'
    rule = rule_of(load(WHOLE + keys))
    assert (rule.name, rule.what, rule.tags, rule.keep_tags) == ("n", "conferences", ("a",), ("b",))
    assert (rule.keep_ids, rule.title, rule.owner, rule.rooms) == (frozenset({"0048"}), "t*", "o", True)


def test_rules_without_a_name_are_named_after_what_they_select(load: Load) -> None:
    loaded = load(WHOLE + RULE + RULE)
    assert [rule.name for rule in loaded.accounts["hq"].rules] == ["conferences", "conferences 2", "conferences 3"]


def test_a_provider_with_one_source_needs_no_what(load: Load) -> None:
    assert rule_of(load(ACCOUNT + '[[accounts.hq.rules]]\nolder_than = "1 day"')).what == "conferences"


def test_a_users_own_token_deletes_only_the_users_own_conferences(load: Load) -> None:
    user = WHOLE.replace("client_secret", 'username = "anna"\npassword')
    assert rule_of(load(user)).owner == "anna"
    assert rule_of(load(user + 'owner = "*"')).owner == "*"
    assert rule_of(load(WHOLE)).owner is None


def test_an_empty_owner_is_a_filter_that_nothing_matches_and_not_no_filter(load: Load) -> None:
    assert rule_of(load(WHOLE + 'owner = ""')).owner == ""


def test_a_call_string_among_the_ids_to_keep_means_the_conference(load: Load) -> None:
    rule = rule_of(load(WHOLE + r"keep_ids = ['\c\0048411004', '0048']"))
    assert rule.keep_ids == {"0048411004", "0048"}


def test_limits_stand_for_all_accounts_and_an_account_may_have_its_own(load: Load) -> None:
    text = '[limits]\nmax_deletions = 5\nmax_share = "12.5%"\nmax_runtime = "1 hour"\n' + WHOLE
    assert load(text).accounts["hq"].limits == Limits(5, Fraction(1, 8), max_runtime=timedelta(hours=1))
    own = text.replace('url = "', 'max_deletions = 7\nmax_growth = 2.5\nurl = "')
    assert load(own).accounts["hq"].limits == Limits(7, Fraction(1, 8), 2.5, timedelta(hours=1))
    table = text + '[accounts.hq.limits]\nmax_deletions = 8\nmax_clock_skew = "1 s"'
    assert load(table).accounts["hq"].limits == Limits(
        8, Fraction(1, 8), max_runtime=timedelta(hours=1), max_clock_skew=timedelta(seconds=1)
    )


def test_a_limit_of_zero_stays_zero(load: Load) -> None:
    limits = load('[limits]\nmax_deletions = 9\nmax_share = "0%"\n' + WHOLE + "[accounts.hq.limits]\nmax_deletions = 0")
    assert (limits.accounts["hq"].limits.max_deletions, limits.accounts["hq"].limits.max_share) == (0, 0)


# --- mistakes ---------------------------------------------------------------------------------------


def test_every_mistake_is_told_at_once_each_with_its_key(mistakes: Mistakes) -> None:
    found = mistakes(
        """
        timezone = "Europe/Berlyn"
        older_then = "1 day"
        [limits]
        max_deletion = 5
        max_share = "110%"
        [state]
        folder = "/x"
        [accounts.hq]
        provider = "trueconf"
        url = "http://conf.example.com"
        timeout = "soon"
        client_secret = "s"
        [[accounts.hq.rules]]
        what = "conference"
        [[accounts.hq.rules]]
        older_than = "-3 days"
        rooms = "yes"
        keeptags = ["x"]
        [accounts.other]
        provider = "true-conf"
        [accounts.third]
        """
    )
    assert sorted(found) == [
        "accounts.hq.rules[1].what",
        "accounts.hq.rules[2].keeptags",
        "accounts.hq.rules[2].older_than",
        "accounts.hq.rules[2].rooms",
        "accounts.hq.timeout",
        "accounts.other.provider",
        "accounts.third.provider",
        "limits.max_deletion",
        "limits.max_share",
        "older_then",
        "state.folder",
        "timezone",
    ]


@pytest.mark.parametrize(
    ("content", "key", "nearest"),
    [
        ('older_then = "1 day"\n' + WHOLE, "older_then", "older_than"),
        ("[limit]\n" + WHOLE, "limit", "limits"),
        ("[limits]\nmax_deletion = 1\n" + WHOLE, "limits.max_deletion", "max_deletions"),
        ('[state]\ndirectry = "x"\n' + WHOLE, "state.directry", "directory"),
        (ACCOUNT + 'client_pin = "x"' + RULE, "accounts.hq.client_pin", "client_id"),
        (WHOLE + "[accounts.hq.limits]\nmax_deletion = 1", "accounts.hq.limits.max_deletion", "max_deletions"),
        (WHOLE + 'keep_id = ["x"]', "accounts.hq.rules[1].keep_id", "keep_ids"),
        (WHOLE.replace('"conferences"', '"conferencs"'), "accounts.hq.rules[1].what", "conferences"),
        (WHOLE.replace('"trueconf"', '"truecon"'), "accounts.hq.provider", "trueconf"),
        ('timezone = "Europe/Berln"\n' + WHOLE, "timezone", "Europe/Berlin"),
        (WHOLE + '"odd key" = 1', 'accounts.hq.rules[1]."odd key"', ""),
    ],
)
def test_an_unknown_key_or_name_is_told_with_the_nearest_known_one(
    mistakes: Mistakes, content: str, key: str, nearest: str
) -> None:
    found = mistakes(content)
    assert list(found) == [key]
    assert f"unknown; did you mean {nearest!r}?" in found[key] or not nearest


def test_an_unknown_key_that_resembles_nothing_is_told_with_all_known_ones(mistakes: Mistakes) -> None:
    assert mistakes("zzz = 1\n" + WHOLE)["zzz"].startswith("unknown; known are: accounts, ")


@pytest.mark.parametrize(
    ("content", "key", "message"),
    [
        ("timezone = 1\n" + WHOLE, "timezone", "expected text, got a whole number"),
        ("older_than = 30\n" + WHOLE, "older_than", 'expected a length of time in quotes, for example "30 days"'),
        ('limits = "x"\n' + WHOLE, "limits", "expected a table, got text"),
        ("[limits]\nmax_deletions = true\n" + WHOLE, "limits.max_deletions", "expected a whole number, got true or"),
        ("[limits]\nmax_deletions = 1.5\n" + WHOLE, "limits.max_deletions", "expected a whole number, got a number"),
        ("[limits]\nmax_deletions = -1\n" + WHOLE, "limits.max_deletions", ">= 0"),
        ("[limits]\nmax_share = 25\n" + WHOLE, "limits.max_share", "expected a percentage in quotes"),
        ('[limits]\nmax_runtime = "0 s"\n' + WHOLE, "limits.max_runtime", "must be more than zero"),
        ('[limits]\nmax_runtime = "1 month"\n' + WHOLE, "limits.max_runtime", "no fixed length"),
        (ACCOUNT + "concurrency = 0" + RULE, "accounts.hq.concurrency", ">= 1"),
        (ACCOUNT + 'concurrency = "8"' + RULE, "accounts.hq.concurrency", "expected a whole number, got text"),
        (ACCOUNT + 'rate = "20"' + RULE, "accounts.hq.rate", "is not a rate"),
        (ACCOUNT + "ca_file = []" + RULE, "accounts.hq.ca_file", "expected a path in quotes"),
        (ACCOUNT + 'limits = "x"' + RULE, "accounts.hq.limits", "expected a table"),
        (WHOLE + "tags = 'delete'", "accounts.hq.rules[1].tags", "expected a list, got text"),
        (WHOLE + "tags = [1]", "accounts.hq.rules[1].tags", "expected text, got a whole number"),
        (WHOLE + "title = 1", "accounts.hq.rules[1].title", "expected text, got a whole number"),
        (WHOLE + "keep_ids = [1.5]", "accounts.hq.rules[1].keep_ids", "expected a whole number or text, got a number"),
        (WHOLE + "keep_last = 0\nper = 'owner'", "accounts.hq.rules[1].keep_last", "expected a whole number >= 1"),
        (WHOLE + "keep_last = -3\nper = 'owner'", "accounts.hq.rules[1].keep_last", "expected a whole number >= 1"),
        (WHOLE + "keep_last = 2.5\nper = 'owner'", "accounts.hq.rules[1].keep_last", "expected a whole number, got a"),
        (WHOLE + "keep_last = 3", "accounts.hq.rules[1].per", 'is missing beside keep_last; write "owner"'),
        (WHOLE + "per = 'owner'", "accounts.hq.rules[1].keep_last", "is missing beside per"),
        (WHOLE + "keep_archive = '2 years'", "accounts.hq.rules[1].keep_archive", "the rule has no archive"),
        (
            WHOLE + "archive = '/a'\nkeep_archive = '2 years'",
            "accounts.hq.rules[1].name",
            "is missing beside keep_archive",
        ),
        (WHOLE + COPIES + "keep_archive = '0 days'", "accounts.hq.rules[1].keep_archive", "must be more than zero"),
        (WHOLE + COPIES + "keep_archive = '-1 day'", "accounts.hq.rules[1].keep_archive", "is not a length of time"),
        (WHOLE + COPIES + "keep_archive = '5 hours'", "accounts.hq.rules[1].keep_archive", "at least one day"),
        (WHOLE + COPIES + "keep_archive = '3000 years'", "accounts.hq.rules[1].keep_archive", "is too long a time"),
        (
            HISTORY + WHOLE + COPIES + "keep_archive = '1 year'",
            "accounts.hq.rules[1].keep_archive",
            "state.keep_history (12",
        ),
        (WHOLE + "rooms = true", "accounts.hq.rules[1].rooms", "needs tags"),
        (WHOLE + "keep_ids = [48411003]", "accounts.hq.rules[1].keep_ids", "write 48411003 in quotes"),
        (WHOLE.replace('url = "', 'uri = "'), "accounts.hq.url", "is missing"),
        (WHOLE.replace('older_than = "30 days"', ""), "accounts.hq.rules[1].older_than", "is missing"),
        (ACCOUNT, "accounts.hq.rules", "there is no rule"),
        (ACCOUNT + "rules = []", "accounts.hq.rules", "there is no rule"),
        (ACCOUNT + "rules = [1]", "accounts.hq.rules[1].what", "is missing; it is one of: conferences"),
        (WHOLE + 'name = "a"\n' + RULE + 'name = "a"', "accounts.hq.rules[2].name", "of another rule"),
        ("[accounts]\nhq = 1", "accounts.hq", "expected a table"),
        ("accounts = 1", "accounts", "there is no account"),
        ("accounts = {}", "accounts", "there is no account"),
        ("", "accounts", "there is no account"),
        (WHOLE.replace('provider = "trueconf"', ""), "accounts.hq.provider", "is missing; it is one of: trueconf"),
        (WHOLE.replace('"30 days"', '"3000 years"'), "accounts.hq.rules[1].older_than", "is too long a time"),
        ('older_than = "3000 years"\n' + ACCOUNT + "[[accounts.hq.rules]]", "accounts.hq.rules[1].older_than", "long"),
        (WHOLE.replace('client_id = "confcleanup"', ""), "accounts.hq.client_id", "is missing beside client_secret"),
        (ACCOUNT + 'access_token = "x"' + RULE, "accounts.hq", "give one way to sign in"),
        (WHOLE.replace('{ env = "TRUECONF_SECRET" }', "{}"), "accounts.hq.client_secret", "a secret is"),
    ],
)
def test_a_wrong_value_is_told_in_plain_words(mistakes: Mistakes, content: str, key: str, message: str) -> None:
    found = mistakes(content)
    assert message in found[key]
    assert set(found) - {key} <= {"accounts.hq.uri"}


def test_what_is_wrong_in_keep_last_and_per_is_told_together(mistakes: Mistakes) -> None:
    assert mistakes(WHOLE + "keep_last = 0\nper = 'owners'") == {
        "accounts.hq.rules[1].keep_last": "expected a whole number >= 1",
        "accounts.hq.rules[1].per": '\'owners\' is unknown; write "owner" or "title" or "account"',
    }


@pytest.mark.parametrize(
    ("account", "what", "key", "says"),
    [
        ('provider = "vobiz"\nauth_id = "MA_1"\nauth_token = "x"', "conferences", "keep_last", "does not apply"),
        ('provider = "vobiz"\nauth_id = "MA_1"\nauth_token = "x"', "recordings", "per", "does not say who owns"),
        ('provider = "huawei"\napp_id = "a"\napp_key = "x"', "meetings", "keep_last", "does not apply"),
    ],
)
def test_the_newest_are_kept_only_where_that_means_something(
    mistakes: Mistakes, account: str, what: str, key: str, says: str
) -> None:
    lengths = 'max_duration = "1 day"' if key == "keep_last" and "vobiz" in account else 'older_than = "1 day"'
    rule = f'[[accounts.a.rules]]\nwhat = "{what}"\n{lengths}\nkeep_last = 3\nper = "owner"\n'
    found = mistakes(f"[accounts.a]\n{account}\n{rule}")
    assert list(found) == [f"accounts.a.rules[1].{key}"]
    assert says in found[f"accounts.a.rules[1].{key}"]


def test_every_rule_carries_what_keeps_the_newest_in_its_account_and_in_another_that_is_the_same_one(
    load: Load,
) -> None:
    same = (ACCOUNT + RULE).replace("accounts.hq", "accounts.same") + 'keep_last = 1\nper = "title"\n'
    loaded = load(WHOLE + 'keep_last = 3\nper = "owner"\n' + RULE + same)
    for rule in rules(loaded, [loaded.accounts["hq"]], NOW)["hq"]:
        kept = [(keeper.name, keeper.keep_last, keeper.per) for keeper in rule.keepers]
        assert kept == [("conferences", 3, "owner"), ("conferences of same", 1, "title")]


def test_a_limit_that_an_account_gives_twice_is_a_mistake(mistakes: Mistakes) -> None:
    found = mistakes(ACCOUNT + "max_deletions = 1\n" + RULE + "[accounts.hq.limits]\nmax_deletions = 1")
    assert found == {"accounts.hq.limits.max_deletions": "is also given as accounts.hq.max_deletions"}


def test_a_mistake_in_the_age_for_all_rules_is_blamed_once_and_not_on_the_rules(mistakes: Mistakes) -> None:
    assert list(mistakes('older_than = "soon"\n' + ACCOUNT + "[[accounts.hq.rules]]")) == ["older_than"]


@pytest.mark.parametrize(
    "name", ["Mars/Olympus", "", "Europe", "../../etc/passwd", "CEST+1", "Europe/Berlin\\u0000", "/etc/localtime"]
)
def test_a_time_zone_that_is_none_is_a_mistake(mistakes: Mistakes, name: str) -> None:
    assert mistakes(f'timezone = "{name}"\n' + WHOLE)["timezone"].startswith("unknown;")


def test_a_mistake_names_neither_secrets_nor_addresses_with_secrets(mistakes: Mistakes) -> None:
    text = WHOLE.replace("https://conf", "ftp://anna:hunter22@conf").replace('{ env = "TRUECONF_SECRET" }', "[1]")
    assert "hunter22" not in str(mistakes(text + 'password = "hunter22"'))
    assert "hunter22" not in str(mistakes(WHOLE.replace("conf.example.com", "conf.example.com?token=hunter22")))
    assert "hunter22" not in str(mistakes(WHOLE.replace("https://conf.example.com", "anna:hunter22@conf:port")))


class Sealed(Fake):
    """A vendor whose things cannot be archived."""

    sources = {"things": Source("sealed things", FakeRule, archivable=False), "files": Source("files", FakeRule)}


FAKE = """
older_than = "1 day"
[accounts.hq]
provider = "fake"
url = "https://x"
[[accounts.hq.rules]]
"""


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider more."""
    monkeypatch.setitem(providers.BUILT_IN, "fake", lambda: Sealed)


@pytest.mark.usefixtures("fake")
def test_what_cannot_be_archived_is_a_mistake_where_the_rule_asks_for_an_archive(
    load: Load, mistakes: Mistakes
) -> None:
    assert "cannot be archived" in mistakes(FAKE + 'what = "things"\narchive = "/srv"')["accounts.hq.rules[1].archive"]
    assert load(FAKE + 'what = "things"')
    assert load(FAKE + 'what = "files"\narchive = "/srv"')


@pytest.mark.usefixtures("fake")
def test_where_a_provider_has_several_sources_a_rule_must_name_one(mistakes: Mistakes) -> None:
    assert mistakes(FAKE)["accounts.hq.rules[1].what"] == "is missing; it is one of: things, files"


@pytest.mark.usefixtures("fake")
def test_ids_to_keep_may_be_numbers_where_the_vendors_ids_are(load: Load) -> None:
    assert rule_of(load(FAKE + 'what = "files"\nkeep_ids = [204417, "x"]')).keep_ids == {"204417", "x"}


@pytest.mark.parametrize(
    ("hold", "key", "message"),
    [
        ('reason = "x"', "holds.hold[1]", "needs at least one of id, owner, title, tag"),
        ('id = "1"', "holds.hold[1].reason", "is missing"),
        ('id = "1"\nreason = " "', "holds.hold[1].reason", "is empty"),
        ('id = "1"\nreason = "x"\nuntil = "soon"', "holds.hold[1].until", "is not a date or time"),
        ('ids = "1"\nreason = "x"', "holds.hold[1].ids", "did you mean 'id'?"),
    ],
)
def test_a_mistake_in_a_legal_hold_is_told_with_its_number(
    mistakes: Mistakes, hold: str, key: str, message: str
) -> None:
    assert message in mistakes(f"{WHOLE}[[holds.hold]]\n{hold}")[key]


# --- the file itself --------------------------------------------------------------------------------


def test_a_byte_order_mark_is_no_matter(load: Load) -> None:
    assert list(load(b"\xef\xbb\xbf" + WHOLE.encode()).accounts) == ["hq"]


def test_windows_line_ends_are_no_matter(load: Load) -> None:
    assert list(load(WHOLE.replace("\n", "\r\n")).accounts) == ["hq"]


def test_a_file_that_is_not_utf8_is_refused_with_the_place(mistakes: Mistakes) -> None:
    assert mistakes(b"# ...\ntimezone = '\xe4'")[""].endswith("is not UTF-8 text (line 2, byte 18); save it as UTF-8")


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_as_windows_writes_it_is_named(mistakes: Mistakes, coding: str) -> None:
    assert "is UTF-16 text" in mistakes(WHOLE.encode(coding))[""]
    assert "save it as UTF-8" in mistakes(WHOLE.encode(coding))[""]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("timezone = \u201cUTC\u201d", "\u201c is a typographic quotation mark; write \" or ' instead"),
        ("timezone = \u2018UTC\u2019", "\u2018 is a typographic quotation mark; write \" or ' instead"),
        ("timezone = \u201eUTC\u201c", "\u201e is a typographic quotation mark; write \" or ' instead"),
        ('timezone = "UTC\u201d', "\u201d is a typographic quotation mark; write \" or ' instead"),
        ('timezone\u00a0= "UTC"', "Character 9 of the line is not a plain blank (U+00A0); type it anew"),
        ('timezone = "UTC"\u200b', "Character 17 of the line is not a plain blank (U+200B); type it anew"),
        ('timezone = "C:\\Users"', "a backslash begins an escape; write '…' around the text, or each backslash twice"),
        ('timezone = "C:\\logs\\"', "a backslash begins an escape; write '…' around the text, or each backslash twice"),
    ],
)
def test_what_is_often_pasted_into_a_file_is_told_with_what_to_write(mistakes: Mistakes, line: str, told: str) -> None:
    found = mistakes(f"\n{line}\n{WHOLE}")[""]
    assert "line 2, column" in found
    assert found.endswith(told)


def test_what_is_right_about_a_wrong_line_is_not_blamed(mistakes: Mistakes) -> None:
    found = mistakes("timezone = '\u201cUTC\u201d' UTC # \u00a0\n" + WHOLE)[""]
    assert found.endswith(")"), "TOML's own message, without a hint"


def test_a_hint_does_not_show_what_may_be_a_password(mistakes: Mistakes) -> None:
    assert "hunter22" not in mistakes('client_secret = "hunter22\\Y"\n')[""]


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ('timezone = "UTC"\nolder_than = 30 days', "line 2, column"),
        ("[accounts.hq\n", "line 1, column"),
        ("a = 1\na = 2\n", "line 2, column"),
        ("a = 1\n\n[a.b]\n", "line 3, column"),
    ],
)
def test_a_mistake_of_syntax_is_told_with_line_and_column(mistakes: Mistakes, content: str, place: str) -> None:
    found = mistakes(content)[""]
    assert "is not valid TOML" in found
    assert place in found


def test_a_file_that_is_not_there_is_told_with_the_command_that_writes_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no file .*missing\.toml\. Write one with: confcleanup -c .* init"):
        config.load(tmp_path / "missing.toml")


def test_a_folder_is_no_config_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load(tmp_path)


def test_mistakes_name_the_file(tmp_path: Path, load: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load("zzz = 1")
    assert caught.value.source == str(tmp_path / "config.toml")


@examples(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.text(max_size=80) | st.binary(max_size=80))
def test_whatever_stands_in_the_file_a_mistake_is_explained(load: Load, content: str | bytes) -> None:
    with pytest.raises(ConfigError):
        load(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)


values = st.recursive(
    st.sampled_from(['"x"', '"1 day"', "1", "-1", "1.5", "true", "2026-01-31", "07:00:00", "nan", "[]", "{}"]),
    lambda inner: (
        st.lists(inner, max_size=2).map(lambda some: f"[{', '.join(some)}]")
        | inner.map(lambda value: f"{{ x = {value} }}")
    ),
    max_leaves=4,
)
places_of_values = [
    *(f"{key} = @" for key in ("timezone", "older_than", "limits", "state", "holds", "accounts", "accounts.hq")),
    *(f"limits.{key} = @" for key in ("max_deletions", "max_share", "max_growth", "max_runtime")),
    *(
        f'accounts.hq = {{ provider = "trueconf", {key} = @ }}'
        for key in ("url", "rate", "timeout", "ca_file", "limits", "rules", "client_secret", "room_url")
    ),
    *(
        f'accounts.hq = {{ provider = "trueconf", rules = [{{ {key} = @ }}] }}'
        for key in ("what", "name", "older_than", "keep_ids", "tags", "title", "owner", "rooms")
    ),
    *("holds.file = @", "holds.hold = [@]", "holds.hold = [{ reason = @ }]", "accounts.hq = { provider = @ }"),
]


@examples(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.sampled_from(places_of_values), values)
def test_whatever_value_a_key_has_nothing_but_an_explanation_comes_of_it(load: Load, place: str, value: str) -> None:
    with contextlib.suppress(ConfigError):
        load(place.replace("@", value))


@posix
@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440])
def test_a_file_that_only_its_owner_or_group_reads_may_hold_secrets(load: Load, mode: int) -> None:
    assert load(WHOLE.replace('{ env = "TRUECONF_SECRET" }', '"s3cr3t"'), mode).warnings == ()


@posix
def test_a_file_with_secrets_that_everybody_can_read_is_refused_naming_them(mistakes: Mistakes) -> None:
    told = mistakes(WHOLE.replace('{ env = "TRUECONF_SECRET" }', '"s3cr3t"'), 0o644)[""]
    assert "holds secrets (accounts.hq.client_secret) and is readable by everyone: chmod o-r" in told
    assert "s3cr3t" not in told


@posix
def test_a_file_without_secrets_may_be_read_by_everybody(load: Load) -> None:
    assert load(WHOLE, 0o644).warnings == ()


@posix
@pytest.mark.parametrize("mode", [0o602, 0o606, 0o666, 0o622])
def test_a_file_that_everybody_can_write_is_refused(mistakes: Mistakes, mode: int) -> None:
    assert "is writable by everyone: chmod o-w" in mistakes(WHOLE, mode)[""]


@posix
@pytest.mark.parametrize("mode", [0o620, 0o660, 0o664])
def test_a_file_that_its_group_can_write_draws_a_warning(load: Load, mode: int) -> None:
    (warning,) = load(WHOLE, mode).warnings
    assert "is writable by its group" in warning


@posix
def test_a_link_is_judged_by_the_file_it_leads_to(tmp_path: Path, mistakes: Mistakes) -> None:
    assert mistakes(WHOLE, 0o602)
    link = tmp_path / "link.toml"
    link.symlink_to(tmp_path / "config.toml")
    with pytest.raises(ConfigError, match="everyone"):
        config.load(link)


# --- where the file is looked for -------------------------------------------------------------------


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The user's and the machine's place for the file, both in a folder of the test."""
    user, system = tmp_path / "user.toml", tmp_path / "system.toml"
    monkeypatch.setattr("confcleanup.config.places.user_path", lambda: user)
    monkeypatch.setattr("confcleanup.config.places.system_path", lambda: system)
    monkeypatch.delenv(VARIABLE, raising=False)
    return user, system


def test_the_file_given_counts_before_the_environment_the_user_and_the_machine(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    user, system = places
    system.touch()
    assert find(None) == system
    user.touch()
    assert find(None) == user
    monkeypatch.setenv(VARIABLE, "from-environment.toml")
    assert find(None) == Path("from-environment.toml")
    assert find("given.toml") == Path("given.toml")


def test_if_there_is_no_file_every_place_that_was_looked_at_is_named(places: tuple[Path, Path]) -> None:
    with pytest.raises(ConfigError, match="confcleanup init") as caught:
        find(None)
    assert all(str(place) in str(caught.value) for place in places)


def test_the_file_belongs_in_the_platforms_config_folders() -> None:
    assert user_path().parts[-2:] == ("confcleanup", "config.toml")
    assert system_path().parts[-2:] == ("confcleanup", "config.toml")
    assert user_path() != system_path()


# --- what an account needs from its machine ---------------------------------------------------------


def test_everything_that_is_missing_is_told_at_once(load: Load, tmp_path: Path) -> None:
    loaded = load(
        ACCOUNT.replace("TRUECONF_SECRET", "CONFCLEANUP_TEST_NOT_SET")
        + f"ca_file = '{tmp_path / 'ca.crt'}'\nroom_url = \"wss://room.example\"\n"
        + f"room_pin = {{ file = '{tmp_path / 'pin'}' }}"
        + RULE
    )
    with pytest.raises(ConfigError) as caught:
        loaded.accounts["hq"].require_ready()
    keys = [problem.key for problem in caught.value.problems]
    assert keys == ["accounts.hq.ca_file", "accounts.hq.client_secret", "accounts.hq.room_pin"]


def test_an_account_that_finds_everything_is_ready(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUECONF_SECRET", "a-secret-of-the-tests")
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.crt")
    load(ACCOUNT + f"ca_file = '{tmp_path / 'ca.crt'}'" + RULE).accounts["hq"].require_ready()


def test_nothing_is_read_or_run_while_the_file_is_checked(load: Load, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    command = f"{{ command = ['{sys.executable}', '-c', 'open(r\"{witness}\", \"w\")'] }}"
    load(WHOLE.replace('{ env = "TRUECONF_SECRET" }', command))
    assert not witness.exists()


# --- what decides is fingerprinted ------------------------------------------------------------------


def fingerprint(loaded: Config) -> str:
    return loaded.accounts["hq"].fingerprint


@pytest.mark.parametrize(
    "changed",
    [
        WHOLE.replace("30 days", "29 days"),
        WHOLE + 'title = "*"',
        WHOLE + RULE,
        WHOLE.replace("conf.example.com", "other.example.com"),
        'timezone = "Europe/Berlin"\n' + WHOLE,
        'older_than = "1 day"\n' + WHOLE,
    ],
)
def test_whatever_changes_what_is_selected_changes_the_accounts_fingerprint(load: Load, changed: str) -> None:
    assert fingerprint(load(changed)) != fingerprint(load(WHOLE))


@pytest.mark.parametrize(
    "changed",
    [
        "# a comment\n" + WHOLE,
        "[limits]\nmax_deletions = 3\n" + WHOLE,
        WHOLE.replace("TRUECONF_SECRET", "OTHER"),
        WHOLE + "[accounts.hq.limits]\nmax_deletions = 3",
        WHOLE.replace('"hq"', "hq"),
    ],
)
def test_brakes_secrets_and_comments_do_not_change_it(load: Load, changed: str) -> None:
    assert fingerprint(load(changed)) == fingerprint(load(WHOLE))


def test_a_word_out_of_a_few_is_refused_with_all_of_them(mistakes: Mistakes) -> None:
    found = mistakes(WHOLE + '[notify]\nwhen = "sometimes"\n')
    assert found == {"notify.when": '\'sometimes\' is unknown; write "always" or "trouble" or "change"'}


@pytest.mark.parametrize("key", ["ping", "apprise"])
def test_an_address_that_was_copied_badly_into_the_config_is_named_by_its_key(mistakes: Mistakes, key: str) -> None:
    address = '"https://hc.example.com/\u200babc"'
    found = mistakes(WHOLE + f"[notify]\n{key} = {address if key == 'ping' else f'[{address}]'}\n")
    at = "notify.ping" if key == "ping" else 'notify."apprise[1]"'
    assert found == {
        at: "the secret has an invisible character at position 24; copy it again from where the vendor shows it"
    }


def test_a_wrong_version_is_refused_with_those_that_there_are_not_with_a_pattern(mistakes: Mistakes) -> None:
    found = mistakes(ACCOUNT + 'api = "3"\n' + RULE)
    assert found == {"accounts.hq.api": '\'3\' is unknown; write "v3.11" or "v4"'}


@pytest.mark.parametrize("rate", ["1/min", "1/h"])
def test_a_rate_that_carries_no_look_together_with_its_deletion_is_a_mistake(mistakes: Mistakes, rate: str) -> None:
    found = mistakes(ACCOUNT + f'rate = "{rate}"' + RULE)
    assert found.keys() == {"accounts.hq.rate"}
    assert found["accounts.hq.rate"].startswith("is too low for conferences")


@pytest.mark.parametrize("rate", ["1/s", "2/min", "2/h", "unlimited"])
def test_a_rate_that_carries_a_look_together_with_its_deletion_is_fine(load: Load, rate: str) -> None:
    assert load(ACCOUNT + f'rate = "{rate}"' + RULE)
