"""The registry: agencies, subscribers, clients, credentials, certificates, tokens, audit log."""
