"""The rows of the table: what the service must survive, and how well."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """name: what markers and selections say; longest_s: after that the row is killed."""

    name: str
    test: str
    bound: str
    longest_s: int = 1800


ROWS = (
    Row(
        "crash-points",
        "SIGKILL at named points of writes, snapshots, restores",
        ">= 12 points x 5: 0 acknowledged writes lost, batches whole, = oracle",
    ),
    Row(
        "crash-reindex",
        "SIGKILL at named points of a reindex job",
        ">= 12 points x 5: a verified generation live, resumable, = oracle",
    ),
    Row(
        "crash-random",
        "50 random kills under write load, one worker",
        "<= 5 min, 0 acknowledged writes lost, batches whole, ready < 5 s, = oracle",
    ),
    Row(
        "crash-random-workers",
        "the same with --workers 2",
        "<= 5 min, 0 acknowledged writes lost, batches whole, ready < 5 s, = oracle",
    ),
    Row(
        "swap",
        "20 reindexes under 4 clients",
        ">= 60 s, 0 failed requests, 0 answers mixing generations",
    ),
    Row("oracle", "state machine against a dict", "200 x 50 steps, no difference"),
    Row(
        "fuzz",
        "schemathesis on the OpenAPI document",
        ">= 200 examples an operation, 0 outside the schema, 0 5xx",
        longest_s=7200,
    ),
    Row("numbers", "numeric matrix x {JSON, base64, binary}", "all 4xx problem+json"),
    Row("files", "2,000 mutated files", "never dies, never serves one, names the file"),
    Row("images", "bomb corpus", "4xx in < 1 s each, memory + < 200 MB"),
    Row(
        "disk",
        "full disk during reindex",
        "fails with the reason, searches go on, space comes back",
    ),
    Row(
        "memory-ceiling",
        "memory ceiling during reindex",
        "fails with the reason, searches go on, space comes back",
    ),
    Row(
        "memory-estimate",
        "estimated against peak memory, three sizes, five factories",
        "1 <= estimate/peak <= 1.2",
    ),
    Row("authorization", "every route x every kind of key", "as declared, no new route forgotten"),
    Row("spaces", "space matrix x every input form", "never a silent comparison"),
    Row("upgrade", "two students during a teacher upgrade", "0 failures, then 409 with download"),
    Row(
        "soak",
        "30 minutes, 10 reindexes, searches and writes",
        "memory < 1 % per 10 min, descriptors and mappings constant",
        longest_s=3600,
    ),
    Row(
        "overload",
        "4 x capacity",
        "excess 429/503 with Retry-After, admitted p99 <= 2 x p99 at capacity",
    ),
    Row("workers-memory", "private memory of each of two workers", "<= 15 % of the index"),
    Row("workers-kill", "kill -9 of one of two workers", "0 failed requests after one retry"),
    Row("operate", "the README's Operate chapter", "every command run"),
)
BY_NAME = {row.name: row for row in ROWS}


def chosen(only: str) -> tuple[Row, ...]:
    """The rows whose name is, or begins with, one of the words; all of them for no word."""
    words = only.replace(",", " ").split()
    return tuple(row for row in ROWS if not words or row.name.startswith(tuple(words)))
