"""What an operator in a hurry does wrong: each is one sentence, and never a 500."""

from __future__ import annotations

import errno
import os
from contextlib import closing
from pathlib import Path

import pytest

from lorgnette.bundle import Bundle
from lorgnette.errors import Conflict, InvalidBundle, InvalidGallery
from service.gallery.catalogue import Catalogue
from service.gallery.files import disk_errors
from service.keys import KEYS_NAME, KeyFile
from service.settings import Settings
from service.students import Students
from tests.service.gallery_rows import fill, unit_rows
from tests.service.serving import fill as fill_pictures
from tests.service.serving import png, problem, serving
from tests.service.test_serve import refused, served


def test_a_teacher_is_not_handed_out_as_a_student(teacher: Bundle) -> None:
    with pytest.raises(InvalidBundle, match=r"is a gallery bundle.*--student"):
        Students.open([teacher.directory], max_pixels=10**6)


def test_a_gallery_that_became_read_only_says_so(tmp_path: Path) -> None:
    with closing(Catalogue.open(tmp_path)) as catalogue:
        fill(catalogue, unit_rows(3))
        with catalogue.reading() as connection:
            connection.execute("PRAGMA query_only = ON")
        with pytest.raises(Conflict, match=r"is read-only for this process.*mount it"):
            catalogue.delete(["000"])
        assert len(catalogue.items([1, 2, 3])) == 3
    with pytest.raises(Conflict, match="read-only"), disk_errors(tmp_path):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def test_a_data_directory_that_is_a_file_is_told_as_that(tmp_path: Path, student: Bundle) -> None:
    (tmp_path / "data").write_text("")
    said = refused("--data", str(tmp_path / "data"), "--student", str(student.directory))
    assert "cannot make the data directory" in said
    assert "keys" not in said


def test_a_key_file_that_cannot_be_read_is_not_to_be_deleted(tmp_path: Path) -> None:
    (tmp_path / KEYS_NAME).mkdir()
    with pytest.raises(InvalidGallery, match="owner and permissions") as told:
        KeyFile(tmp_path).records()
    assert "delete" not in str(told.value)


def test_two_services_on_one_gallery_both_see_what_either_writes(
    tmp_path: Path, teacher: Bundle, student: Bundle
) -> None:
    data = tmp_path / "data"
    fill_pictures(data, teacher, {"a": png(0)})
    settings = Settings(data=data, teacher=teacher.directory, students=(student.directory,))
    options = ("--data", str(data), "--student", str(student.directory), "--port", "0")
    with serving(settings) as one, served(*options) as (process, url):
        headers = {"content-type": "image/png"}
        assert one.put("/admin/items/b", content=png(1), headers=headers).status_code == 200
        assert one.get(f"{url}/admin/items/b").status_code == 200
        assert one.delete(f"{url}/admin/items/b").status_code == 200
        problem(one.get("/admin/items/b"), 404, "not-found")
        process.terminate()
        assert process.wait(timeout=20) == 0
        assert one.get("/readyz").status_code == 200


@pytest.mark.parametrize("path", [
    "/items/{}/thumbnail", "/admin/items/{}", "/admin/jobs/{}", "/admin/jobs/{}/events",
    "/models/{}/manifest.json", "/{}",
])  # fmt: skip
def test_no_name_however_long_or_strange_is_a_fault(
    tmp_path: Path, student: Bundle, path: str
) -> None:
    with serving(Settings(data=tmp_path / "data", students=(student.directory,))) as client:
        for name in ("x" * 20_000, "%F0%9F%A6%8A" * 500, "%ff%fe", "%00", "a%2F..%2Fb", "%C2%9B",
                     "%ED%A0%80", "é", " ", "%25", "a" * 600):  # fmt: skip
            assert client.get(path.format(name)).status_code in (404, 422), name[:20]
