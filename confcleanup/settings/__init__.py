"""Typed settings: the values that a config can hold, secrets, and tables."""
