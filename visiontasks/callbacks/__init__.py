"""Callbacks that show what a run does."""
