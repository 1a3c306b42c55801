"""Readers of data sets: files on the disk in, tensors or records out."""
