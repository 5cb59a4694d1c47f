"""Pulumi: preview and update a stack, read its secrets, look at its state."""
