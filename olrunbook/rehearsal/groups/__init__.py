"""Auto Scaling groups: launching, healing, scaling, and the instance refresh."""
