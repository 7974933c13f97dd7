"""Tests against documents that nobody here made. They run where CORPORA names the folder that holds them."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest

# The usual test run needs nothing but the repository.
collect_ignore_glob = [] if os.environ.get("CORPORA") else ["test_*.py"]


@pytest.fixture(scope="session")
def scoring() -> Any:
    """The rules of the manifests, which lie beside them."""
    found = importlib.util.spec_from_file_location("score", Path(os.environ["CORPORA"]) / "score.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module
