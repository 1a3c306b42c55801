"""Download and unpacking of published data sets."""
