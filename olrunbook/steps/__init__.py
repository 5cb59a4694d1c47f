"""Steps: plain functions with typed arguments that know the rules of the flow."""
