"""How well one side finds what another embedded: rankings, public protocols, tables.

No torch, except in `run_encoder` and `whitened_encoder`, for trained runs instead of bundles.
"""
