"""Adapters: each knows one tool or API, and no rules."""
