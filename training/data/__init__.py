"""Photographs on disk, crops of them, and cached teacher vectors."""
