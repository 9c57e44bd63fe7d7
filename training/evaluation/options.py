"""The options that evaluate, analyse and report share: who embeds what, and how."""

from __future__ import annotations

import typer

GALLERY = typer.Option("--gallery", help="The teacher: its bundle, or its run's --out.")
QUERY = typer.Option("--query", help="The student: its bundle, or its run's --out.")
DATASET = typer.Option("--dataset", help="Folder with one folder a class.")
SPLITS = typer.Option(
    "--splits",
    help="TSV path<TAB>role (gallery, query, ...), also looked for inside the data set; without "
    "it: leave-one-out.",
)
WORKERS = typer.Option("--workers", min=1, help="Photographs embedded at once.")
