"""Figures beside their peers or floors: `make bench`."""
