"""Losses that tasks are trained with."""
