"""The vendors' own clients as witnesses: whatever one of them refuses is a mistake in the sandbox.

Run them with ``pytest -m witness``; they come with the extra ``witness``.
"""
