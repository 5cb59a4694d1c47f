"""Everything that turns a run into evidence."""
