"""The signer's own database: intents, outcomes, the ledger, keys, jobs."""
