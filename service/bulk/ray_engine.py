"""A Ray cluster as an engine of bulk embedding: the same worker, the same shards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType

from lorgnette.errors import InvalidConfiguration, MissingExtra
from service.bulk.worker import Done, Work, Worker

Table = dict[str, list[float]]
"""Columns of a Ray Data block."""


@dataclass(frozen=True)
class RayEngine:
    """Embeds shards with `workers` actors of one core each, wherever the cluster runs them.

    Every node must see the photographs, the teacher and the output under the same paths, and have
    this package installed. Joins the cluster that `RAY_ADDRESS` names, else starts one here.
    """

    workers: int

    def __call__(self, work: Work, shards: Sequence[int]) -> Iterator[Done]:
        """Embed the shards, in any order. Raises `InvalidConfiguration` when a worker
        fails, `MissingExtra`.
        """
        if not shards:
            return
        ray = _ray()
        if not ray.is_initialized():
            ray.init(log_to_driver=False, include_dashboard=False)
        ray.data.DataContext.get_current().enable_progress_bars = False
        # A block a shard from the start: repartitioning would wait for the cores the actors hold.
        given = ray.data.from_items(
            [{"shard": shard} for shard in shards], override_num_blocks=len(shards)
        )
        done = given.map_batches(
            _Actor,
            fn_constructor_args=(work,),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(self.workers, len(shards))),
            num_cpus=1,
        )
        try:
            for row in done.iter_rows():
                yield Done(int(row["shard"]), int(row["photographs"]), float(row["took_s"]))
        except ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[-1]
            raise InvalidConfiguration(
                f"a Ray worker failed ({reason}): mend that and run the same command again; "
                "finished shards are kept"
            ) from error


def _ray() -> ModuleType:
    """Ray and its data library, imported only where they are used."""
    try:
        import ray
        import ray.data
        import ray.exceptions
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"`--engine ray` needs {error.name}, which is not installed: "
            "pip install 'lorgnette-app[ray]'"
        ) from error
    module: ModuleType = ray
    return module


class _Actor:
    """A worker that stays with its actor, so that it opens the teacher once."""

    def __init__(self, work: Work) -> None:
        self._worker = Worker(work)

    def __call__(self, batch: Table) -> Table:
        done = [self._worker(int(shard)) for shard in batch["shard"]]
        return {
            "shard": [one.shard for one in done],
            "photographs": [one.photographs for one in done],
            "took_s": [one.took_s for one in done],
        }
