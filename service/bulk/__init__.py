"""Embedding very many photographs into shards: by this machine, or by a cluster."""
