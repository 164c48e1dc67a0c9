"""Loaded by schemathesis: which texts the description means by ``vbc-instant``, as no pattern knows the calendar."""

from __future__ import annotations

from datetime import UTC, datetime

import schemathesis
from hypothesis import strategies as st

from confcleanup.sandbox.vonage import wire_time

MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # hypothesis takes bounds without a zone and adds it
schemathesis.openapi.format("vbc-instant", MOMENTS.map(wire_time))
