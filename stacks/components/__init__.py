"""Pulumi components shared by the stacks. Nothing here knows olrunbook."""
