"""The AWS API: typed reads, no rules."""
