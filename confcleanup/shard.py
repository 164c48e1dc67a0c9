"""Which of N runs an account belongs to: decided by its name alone, on every machine alike. Pure."""

from __future__ import annotations

import hashlib
import re

import msgspec


class Shard(msgspec.Struct, frozen=True):
    """One of ``count`` runs that share the accounts; ``index`` counts from 0, as Kubernetes does."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Reads "I/N". Raises ValueError, with a message for people, for anything else."""
        found = re.fullmatch(r"\s*([0-9]{1,4})\s*/\s*([0-9]{1,4})\s*", text)
        if not found or int(found[1]) >= int(found[2]):
            raise ValueError(f"{text!r} is not a shard; write I/N, I counting from 0: of eight, 0/8 to 7/8")
        return cls(int(found[1]), int(found[2]))

    def holds(self, account: str) -> bool:
        """Whether the account belongs here. The highest bidder gets it, so that another N moves few accounts."""
        bids = [hashlib.sha256(f"{index} {account}".encode()).digest() for index in range(self.count)]
        return bids.index(max(bids)) == self.index
