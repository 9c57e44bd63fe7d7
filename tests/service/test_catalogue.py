from __future__ import annotations

import gc
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from lorgnette.errors import InvalidGallery, LorgnetteError, SpaceMismatch
from lorgnette.manifest import Space
from service.gallery import schema, writes
from service.gallery.catalogue import CATALOGUE_NAME, Catalogue
from tests.service.gallery_rows import SPACE, fill, new_item, unit_rows
from tests.tiny_bundle import space_of

OTHER = space_of(1)


def test_an_item_and_its_vector_are_read_as_they_were_written(catalogue: Catalogue) -> None:
    rows = unit_rows(3)
    fill(catalogue, rows)
    changes = catalogue.changes(SPACE, since=0)
    assert changes.rows.tobytes() == rows.tobytes()
    item = catalogue.items([int(changes.keys[1])])[int(changes.keys[1])]
    assert (item.id, item.source, item.metadata) == ("001", "/photos/001", {"title": "001"})


def test_what_was_acknowledged_is_there_for_another_process(catalogue: Catalogue) -> None:
    fill(catalogue, unit_rows(5))
    count = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sqlite3, sys; print(sqlite3.connect(sys.argv[1])"
            ".execute('SELECT count(*) FROM vectors').fetchone()[0])",
            str(catalogue.path),
        ],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    assert count.strip() == "5"


def test_every_write_takes_the_next_seq(catalogue: Catalogue) -> None:
    fill(catalogue, unit_rows(2))
    first = catalogue.seq()
    fill(catalogue, unit_rows(2, seed=1), first=2)
    second = catalogue.seq()
    catalogue.delete(["000"])
    assert (first, second, catalogue.seq()) == (1, 2, 3)


def test_a_batch_is_all_or_nothing(catalogue: Catalogue) -> None:
    good = new_item("good", unit_rows(1)[0])
    wrong = new_item("wrong", np.ones(3, np.float32))
    with pytest.raises(ValueError, match="expected a row of 16"):
        catalogue.upsert(SPACE, [good, wrong])
    assert catalogue.seq() == 0
    assert catalogue.known(SPACE.id) == ()


def test_changes_hold_only_what_came_after(catalogue: Catalogue) -> None:
    fill(catalogue, unit_rows(4))
    before = catalogue.seq()
    assert not catalogue.has_changes(SPACE, since=before)
    catalogue.delete(["000"])
    fill(catalogue, unit_rows(1, seed=9), first=2)
    changes = catalogue.changes(SPACE, since=before)
    assert catalogue.has_changes(SPACE, since=before)
    assert changes.gone.tolist() == [1]
    assert changes.keys.tolist() == [3]
    assert changes.seq == catalogue.seq()


def test_deleting_removes_the_vectors_and_nothing_comes_back(catalogue: Catalogue) -> None:
    fill(catalogue, unit_rows(3))
    assert catalogue.delete(["001", "001", "absent"]) == 1
    assert catalogue.delete(["001"]) == 0
    assert sorted(catalogue.items([1, 2, 3])) == [1, 3]
    assert [entry.id for entry in catalogue.known(SPACE.id)] == ["000", "002"]
    assert catalogue.changes(SPACE, since=0).keys.tolist() == [1, 3]


def test_a_deleted_id_can_be_written_again(catalogue: Catalogue) -> None:
    fill(catalogue, unit_rows(1))
    catalogue.delete(["000"])
    fill(catalogue, unit_rows(1, seed=5))
    assert [entry.id for entry in catalogue.known(SPACE.id)] == ["000"]
    assert catalogue.changes(SPACE, since=0).rows.tobytes() == unit_rows(1, seed=5).tobytes()


def test_a_changed_photograph_loses_its_vectors_of_other_spaces(catalogue: Catalogue) -> None:
    row = unit_rows(1)[0]
    catalogue.upsert(SPACE, [new_item("a", row)])
    catalogue.upsert(OTHER, [new_item("a", row)])
    assert [entry.has_vector for entry in catalogue.known(SPACE.id)] == [True]
    before = catalogue.seq()
    catalogue.upsert(OTHER, [new_item("a", row, mtime_ns=2)])
    assert [entry.has_vector for entry in catalogue.known(SPACE.id)] == [False]
    assert catalogue.changes(SPACE, since=before).gone.tolist() == [1]
    assert catalogue.changes(OTHER, since=before).keys.tolist() == [1]


def test_a_vector_of_a_new_space_is_no_change_of_the_old_one(catalogue: Catalogue) -> None:
    fill(catalogue, unit_rows(2))
    before = catalogue.seq()
    known = catalogue.known(OTHER.id)
    assert catalogue.add_vectors(OTHER, [(known[0], unit_rows(1)[0])]) == 1
    assert not catalogue.has_changes(SPACE, since=before)
    assert catalogue.spaces() == tuple(sorted((SPACE, OTHER), key=lambda space: space.id))


def test_a_vector_of_an_item_that_changed_meanwhile_is_left_out(catalogue: Catalogue) -> None:
    fill(catalogue, unit_rows(2))
    known = catalogue.known(OTHER.id)
    catalogue.upsert(SPACE, [new_item("000", unit_rows(1)[0], mtime_ns=7)])
    catalogue.delete(["001"])
    row = unit_rows(1)[0]
    assert catalogue.add_vectors(OTHER, [(entry, row) for entry in known]) == 0


def test_more_keys_than_sql_has_variables_are_one_question(catalogue: Catalogue) -> None:
    fill(catalogue, unit_rows(2))
    assert sorted(catalogue.items(range(200_000))) == [1, 2]


def test_one_space_has_one_dimension(catalogue: Catalogue) -> None:
    fill(catalogue, unit_rows(1))
    with pytest.raises(SpaceMismatch, match="16 dimensions"):
        fill(catalogue, unit_rows(1, dim=8), space=Space(id=SPACE.id, dim=8))


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    Catalogue.open(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / CATALOGUE_NAME)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(InvalidGallery, match=r"schema version 99.*update lorgnette"):
        Catalogue.open(tmp_path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / CATALOGUE_NAME).write_text("x" * 5000)
    with pytest.raises(InvalidGallery, match="not a database"):
        Catalogue.open(tmp_path)


def test_a_place_where_nothing_can_be_opened_names_the_permissions(tmp_path: Path) -> None:
    (tmp_path / "catalogue.sqlite").mkdir()
    with pytest.raises(InvalidGallery, match=r"check that its directory .* permissions"):
        Catalogue.open(tmp_path)


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / CATALOGUE_NAME)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    with pytest.raises(InvalidGallery, match="another program"):
        Catalogue.open(tmp_path)


def test_a_file_in_the_place_of_the_data_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(InvalidGallery, match="cannot make the data directory"):
        Catalogue.open(tmp_path / "data")


def test_many_may_create_it_at_once(tmp_path: Path) -> None:
    failures: list[Exception] = []

    def create() -> None:
        try:
            Catalogue.open(tmp_path / "data").close()
        except (LorgnetteError, AssertionError) as error:
            failures.append(error)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_threads_read_while_another_writes(catalogue: Catalogue) -> None:
    failures: list[Exception] = []
    finished = threading.Event()

    def read() -> None:
        last = 0
        try:
            while not finished.is_set():
                changes = catalogue.changes(SPACE, since=0)
                # A batch of 4 is seen whole or not at all, and never taken back.
                assert len(changes.keys) == 4 * changes.seq >= last
                last = len(changes.keys)
        except (LorgnetteError, AssertionError) as error:
            failures.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    for batch in range(30):
        fill(catalogue, unit_rows(4, seed=batch), first=4 * batch)
    finished.set()
    thread.join()
    assert failures == []


def test_the_connection_of_a_thread_goes_with_it_and_waits_for_no_collector(
    catalogue: Catalogue,
) -> None:
    catalogue.seq()
    before = open_files(catalogue.path)
    gc.disable()
    try:
        for _ in range(5):
            thread = threading.Thread(target=catalogue.seq)
            thread.start()
            thread.join()
        # SQLite keeps one descriptor of the file itself until no lock is held, and uses it again.
        assert open_files(catalogue.path) <= before + 1
    finally:
        gc.enable()


def open_files(path: Path) -> int:
    """How many descriptors this process has of a database and of its log."""
    found = [file.resolve().name for file in Path("/proc/self/fd").iterdir()]
    return found.count(path.name) + found.count(f"{path.name}-wal")


def test_an_older_schema_is_brought_to_this_one_with_all_it_holds(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / CATALOGUE_NAME)) as older:
        for statement in schema._FIRST.split(";\n"):
            older.execute(statement)
        older.execute("PRAGMA user_version = 1")
        older.execute("UPDATE state SET seq = 7")
        older.execute("INSERT INTO spaces VALUES ('tiny-000000000000', 16, 'then')")
        older.execute("INSERT INTO items VALUES (5, 'old', 7, '/x', 1, 1, '{}', 0)")
        older.commit()
    for _ in range(2):
        with closing(Catalogue.open(tmp_path)) as catalogue:
            assert (catalogue.seq(), catalogue.epoch()) == (7, 0)
            assert [space.id for space in catalogue.spaces()] == ["tiny-000000000000"]
            assert catalogue.items([5])[5].id == "old"
            assert writes.write(catalogue, [], delete=["old"]).deleted == 1
            (space,) = catalogue.spaces()
            catalogue.upsert(space, [new_item("old", unit_rows(1)[0])])
            with catalogue.writing() as connection:
                connection.execute("UPDATE state SET seq = 7")


def test_what_an_older_lorgnette_writes_beside_this_one_is_no_damage(
    catalogue: Catalogue,
) -> None:
    """During an upgrade both may run for a while; the older one knows no checksums."""
    fill(catalogue, unit_rows(3))
    with catalogue.writing() as older:
        older.execute("UPDATE state SET seq = 2")
        older.execute(
            "INSERT INTO items (id, seq, source, size, mtime_ns, metadata, deleted)"
            " VALUES ('001', 2, '', 0, 0, '{}', 0) ON CONFLICT (id) DO UPDATE SET"
            " seq = excluded.seq, source = excluded.source, size = excluded.size,"
            " mtime_ns = excluded.mtime_ns, metadata = excluded.metadata, deleted = 0"
        )
        older.execute("UPDATE items SET deleted = 1, seq = 2, metadata = '{}' WHERE id = '002'")
    catalogue.check()
    with catalogue.reading() as connection:
        kept = connection.execute("SELECT id FROM items WHERE crc IS NOT NULL").fetchall()
    assert kept == [("000",)]
    catalogue.upsert(SPACE, [new_item("001", unit_rows(1)[0])])
    with catalogue.reading() as connection:
        (crc,) = connection.execute("SELECT crc FROM items WHERE id = '001'").fetchone()
    assert crc is not None
