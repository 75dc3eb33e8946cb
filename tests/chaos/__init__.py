"""The ledger's promises under attack: ``make chaos``. docs/operations.md tells how to run and to read it."""
