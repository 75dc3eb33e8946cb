"""The ledger's enqueueing and the relay: how much, how fast, and whether a flood in one lane slows another."""
