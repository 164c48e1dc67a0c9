"""What must survive a run: the ledger, one account's journal in it, and archives."""
