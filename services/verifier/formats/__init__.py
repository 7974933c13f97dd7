"""Readers of signature formats: each finds the signatures of a document and hands them over uninterpreted."""
