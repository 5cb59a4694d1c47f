"""Load balancers: target health, haproxy, draining."""
