"""What all of the harbour is built with."""
