"""Unit rows and their base64: what goes in comes out, and nothing unfit gets through."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lorgnette.errors import InvalidVector
from lorgnette.vectors import MIN_NORM, WireDtype, from_base64, to_base64, unit_rows
from lorgnette.wire import PackedVectors, SearchRequest

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12)
FINITE = st.floats(-1e3, 1e3, width=32)
# A busy machine is no failure.
PATIENT = settings(deadline=None, max_examples=60)
# Half precision keeps 11 significant bits; below 2^-14 its step is 2^-24.
HALF_RELATIVE, HALF_ABSOLUTE = 2.0**-11, 2.0**-25


@PATIENT
@given(hnp.arrays(np.float32, SHAPES, elements=FINITE))
def test_rows_become_unit_or_are_refused(rows: np.ndarray) -> None:
    norms = np.linalg.norm(rows.astype(np.float64), axis=1)
    if (norms < MIN_NORM).any():
        with pytest.raises(InvalidVector, match="points nowhere"):
            unit_rows(rows, dim=rows.shape[1])
        return
    unit = unit_rows(rows, dim=rows.shape[1])
    assert unit.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(unit * norms[:, None], rows, rtol=1e-5, atol=1e-5)


@PATIENT
@given(hnp.arrays(np.float32, SHAPES, elements=FINITE))
def test_float32_travels_unchanged(rows: np.ndarray) -> None:
    text = to_base64(rows, dtype="f32")
    np.testing.assert_array_equal(from_base64(text, dtype="f32", dim=rows.shape[1]), rows)


@PATIENT
@given(hnp.arrays(np.float32, SHAPES, elements=FINITE))
def test_float16_travels_within_half_a_step(rows: np.ndarray) -> None:
    text = to_base64(rows, dtype="f16")
    back = from_base64(text, dtype="f16", dim=rows.shape[1])
    np.testing.assert_allclose(back, rows, rtol=HALF_RELATIVE, atol=HALF_ABSOLUTE)


@PATIENT
@given(st.binary(max_size=200), st.sampled_from(["f16", "f32"]), st.integers(1, 20))
def test_any_bytes_are_rows_or_refused(raw: bytes, dtype: WireDtype, dim: int) -> None:
    width = dim * (2 if dtype == "f16" else 4)
    text = base64.b64encode(raw).decode()
    if raw and len(raw) % width == 0:
        assert from_base64(text, dtype=dtype, dim=dim).shape == (len(raw) // width, dim)
    else:
        with pytest.raises(InvalidVector, match=f"multiple of {width} bytes"):
            from_base64(text, dtype=dtype, dim=dim)


@PATIENT
@given(st.text("AZaz09+/=-_\n é", max_size=24))
@example("009=")
def test_any_text_is_rows_or_refused(text: str) -> None:
    try:
        rows = from_base64(text, dtype="f16", dim=1)
    except InvalidVector:
        return
    assert base64.b64encode(base64.b64decode(text, validate=True)).decode() == text
    assert rows.shape[1] == 1


def test_the_wire_is_little_endian_whatever_the_machine() -> None:
    rows = np.array([[1.0, -2.0]], dtype=np.float32)
    assert base64.b64decode(to_base64(rows, dtype="f16")) == b"\x00\x3c\x00\xc0"
    assert base64.b64decode(to_base64(rows, dtype="f32")) == b"\0\0\x80\x3f\0\0\0\xc0"
    assert to_base64(rows.astype(">f4"), dtype="f16") == to_base64(rows, dtype="f16")


def test_a_512_d_vector_costs_1368_characters() -> None:
    assert len(to_base64(np.ones((1, 512), np.float32), dtype="f16")) == 1368


def test_big_endian_rows_are_the_same_rows() -> None:
    rows = np.array([[3.0, 4.0]], dtype=">f8")
    np.testing.assert_allclose(unit_rows(rows, dim=2), [[0.6, 0.8]], rtol=1e-6)


def test_rows_that_are_not_contiguous_are_the_same_rows() -> None:
    rows = np.arange(1, 13, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal(unit_rows(rows.T, dim=3), unit_rows(rows.T.copy(), dim=3))
    assert to_base64(rows.T, dtype="f32") == to_base64(rows.T.copy(), dtype="f32")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e39, -1e39])
def test_the_first_unfit_row_is_named(bad: float) -> None:
    rows = np.ones((4, 3))
    rows[2, 1] = bad
    with pytest.raises(InvalidVector, match="vector 2 holds NaN or infinity"):
        unit_rows(rows, dim=3)


def test_a_row_without_direction_is_named() -> None:
    rows = np.ones((3, 2), np.float32)
    rows[1] = MIN_NORM / 10
    with pytest.raises(InvalidVector, match="vector 1 has length"):
        unit_rows(rows, dim=2)


def test_the_longest_float32_row_does_not_overflow() -> None:
    rows = np.full((1, 2), np.finfo(np.float32).max, np.float32)
    np.testing.assert_allclose(unit_rows(rows, dim=2), [[0.5**0.5] * 2], rtol=1e-6)


@pytest.mark.parametrize("shape", [(3,), (0, 3), (1, 4), (1, 2), (1, 1, 3), ()])
def test_another_shape_is_refused_with_what_was_found(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidVector, match="of 3 numbers") as caught:
        unit_rows(np.ones(shape), dim=3)
    assert str(list(shape)) in str(caught.value)


@pytest.mark.parametrize("value", [65520.0, -1e5, np.inf, np.nan])
def test_a_value_float16_cannot_hold_is_refused(value: float) -> None:
    with pytest.raises(InvalidVector, match="too large for f16"):
        to_base64(np.array([[value]], np.float32), dtype="f16")


def test_the_largest_float16_passes() -> None:
    rows = np.array([[65504.0]], np.float32)
    np.testing.assert_array_equal(
        from_base64(to_base64(rows, dtype="f16"), dtype="f16", dim=1), rows
    )


@pytest.mark.parametrize("text", ["AAA", "A", "!!!!", "AAAA\n", "ÄÄÄÄ", "AAAA AAAA", ""])
def test_what_is_not_base64_of_a_row_is_refused(text: str) -> None:
    with pytest.raises(InvalidVector):
        from_base64(text, dtype="f16", dim=2)


def test_a_request_with_floats_and_one_with_base64_hold_the_same_rows() -> None:
    rows = unit_rows(np.random.default_rng(1).standard_normal((3, 8)), dim=8)
    packed = SearchRequest(space="s", vectors=PackedVectors.pack(rows, dtype="f32"))
    plain = SearchRequest.model_validate_json(
        f'{{"space": "s", "vectors": {rows.astype(float).tolist()}}}'
    )
    np.testing.assert_array_equal(packed.rows(dim=8), rows)
    np.testing.assert_array_equal(plain.rows(dim=8), rows)


@pytest.mark.parametrize("vectors", [[[1.0, 2.0], [1.0]], [[]], []])
def test_a_request_of_ragged_floats_is_refused(vectors: list[list[float]]) -> None:
    with pytest.raises(InvalidVector, match="vectors of 2 numbers"):
        SearchRequest(space="s", vectors=vectors).rows(dim=2)


@pytest.mark.parametrize("number", ["1e39", "1e400", "NaN", "Infinity"])
def test_a_number_beyond_float32_in_json_does_not_get_through(number: str) -> None:
    request = SearchRequest.model_validate_json(f'{{"space": "s", "vectors": [[1, {number}]]}}')
    with pytest.raises(InvalidVector, match="NaN or infinity"):
        unit_rows(request.rows(dim=2), dim=2)
