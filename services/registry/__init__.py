"""The registry: agencies, subscribers, clients, credentials and their certificates, access tokens, the audit log."""
