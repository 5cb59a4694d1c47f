"""Gates: what people approved, that it is what is done, and that it is done once."""
