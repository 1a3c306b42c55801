"""Necks: feature maps go in, feature maps of equal width come out."""
