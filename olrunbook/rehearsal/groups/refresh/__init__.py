"""Instance refresh, which moto lacks: preferences, engine, the four API calls."""
