"""Watch a deploy go into service."""
