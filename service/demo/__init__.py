"""The demo: a folder of photographs answers three queries, end to end, in one command."""
