"""Losses on similarities: they see what the model says and what is wanted, never an image."""
