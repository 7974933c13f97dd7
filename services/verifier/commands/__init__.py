"""`check` and `trust-list` of `python -m services.verifier`, and the records that conformance suites pipe in: no platform, no network."""
