"""Heads: features go in, raw outputs of a task come out."""
