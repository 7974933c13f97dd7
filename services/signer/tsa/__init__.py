"""Our own time-stamp authority (RFC 3161, RFC 5816, ETSI EN 319 422), and the check of every token, also of others'."""
