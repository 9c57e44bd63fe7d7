from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lorgnette.errors import DiskFull, InvalidConfiguration, InvalidGallery
from service.gallery import faiss_index, generations, publish
from service.gallery.catalogue import Catalogue
from service.gallery.generations import CURRENT_NAME, Generation, directory_of, read_current
from service.gallery.sealed import seal, unseal
from service.gallery.snapshot import LiveGallery
from tests.service.gallery_rows import SPACE, check_here, files_below, fill, names_in, unit_rows


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with closing(Catalogue.open(tmp_path)) as opened:
        fill(opened, unit_rows(300))
        yield opened


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "_ask", check_here)


def publish_now(
    catalogue: Catalogue, data: Path, *, factory: str = "Flat", recall_gate: float = 0.95
) -> generations.GenerationManifest:
    return publish.publish(catalogue, data, SPACE, factory=factory, recall_gate=recall_gate)


def test_a_published_generation_is_read_only_complete_and_live(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    manifest = publish_now(catalogue, tmp_path)
    directory = directory_of(tmp_path, 1)
    assert files_below(tmp_path / "generations") == [
        "1",
        "1/index.faiss",
        "1/keys.npy",
        "1/manifest.json",
    ]
    assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o444}
    assert read_current(tmp_path) == {SPACE.id: 1}
    opened = Generation.open(directory)
    assert opened.manifest == manifest
    assert (manifest.count, manifest.seq, manifest.recall_at_10) == (300, catalogue.seq(), 1.0)
    assert opened.keys.tolist() == list(range(1, 301))
    assert opened.index.rows_at(opened.keys - 1).tobytes() == unit_rows(300).tobytes()


@pytest.mark.parametrize("factory", ["HNSW32", "SQ8", "IVF8,SQfp16"])
def test_an_approximate_index_that_passes_the_gate_is_published(
    catalogue: Catalogue, tmp_path: Path, factory: str
) -> None:
    manifest = publish_now(catalogue, tmp_path, factory=factory, recall_gate=0.9)
    assert manifest.factory == factory
    assert manifest.recall_at_10 >= 0.9


@pytest.mark.usefixtures("_quick")
def test_an_index_below_the_gate_is_not_published_and_leaves_nothing(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    publish_now(catalogue, tmp_path)
    with pytest.raises(InvalidGallery, match=r"recall@10 0\.\d+ .*expected at least 0.99"):
        publish_now(catalogue, tmp_path, factory="PQ2x4", recall_gate=0.99)
    assert read_current(tmp_path) == {SPACE.id: 1}
    assert names_in(tmp_path / "generations") == ["1"]


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("Flatt", "not a FAISS factory string"),
        ("", "not a FAISS factory string"),
        ("IDMap,Flat", "leave IDMap out"),
        ("PQ7", "multiple of the number of subquantizers"),
        ("IVF5000,Flat", r"cannot build 'IVF5000,Flat' from 300 vectors"),
    ],
)
def test_a_factory_that_cannot_work_is_refused(
    catalogue: Catalogue, tmp_path: Path, factory: str, message: str
) -> None:
    with pytest.raises(InvalidConfiguration, match=message):
        publish_now(catalogue, tmp_path, factory=factory)
    assert names_in(tmp_path / "generations") == []


@pytest.mark.usefixtures("_quick")
def test_a_gallery_of_equal_photographs_passes_the_check(tmp_path: Path) -> None:
    with closing(Catalogue.open(tmp_path)) as catalogue:
        fill(catalogue, unit_rows(1).repeat(40, axis=0))
        assert publish_now(catalogue, tmp_path, recall_gate=1.0).recall_at_10 == 1.0


@pytest.mark.usefixtures("_quick")
def test_a_single_photograph_is_a_gallery(tmp_path: Path) -> None:
    with closing(Catalogue.open(tmp_path)) as catalogue:
        fill(catalogue, unit_rows(1))
        assert publish_now(catalogue, tmp_path).count == 1


def test_an_empty_space_has_nothing_to_publish(tmp_path: Path) -> None:
    with (
        closing(Catalogue.open(tmp_path)) as catalogue,
        pytest.raises(InvalidGallery, match="no vectors"),
    ):
        publish_now(catalogue, tmp_path)


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize("name", ["index.faiss", "keys.npy"])
def test_a_flipped_byte_is_refused_before_faiss_sees_it(
    catalogue: Catalogue, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_now(catalogue, tmp_path)
    path = directory_of(tmp_path, 1) / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    path.write_bytes(content)
    seen: list[Path] = []
    monkeypatch.setattr(faiss_index, "read", seen.append)
    with pytest.raises(InvalidGallery, match=f"{name} is not the file its manifest describes"):
        Generation.open(path.parent)
    with pytest.raises(InvalidGallery, match="lorgnette reindex"):
        LiveGallery(tmp_path).start()
    assert seen == []


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize("name", ["index.faiss", "keys.npy", "manifest.json"])
def test_a_missing_file_is_named(catalogue: Catalogue, tmp_path: Path, name: str) -> None:
    publish_now(catalogue, tmp_path)
    (directory_of(tmp_path, 1) / name).unlink()
    with pytest.raises(InvalidGallery, match=f"{name} cannot be read"):
        Generation.open(directory_of(tmp_path, 1))


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize("text", ["", '{"tiny', "[1]", '{"tiny-000000000000": "1"}', '{"a": 0}'])
def test_a_damaged_current_is_refused_with_the_way_out(
    catalogue: Catalogue, tmp_path: Path, text: str
) -> None:
    publish_now(catalogue, tmp_path)
    (tmp_path / CURRENT_NAME).write_text(text)
    with pytest.raises(InvalidGallery, match=r"damaged.*delete it, which loses nothing"):
        LiveGallery(tmp_path).start()
    (tmp_path / CURRENT_NAME).unlink()
    gallery = LiveGallery(tmp_path)
    gallery.start()
    assert [(view.generation, view.count) for view in gallery.snapshots()] == [(0, 300)]
    gallery.close()


@pytest.mark.usefixtures("_quick")
def test_a_current_that_names_another_space_s_generation_is_refused(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    publish_now(catalogue, tmp_path)
    manifest = directory_of(tmp_path, 1) / "manifest.json"
    text = unseal(manifest.read_bytes()).decode().replace(SPACE.id, "tiny-000000000000")
    manifest.unlink()
    manifest.write_bytes(seal(text))
    with pytest.raises(InvalidGallery, match="generation 1 holds space tiny-000000000000"):
        LiveGallery(tmp_path).start()


@pytest.mark.usefixtures("_quick")
def test_leftovers_are_swept_and_strangers_left_alone(catalogue: Catalogue, tmp_path: Path) -> None:
    folder = tmp_path / "generations"
    (folder / ".7.building").mkdir(parents=True)
    (folder / ".7.building" / "index.faiss").write_bytes(b"half")
    (folder / "notes.txt").write_text("mine")
    (folder / "007").mkdir()
    (tmp_path / ".CURRENT.123.writing").write_text("half")
    publish_now(catalogue, tmp_path)
    assert names_in(folder) == ["007", "1", "notes.txt"]
    assert not (tmp_path / ".CURRENT.123.writing").exists()


@pytest.mark.usefixtures("_quick")
def test_two_older_generations_stay_for_rollback(catalogue: Catalogue, tmp_path: Path) -> None:
    for _ in range(5):
        publish_now(catalogue, tmp_path)
    assert generations.published(tmp_path) == (3, 4, 5)
    generations.promote(tmp_path, 3)
    assert read_current(tmp_path) == {SPACE.id: 3}
    assert publish_now(catalogue, tmp_path).generation == 6


PUBLISH = """
import os, resource, signal, sys
from pathlib import Path
from service.gallery.catalogue import Catalogue
from service.gallery import publish
from tests.service.gallery_rows import SPACE
data, step = Path(sys.argv[1]), sys.argv[2]
catalogue = Catalogue.open(data)
if step == "disk-full":
    from lorgnette.errors import DiskFull
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
    try:
        publish.publish(catalogue, data, SPACE, factory="Flat", recall_gate=0.9)
    except DiskFull as error:
        sys.exit(f"DiskFull: {error}")
    sys.exit("published")
left = int(step)
def trace(event, args):
    global left
    if event in ("os.rename", "os.chmod", "os.mkdir", "subprocess.Popen", "open", "os.remove"):
        if ".building" in str(args) or "CURRENT" in str(args):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(trace)
publish.publish(catalogue, data, SPACE, factory="Flat", recall_gate=0.9)
print("published", flush=True)
"""


def run_publish(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PUBLISH, str(data), *arguments],
        capture_output=True,
        check=False,
        text=True,
        cwd=Path(__file__).parents[2],
    )


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize("step", [1, 5, 9, 13, 16])
def test_a_crash_at_any_step_leaves_a_whole_generation_live(
    catalogue: Catalogue, tmp_path: Path, step: int
) -> None:
    publish_now(catalogue, tmp_path)
    fill(catalogue, unit_rows(20, seed=3), first=300)
    crashed = run_publish(tmp_path, str(step))
    assert crashed.returncode == -9, crashed.stderr
    live = read_current(tmp_path)[SPACE.id]
    assert Generation.open(directory_of(tmp_path, live)).manifest.count == (300, 320)[live - 1]
    gallery = LiveGallery(tmp_path)
    gallery.start()
    assert gallery.snapshot(SPACE.id).count == 320
    gallery.close()
    assert publish_now(catalogue, tmp_path).count == 320


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize("limit", ["100", "19000"])
def test_a_full_disk_is_one_sentence_and_the_live_one_stays(
    catalogue: Catalogue, tmp_path: Path, limit: str
) -> None:
    publish_now(catalogue, tmp_path)
    before = files_below(tmp_path / "generations")
    failed = run_publish(tmp_path, "disk-full", limit)
    assert failed.stderr.startswith("DiskFull: no space left to write"), failed.stderr
    assert len(failed.stderr.splitlines()) == 1
    assert files_below(tmp_path / "generations") == before
    assert read_current(tmp_path) == {SPACE.id: 1}


def test_disk_full_is_an_error_of_its_own() -> None:
    assert DiskFull.code == "disk-full"
