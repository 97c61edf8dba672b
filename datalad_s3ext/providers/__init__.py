"""What we know about S3 services: presets as data, and how to reach a service by one."""
