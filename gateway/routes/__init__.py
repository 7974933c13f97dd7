"""One file for each resource: its endpoints, what they read, what they answer."""
