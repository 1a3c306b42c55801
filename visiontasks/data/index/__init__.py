"""Annotations of all formats as flat arrays, checked once, cached, and shared by all workers."""
