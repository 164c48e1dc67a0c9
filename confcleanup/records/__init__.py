"""What outlives a run: the ledger with its proof, one account's journal in it, and archives."""
