"""``python -m benchmarks``: measures, prints a table, and ends with 1 if a goal was missed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from . import measures


def main() -> int:
    known = {measure.__name__: measure for measure in measures.ALL}
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all, or some of: {', '.join(known)}")
    parser.add_argument("--rounds", type=int, default=5, help="how often each side of a ratio is measured (5)")
    options = parser.parse_args()
    if unknown := set(options.names) - set(known):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    print(f"{measures.machine()}; medians of {options.rounds}\n", flush=True)
    missed = 0
    for name in options.names or known:
        missed += table(name, list(known[name](options.rounds)))
    return 1 if missed else 0


def table(name: str, figures: Sequence[measures.Figure]) -> int:
    """Prints one measurement as a table; how many goals were missed."""
    print(f"### {name}\n\n| what | measured | goal | |\n| --- | --- | --- | --- |")
    for figure in figures:
        verdict = {True: "reached", False: "**missed**", None: ""}[figure.good]
        print(f"| {figure.what} | {figure.value} | {figure.goal} | {verdict} |")
    print(flush=True)
    return sum(figure.good is False for figure in figures)


if __name__ == "__main__":
    sys.exit(main())
