"""Base and overlay, rendered once."""

from __future__ import annotations

import pytest

from tests.support.manifests import Manifest, Policies, render


@pytest.fixture(scope="session", params=["base", "overlays/production"])
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    """Every manifest of the base, then of the overlay."""
    return render(request.param)


@pytest.fixture(scope="session")
def policies(manifests: list[Manifest]) -> Policies:
    """The network policies among them."""
    return Policies(manifests)
