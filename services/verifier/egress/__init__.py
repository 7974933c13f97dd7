"""The only way out of the verifier: hosts on the list, within limits, counted."""
