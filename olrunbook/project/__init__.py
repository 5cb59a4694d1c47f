"""What a project is: its catalog, its paths, its limits, its parameters."""
