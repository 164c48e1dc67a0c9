"""Emulated vendors on loopback: witnesses for the tests, and a stage for the demo."""
