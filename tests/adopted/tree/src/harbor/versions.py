"""Versions, in one place."""

LAMP = "3.1"
