"""Which variant an encoder takes, on processors of every kind."""

from __future__ import annotations

import pytest

from lorgnette.bundle import Bundle
from lorgnette.manifest import BundleFile, Variant
from lorgnette.processor import fast_variant, names_dot_product


def offering(bundle: Bundle, *variants: Variant, recall_delta: float | None = None) -> Bundle:
    files = {
        variant: BundleFile(
            path=f"{variant}.onnx",
            sha256="0" * 64,
            bytes=1,
            recall_delta=recall_delta if variant == "int8" else None,
        )
        for variant in variants
    }
    return Bundle(bundle.directory, bundle.manifest.model_copy(update={"files": files}))


@pytest.mark.parametrize(
    ("recall_delta", "has_dot_product", "wanted"),
    [
        (0.01, True, "int8"),
        (-0.002, True, "int8"),
        (0.01, False, "fp16"),
        (0.0101, True, "fp16"),
        (None, True, "fp16"),
    ],
)
def test_int8_is_taken_where_it_is_fast_and_known_to_lose_little(
    student: Bundle, recall_delta: float | None, has_dot_product: bool, wanted: Variant
) -> None:
    bundle = offering(student, "fp32", "fp16", "int8", recall_delta=recall_delta)
    assert fast_variant(bundle, has_dot_product=has_dot_product) == wanted


@pytest.mark.parametrize("has_dot_product", [True, False])
def test_a_bundle_is_served_with_what_it_has(student: Bundle, has_dot_product: bool) -> None:
    def found(*variants: Variant) -> Variant:
        bundle = offering(student, *variants, recall_delta=0.5)
        return fast_variant(bundle, has_dot_product=has_dot_product)

    assert found("net", "fp32") == "fp32"
    assert found("fp32", "fp16") == "fp16"
    assert found("int8") == "int8"


@pytest.mark.parametrize(
    ("line", "has"),
    [
        ("flags\t\t: fpu sse2 avx2 avx512f avx512_vnni\n", True),
        ("flags\t\t: fpu sse2 avx_vnni\n", True),
        ("flags\t\t: fpu sse2 avx2 avx512f\n", False),
        ("Features\t: fp asimd asimdhp asimddp\n", True),
        ("Features\t: fp asimd crc32\n", False),
        ("model name\t: avx_vnni\n", False),
        ("", False),
    ],
)
def test_linux_says_which_instructions_there_are(line: str, has: bool) -> None:
    assert names_dot_product(f"processor\t: 0\n{line}\nbogomips\t: 1\n") is has
