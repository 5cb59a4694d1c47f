"""Preview a stage's stack, apply exactly that."""
