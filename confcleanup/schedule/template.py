"""Entries kept as data files: each is a valid entry as it stands, with samples where a run's own values go."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files


def fill(name: str, values: Mapping[str, str], lines: Mapping[str, Sequence[str]] | None = None) -> str:
    """Return the data file ``name`` with its samples, the keys of ``values``, replaced.

    A sample in ``lines`` has its line once for each of the texts, or not at all.
    Raises LookupError for a sample that is not in the file exactly once.
    """
    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    lines = lines or {}
    for sample in (*values, *lines):
        if text.count(sample) != 1:
            raise LookupError(f"{name} must contain {sample!r} once")
    # One pass over the file alone: a path or a name that happens to contain a sample stays as it is.
    samples = re.compile("|".join(map(re.escape, values)))
    filled = []
    for line in text.splitlines(keepends=True):
        if repeated := [sample for sample in lines if sample in line]:
            filled += [line.replace(repeated[0], one) for one in lines[repeated[0]]]
        else:
            filled.append(samples.sub(lambda found: values[found[0]], line))
    return "".join(filled)
