"""Tables: on a terminal nothing is wider than it; elsewhere nothing is cut, and each row is one line."""

from __future__ import annotations

import tracemalloc
import unicodedata
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from confcleanup.cli.table import AT_ONCE, Column, Table, folded
from confcleanup.redact import harmless

COLUMNS = (Column("end"), Column("id", below=True), Column("title", 12), Column("reason", below=True))
ROW = ["2026-01-05 06:30 UTC", "0048411003", "Budget review", "ended 41 days ago, kept for 30 days"]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
ROWS = st.lists(st.tuples(st.just(ROW[0]), TEXT, TEXT, TEXT), min_size=1, max_size=6)


def written(rows: Sequence[Sequence[str]], width: int | None = None) -> list[str]:
    lines: list[str] = []
    assert Table(COLUMNS, width, lines.append).write(rows) == len(rows)
    return lines


@given(ROWS, st.integers(24, 200))
def test_on_a_terminal_no_line_is_wider_than_it_and_nothing_controls_it(rows: list[list[str]], width: int) -> None:
    for line in written(rows, width):
        assert cell_len(line) <= width
        assert not {"Cc", "Cf", "Zl", "Zp"} & set(map(unicodedata.category, line))


@given(ROWS)
def test_elsewhere_a_row_is_one_line_and_nothing_of_it_is_cut(rows: list[list[str]]) -> None:
    _, *lines = written(rows)
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        for cell in row:
            if cell.isascii() and cell.isprintable():
                assert cell.rstrip() in line


def test_a_row_fits_a_wide_terminal_under_the_names_of_the_columns() -> None:
    head, line = written([ROW], 100)
    assert head.split() == ["end", "id", "title", "reason"]
    assert line.index("Budget") == head.index("title")
    assert line.endswith(ROW[3])


def test_a_title_is_cut_before_a_row_takes_two_lines() -> None:
    _, line = written([[*ROW[:2], "Budget review of all departments", ROW[3]]], 92)
    assert "Budget review of a…  ended 41 days ago, kept for 30 days" in line


def test_on_a_narrow_terminal_the_id_and_the_reason_are_below_and_complete() -> None:
    first, second = written([ROW], 60)
    assert first == "  2026-01-05 06:30 UTC  Budget review"
    assert second == "    0048411003  ended 41 days ago, kept for 30 days"


def test_wide_characters_are_counted_as_they_are_shown() -> None:
    _, wide, narrow = written([[*ROW[:2], "会議", ROW[3]], ROW], 100)
    assert cell_len(wide[: wide.index("ended")]) == cell_len(narrow[: narrow.index("ended")])


def test_a_column_in_which_nothing_stands_is_left_out_on_a_terminal_and_stays_elsewhere() -> None:
    empty = [*ROW[:2], "", ROW[3]]
    assert "title" not in written([empty], 100)[0]
    assert "title" in written([empty])[0]
    assert written([empty])[1].split("  ")[3].strip() == "-"


def test_the_names_of_the_columns_come_again_if_a_later_row_needs_another_one() -> None:
    lines = written([[*ROW[:2], "", ROW[3]]] * AT_ONCE + [ROW], 100)
    assert [number for number, line in enumerate(lines) if "reason" in line] == [0, AT_ONCE + 1]


@given(TEXT.map(harmless), st.integers(24, 200))
def test_a_long_line_is_folded_between_words_and_nothing_of_it_is_lost(text: str, width: int) -> None:
    line = f"  {text} and {text}"
    parts = folded(line, width)
    assert all(cell_len(part) <= width for part in parts)
    assert "".join("".join(parts).split()) == "".join(line.split())
    assert folded(line, None) == [line]


def test_the_memory_does_not_grow_with_the_rows() -> None:
    table = Table(COLUMNS, 100, lambda line: None)
    table.write([ROW])
    tracemalloc.start()
    assert table.write(ROW for _ in range(20 * AT_ONCE)) == 20 * AT_ONCE
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500_000
