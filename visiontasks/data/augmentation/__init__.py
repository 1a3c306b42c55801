"""Resizing and augmentation of samples and batches."""
