"""``python -m benchmarks``: measures, prints a table, and ends with 1 if a goal was missed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

from . import measures


def main() -> int:
    known = {measure.__name__: measure for measure in measures.ALL}
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all, or some of: {', '.join(known)}")
    parser.add_argument("--rounds", type=int, default=2, help="how often each side of a ratio is measured (2)")
    options = parser.parse_args()
    if unknown := set(options.names) - set(known):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    print(f"{measures.machine()}; medians of {options.rounds}\n", flush=True)
    missed = 0
    for name in options.names or known:
        missed += table(name, known[name](options.rounds))
    return 1 if missed else 0


def table(name: str, figures: Iterable[measures.Figure]) -> int:
    """Prints one measurement as a table, each line as soon as it is known; how many goals were missed."""
    print(f"### {name}\n\n| what | measured | goal | |\n| --- | --- | --- | --- |", flush=True)
    missed = 0
    for figure in figures:
        verdict = {True: "reached", False: "**missed**", None: ""}[figure.good]
        print(f"| {figure.what} | {figure.value} | {figure.goal} | {verdict} |", flush=True)
        missed += figure.good is False
    print(flush=True)
    return missed


if __name__ == "__main__":
    sys.exit(main())
