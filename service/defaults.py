"""What holds when nobody says otherwise; the command line, the settings and the indexer agree."""

from __future__ import annotations

from pathlib import Path

DATA = Path("lorgnette-data")
TEACHER = Path("models/teacher")
STUDENT = Path("models/student")
PAGE = Path("clients/page/dist")
"""Where `npm run build` puts the web page of a checkout."""
PAGE_INDEX = "index.html"
FACTORY = "auto"
"""Chosen by the size of the gallery: exact while it is small."""
RECALL_GATE = 0.95
"""Recall@10 against exact search below which an index is not published."""
HOST = "127.0.0.1"
PORT = 8080
