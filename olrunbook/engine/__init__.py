"""Execute notebooks headless, with a true record for every ending."""
