"""What runs in processes of its own, under the interpreter of the tool's user."""
