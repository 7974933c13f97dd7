"""Use cases of the register, one module for each aggregate; they know ports, not adapters."""
