"""Data: reading, checking, augmenting and batching of images and their annotations."""
