"""Tests against documents that nobody here made. They run where CORPORA names the folder that holds them."""

from __future__ import annotations

import os

# The usual test run needs nothing but the repository.
collect_ignore_glob = [] if os.environ.get("CORPORA") else ["test_*.py"]
