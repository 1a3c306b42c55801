"""Necks: feature maps go in, feature maps with equal numbers of channels come out."""
