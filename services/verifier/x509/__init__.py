"""Certificates, their paths and their status: RFC 5280 and RFC 6960, for any time and any rules that the caller names."""
