"""Requests to a vendor: the client, its answers, transport, rate limit, paging and addresses."""
