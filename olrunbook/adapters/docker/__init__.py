"""docker, and what is made with it: containers and base images."""
