"""Test the provisioning of an image, bake it."""
