"""How well one side finds what another embedded: rankings, public protocols, tables.

No torch, except in `run_encoder`, which embeds with a trained run instead of its bundle.
"""
