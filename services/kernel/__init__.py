"""Shared kernel: values, errors, events and the chassis. It knows no service."""
