"""What all tests share: generated cases run without a time limit of their own, as machines differ."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("here", deadline=None)
settings.load_profile("here")
