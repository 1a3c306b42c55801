"""Codes of images, and what is done with them."""
