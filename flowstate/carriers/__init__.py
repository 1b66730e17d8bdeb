"""Transport: what brings runs and steps to a process that works on them."""
