"""What images are made of: downloads, a verified cache, stand-in archives."""
