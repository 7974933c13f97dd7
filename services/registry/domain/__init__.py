"""Pure rules of the register: no store, no network, no clock of their own."""
