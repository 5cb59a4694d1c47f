"""Nothing is provisioned: the template does it all."""
