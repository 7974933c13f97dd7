"""Signature formats: each turns a document into bytes to sign, and a signature value into what is added to it."""
