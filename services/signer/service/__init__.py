"""The signer's use cases, in the numbered steps of architecture.md section 5."""
