"""EC2 instances as containers, AMIs as container images, and the first boot."""
