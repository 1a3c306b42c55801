"""Loaders, samplers and workers: from a data set to batches."""
