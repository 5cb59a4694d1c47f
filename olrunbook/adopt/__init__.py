"""A repository that exists: what is missing in it, and what to type or write."""
