"""The vendors' own clients as witnesses: whatever one of them refuses is a mistake in the sandbox.

Run them with ``pytest -m witness -n 0``; they come with the extra ``witness``.
"""
