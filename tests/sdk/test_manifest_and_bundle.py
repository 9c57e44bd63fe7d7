"""What a manifest may say, and that a bundle is exactly what its manifest says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel, ValidationError

from lorgnette import manifest as manifest_module
from lorgnette.bundle import (
    MANIFEST_NAME,
    MAX_MANIFEST_BYTES,
    Bundle,
    parse_manifest,
    read_manifest,
    sha256_of,
)
from lorgnette.encoder import Encoder
from lorgnette.errors import BundleCorrupt, InvalidBundle
from lorgnette.manifest import Manifest, Space, is_name
from tests.tiny_bundle import write_tiny_bundle

Document = dict[str, Any]


@pytest.fixture
def document(student: Bundle) -> Document:
    return json.loads(student.manifest.dump())


@pytest.fixture
def copy(student: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(student.directory, tmp_path / "copy"))


def refused(document: Document) -> str:
    with pytest.raises(InvalidBundle) as caught:
        parse_manifest(json.dumps(document).encode(), origin="the manifest")
    return str(caught.value)


def test_a_manifest_survives_its_own_text(student: Bundle) -> None:
    assert Manifest.parse(student.manifest.dump()) == student.manifest


def test_no_field_of_the_contract_has_a_default() -> None:
    contracts = [
        found
        for found in vars(manifest_module).values()
        if isinstance(found, type) and issubclass(found, BaseModel) and found is not BaseModel
    ]
    assert Manifest in contracts
    for contract in contracts:
        assert all(field.is_required() for field in contract.model_fields.values()), contract


def every_object(node: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if isinstance(node, dict):
        below = [every_object(value, (*path, key)) for key, value in node.items()]
        return [path, *(found for group in below for found in group)]
    if isinstance(node, list):
        return [found for i, value in enumerate(node) for found in every_object(value, (*path, i))]
    return []


def at(document: Document, path: tuple[str | int, ...]) -> Document:
    node: Any = document
    for step in path:
        node = node[step]
    return node


def test_an_unknown_key_is_refused_wherever_it_is(document: Document) -> None:
    free = {("provenance", "metrics"), ("files",)}
    for path in set(every_object(document)) - free:
        changed = json.loads(json.dumps(document))
        at(changed, path)["surprise"] = 1
        assert "surprise" in refused(changed)
    changed = json.loads(json.dumps(document))
    changed["files"]["fp8"] = changed["files"]["fp32"]
    assert "fp8" in refused(changed)


def test_a_missing_key_is_refused_wherever_it_is(document: Document) -> None:
    free = {("provenance", "metrics"), ("files",)}
    for path in set(every_object(document)) - free:
        for key in at(document, path):
            changed = json.loads(json.dumps(document))
            del at(changed, path)[key]
            assert key in refused(changed)


ESCAPES = [
    "../model.onnx",
    "/etc/passwd",
    "a/../../b",
    "a/./b",
    "a//b",
    "./a",
    "a/",
    ".",
    "..",
    "",
    "C:\\x",
    "C:x",
    "a\\b",
    "a\0b",
]


@pytest.mark.parametrize("path", ESCAPES)
def test_a_path_cannot_leave_the_bundle(document: Document, path: str) -> None:
    document["files"]["fp32"]["path"] = path
    assert "files.fp32.path" in refused(document)


@pytest.mark.parametrize("path", ["golden/noise.png", "manifest.json", "golden"])
def test_two_entries_cannot_share_a_place(document: Document, path: str) -> None:
    document["files"]["fp32"]["path"] = path
    assert "entr" in refused(document)


def setter(*path: str | int, to: object) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        at(document, path[:-1])[path[-1]] = to  # type: ignore[index]

    return change


@pytest.mark.parametrize(
    "change",
    [
        setter("schema_version", to=2),
        setter("schema_version", to="1"),
        setter("role", to="teacher"),
        setter("name", to="Has Spaces"),
        setter("name", to="../up"),
        setter("name", to=""),
        setter("version", to="a" * 65),
        setter("space", "id", to="tiny"),
        setter("space", "id", to="tiny-0123456789AB"),
        setter("space", "dim", to=0),
        setter("space", "dim", to="16"),
        setter("space", "dim", to=16.5),
        setter("input", "resize", to="bicubic"),
        setter("input", "size_px", to=True),
        setter("files", to={}),
        setter("golden", to=[]),
        setter("files", "fp32", "bytes", to=0),
        setter("files", "fp32", "sha256", to="abc"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(
    document: Document, change: Callable[[Document], None]
) -> None:
    change(document)
    assert refused(document).startswith("the manifest does not validate at ")


def test_a_bundle_without_an_encoder_is_refused(document: Document) -> None:
    document["files"] = {"net": document["files"]["fp32"]}
    assert "at least one of the variants" in refused(document)


def test_a_manifest_cannot_be_changed(student: Bundle) -> None:
    with pytest.raises(ValidationError):
        student.manifest.name = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        student.manifest.space.dim = 3  # type: ignore[misc]


def test_spaces_are_equal_by_value_and_may_be_keys() -> None:
    one, same = Space(id="a-0123456789ab", dim=4), Space(id="a-0123456789ab", dim=4)
    assert {one: 1}[same] == 1
    assert one != Space(id="a-0123456789ab", dim=8)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("lite0", True), ("a.b_c-1", True), ("", False), ("-a", False), ("A", False), ("a\n", False)],
)
def test_what_may_be_a_name(text: str, *, is_one: bool) -> None:
    assert is_name(text) is is_one


def test_a_directory_that_is_no_bundle_says_how_to_make_one(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "none"):
        with pytest.raises(InvalidBundle, match=r"lorgnette export.*lorgnette pull"):
            Bundle.open(directory)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"null", b"[]", b"{" * 100_000])
def test_text_that_is_no_manifest_is_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / MANIFEST_NAME).write_bytes(text)
    with pytest.raises(InvalidBundle, match="does not validate"):
        read_manifest(tmp_path)


def test_an_endless_manifest_is_not_read_to_its_end(tmp_path: Path) -> None:
    with (tmp_path / MANIFEST_NAME).open("wb") as file:
        file.truncate(MAX_MANIFEST_BYTES + 1)
    with pytest.raises(InvalidBundle, match="longer than"):
        read_manifest(tmp_path)


def every_file(directory: Path) -> list[str]:
    manifest = read_manifest(directory)
    return [entry.path for entry in manifest.all_files()]


def test_one_flipped_byte_in_any_file_is_found(copy: Path) -> None:
    for path in every_file(copy):
        content = (copy / path).read_bytes()
        for place in (0, len(content) // 2, len(content) - 1):
            damaged = bytearray(content)
            damaged[place] ^= 1
            (copy / path).write_bytes(damaged)
            with pytest.raises(BundleCorrupt, match="fetch or export the bundle again"):
                Bundle.open(copy)
        (copy / path).write_bytes(content)
    Bundle.open(copy)


def test_a_truncated_or_longer_file_is_found(copy: Path) -> None:
    for path in every_file(copy):
        content = (copy / path).read_bytes()
        for damaged in (content[:-1], content + b"\0", b""):
            (copy / path).write_bytes(damaged)
            with pytest.raises(BundleCorrupt):
                Bundle.open(copy)
        (copy / path).write_bytes(content)


def test_a_missing_file_is_found(copy: Path) -> None:
    for path in every_file(copy):
        (copy / path).rename(copy / "aside")
        with pytest.raises(InvalidBundle, match="No such file"):
            Bundle.open(copy)
        (copy / "aside").rename(copy / path)
    (copy / "model.onnx").unlink()
    (copy / "model.onnx").mkdir()
    with pytest.raises(InvalidBundle):
        Bundle.open(copy)


def test_a_variant_the_bundle_lacks_names_those_it_has(student: Bundle) -> None:
    assert student.default_variant() == "fp32"
    with pytest.raises(InvalidBundle, match="no variant 'int8', only fp32"):
        student.file("int8")


def test_fp16_is_preferred(student: Bundle) -> None:
    entry = student.manifest.files["fp32"]
    for variants, expected in (
        (("fp32", "fp16", "int8"), "fp16"),
        (("int8", "fp32"), "fp32"),
        (("int8", "net"), "int8"),
    ):
        files = dict.fromkeys(variants, entry)
        manifest = student.manifest.model_copy(update={"files": files})
        assert Bundle(student.directory, manifest).default_variant() == expected


def test_golden_cases_are_decoded(student: Bundle) -> None:
    (case,) = student.golden()
    assert case.pixels.shape == (20, 30, 3)
    assert case.vector.shape == (1, student.space.dim)
    np.testing.assert_allclose(np.linalg.norm(case.vector), 1, rtol=1e-6)


def test_a_malformed_golden_vector_is_an_invalid_bundle(copy: Path) -> None:
    manifest = read_manifest(copy)
    golden = manifest.golden[0].model_copy(update={"vector_b64": "AAAA"})
    lie = manifest.model_copy(update={"golden": (golden,)})
    (copy / MANIFEST_NAME).write_text(lie.dump())
    with pytest.raises(InvalidBundle, match="golden vector"):
        Encoder(Bundle.open(copy)).check()


def test_a_malformed_golden_image_is_an_invalid_bundle(copy: Path) -> None:
    manifest = read_manifest(copy)
    path = manifest.golden[0].image.path
    (copy / path).write_bytes(b"no image")
    image = manifest.golden[0].image.model_copy(
        update={"bytes": 8, "sha256": sha256_of(copy / path)}
    )
    golden = manifest.golden[0].model_copy(update={"image": image})
    (copy / MANIFEST_NAME).write_text(manifest.model_copy(update={"golden": (golden,)}).dump())
    with pytest.raises(InvalidBundle, match="golden image"):
        Encoder(Bundle.open(copy)).check()


def test_sha256_is_the_files(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1.
    assert sha256_of(tmp_path / "x").startswith("ba7816bf8f01cfea414140de5dae2223b00361a396177a9c")


def test_two_bundles_of_one_seed_share_a_space(tmp_path: Path) -> None:
    one = write_tiny_bundle(tmp_path / "one", role="gallery", space_seed=1)
    two = write_tiny_bundle(tmp_path / "two", role="query", space_seed=1)
    assert one.space == two.space
