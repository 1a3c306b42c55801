"""Annotations of every format in one form: flat arrays, checked once, cached, shared by all workers."""
