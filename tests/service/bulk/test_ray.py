"""Ray Data on a cluster of this machine: the same shards as the local engine's."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from lorgnette.errors import InvalidConfiguration
from service.bulk import shards
from service.bulk.local import LocalEngine
from service.bulk.run import Engine, embed_folder
from service.bulk.worker import Done, Work
from tests.service.bulk.bundles import write_bulk_bundle
from tests.service.photographs import write_photographs

ray = pytest.importorskip("ray", reason="the extra ray is not installed")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:::ray")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Engine]:
    from service.bulk.ray_engine import RayEngine

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield RayEngine(workers=2)
        ray.shutdown()


def test_two_workers_write_the_local_engines_bytes(cluster: Engine, tmp_path: Path) -> None:
    folder, teacher = tmp_path / "photos", write_bulk_bundle(tmp_path / "teacher")
    write_photographs(folder, 60)
    (folder / "007.jpg").write_bytes(b"no photograph")
    for name, engine in (("local", LocalEngine(1)), ("ray", cluster)):
        embed_folder(folder, teacher.directory, tmp_path / name, engine=engine)
    written = [
        {path.name: path.read_bytes() for path in (tmp_path / name).glob("*.[nj]*")}
        for name in ("local", "ray")
    ]
    assert len(written[0]) == 1 + 2 * 4
    assert written[0] == written[1]


def test_only_what_is_lacking_is_given_to_the_cluster(cluster: Engine, tmp_path: Path) -> None:
    folder, teacher = tmp_path / "photos", write_bulk_bundle(tmp_path / "teacher")
    write_photographs(folder, 40)
    out = tmp_path / "out"
    embed_folder(folder, teacher.directory, out, engine=cluster)
    (out / "00001.json").unlink()
    assert embed_folder(folder, teacher.directory, out, engine=cluster).looked_at == 16
    assert len(shards.read(out).ids) == 40


def test_a_worker_that_cannot_work_is_told(cluster: Engine, tmp_path: Path) -> None:
    folder, teacher = tmp_path / "photos", write_bulk_bundle(tmp_path / "teacher")
    write_photographs(folder, 20)

    def broken(work: Work, todo: Sequence[int]) -> Iterator[Done]:
        (teacher.directory / "net.onnx").write_bytes(b"damaged")
        return cluster(work, todo)

    with pytest.raises(InvalidConfiguration, match=r"net\.onnx"):
        embed_folder(folder, teacher.directory, tmp_path / "out", engine=broken)
