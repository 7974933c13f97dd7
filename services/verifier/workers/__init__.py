"""Worker processes, in which alone documents are read, and what they and the service say to each other."""
