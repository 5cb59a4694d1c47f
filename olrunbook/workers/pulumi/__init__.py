"""Pulumi's Automation API in a process of its own."""
