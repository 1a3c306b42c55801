"""Losses that torch does not have, or not for ignored pixels."""
