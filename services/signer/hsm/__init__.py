"""The HSM floor: the only place from which keys in a token are made and used (PKCS#11, architecture: worker processes)."""
