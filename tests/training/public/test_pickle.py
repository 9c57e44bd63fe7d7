"""Pickles: data comes through as Python's own unpickler gives it, and nothing else does."""

from __future__ import annotations

import os
import pickle
import random
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorgnette.errors import InvalidDataset, UnsafeFile
from training.data.public import pickle_machine
from training.data.public.pickle_machine import load_pickle, parse_pickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
DATA = st.recursive(
    LEAVES | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.tuples(inner, inner)
    ),
    max_leaves=20,
)


def parsed(content: bytes) -> object:
    return parse_pickle(content, origin="test.pkl")


@given(DATA, st.sampled_from(PROTOCOLS))
@settings(max_examples=80, deadline=None)
def test_plain_data_comes_through_in_every_protocol(data: object, protocol: int) -> None:
    assert parsed(pickle.dumps(data, protocol)) == data


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.int32).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array([1.5, 2.5], dtype=">f4"),
        np.array([], dtype=np.int64),
        np.array(7, dtype=np.uint8),
        np.array([True, False]),
        np.arange(10)[::-2],
    ],
    ids=str,
)
def test_numeric_arrays_come_through_in_every_protocol(
    array: np.ndarray[tuple[int, ...], np.dtype[np.generic]], protocol: int
) -> None:
    # The same dtype twice: the second is a reference into the memo.
    found = parsed(pickle.dumps({"a": array, "b": [array.copy()]}, protocol))
    assert isinstance(found, dict)
    for copy in (found["a"], found["b"][0]):
        assert copy.dtype == array.dtype
        np.testing.assert_array_equal(copy, array)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_numeric_scalars_come_through_as_pythons(protocol: int) -> None:
    data = [np.int64(-3), np.float32(0.5), np.bool_(True), np.float64(2)]
    found = parsed(pickle.dumps(data, protocol))
    assert found == [-3, 0.5, True, 2.0]
    assert isinstance(found, list)
    assert [type(value) for value in found] == [int, float, bool, float]


def test_what_python_2_wrote_comes_through() -> None:
    """Protocol 2 with `str` where Python 3 has bytes, as in the oldest ground truth files."""
    old = (
        b"\x80\x02}q\x00U\x02okq\x01cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\n"
        b"q\x03K\x00\x85U\x01b\x87Rq\x04(K\x01K\x02\x85cnumpy\ndtype\nq\x05U\x02i4K\x00K\x01\x87R"
        b"q\x06(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x08"
        + struct.pack("<2i", 5, -1)
        + b"tbs."
    )
    found = parsed(old)
    assert isinstance(found, dict)
    assert found["ok"].tolist() == [5, -1]


class _Calls:
    def __init__(self, *reduced: object) -> None:
        self.reduced = reduced

    def __reduce__(self) -> tuple[object, ...]:  # type: ignore[override]
        return self.reduced


class _Own:
    pass


HARM = {
    "os.system": _Calls(os.system, ("touch harm",)),
    "eval": _Calls(eval, ("open('harm', 'w')",)),
    "exec": _Calls(exec, ("open('harm', 'w')",)),
    "getattr": _Calls(getattr, ("text", "upper")),
    "import": _Calls(__import__, ("os",)),
    "subprocess": _Calls(subprocess.check_output, (["touch", "harm"],)),
    "open": _Calls(open, ("harm", "w")),
    "a chain": _Calls(getattr, (_Calls(__import__, ("os",)), "system")),
    "state": _Calls(list, (), {"append": eval}),
    "numpy's loader": _Calls(np.load, ("harm.npy",)),
    "numpy's memmap": _Calls(np.memmap, ("harm", "uint8", "w+", 0, 10)),
    "own class": _Own(),
    "a function": os.system,
    "a type": np.ndarray,
    "a type in a tuple": ((np.ndarray, 1), 2),
    "a dtype": np.dtype("i4"),
    "objects in an array": np.array([_Own(), None], dtype=object),
    "text in an array": np.array(["a", "b"]),
    "a record array": np.zeros(2, dtype=[("a", "i4")]),
    "dates": np.array(["2020-01-01"], dtype="datetime64[D]"),
    "a masked array": np.ma.array([1, 2], mask=[0, 1]),
    "a set": {1, 2},
    "a complex number": 1j,
    "a path": Path("harm"),
    "random state": random.Random(1),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", HARM)
def test_whatever_is_no_data_is_refused_and_nothing_runs(
    name: str, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps({"imlist": ["a"], "gnd": [HARM[name]]}, protocol)
    with pytest.raises(UnsafeFile, match="not plain data"):
        parsed(content)
    assert list(tmp_path.iterdir()) == []


def _array(shape: bytes, dtype: bytes, raw: bytes) -> bytes:
    """An array as protocol 2 has it, its parts exchanged."""
    return (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01" + shape + b"cnumpy\ndtype\n" + dtype + b"K\x00K\x01\x87R"
        b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89" + raw + b"tb."
    )


SHORT = b"U\x04abcd"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (_array(b"\x8a\x06\x00\x00\x00\x00\x00\x10\x85", b"U\x02i1", SHORT), "claims an array"),
        (_array(b"J\xff\xff\xff\xff\x85", b"U\x02i4", SHORT), "shape"),
        (_array(b"(K\x01K\x01K\x01K\x01K\x01K\x01K\x01K\x01K\x01t", b"U\x02i4", SHORT), "shape"),
        (_array(b"U\x01x\x85", b"U\x02i4", SHORT), "shape"),
        (_array(b"K\x01\x85", b"U\x02O8", SHORT), "calls dtype"),
        (_array(b"K\x01\x85", b"U\x03V99", SHORT), "calls dtype"),
        (b"cnumpy\ndtype\nU\x02i4K\x00K\x01\x87R(K\x03U\x01|NNNK\x63K\x08K\x10tb.", "sets a state"),
        (b"cnumpy\nndarray\nK\x05\x85R.", "calls ndarray"),
        (
            b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n\x8a\x06\x00\x00\x00\x00\x00"
            b"\x10\x85U\x01b\x87R.",
            "calls _reconstruct",
        ),
        (b"cnumpy.core.multiarray\n_reconstruct\ncos\nsystem\nK\x00\x85U\x01b\x87R.", "os.system"),
        (b"c_codecs\nencode\nX\x01\x00\x00\x00aX\x06\x00\x00\x00rot-13\x86R.", "calls encode"),
        (b"]q\x00}b.", "state of a list"),
        (b"}K\x01a.", "appends to a dict"),
        (b"]K\x01K\x02s.", "sets items of a list"),
        (b"}]K\x02s.", "as a key"),
        (b"}((K\x01ttK\x02s.", "as a key"),
        (b"K\x01K\x02\x85R.", "calls a int"),
        (b"Pharm\n.", "PERSID"),
        (b"(ios\nsystem\n.", "INST"),
        (b"\x82\x01.", "EXT1"),
        (b"cnumpy\nndarray\n)\x81.", "NEWOBJ"),
        (b"\x97.", "NEXT_BUFFER"),
        (b"cnumpy\ndtype\n.", "a name"),
    ],
)
def test_numpys_names_and_rare_opcodes_are_no_way_in(content: bytes, said: str) -> None:
    with pytest.raises(UnsafeFile, match=said):
        parsed(content)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a pickle",
        pickle.dumps([1, 2, 3])[:-1],
        pickle.dumps({"a": "b" * 100})[:-50],
        b"a.",
        b"t.",
        b"h\x05.",
        b"K\x01K\x02.",
        b"(.",
        b"}(K\x01u.",
        b"((a.",
        b"I9x\n.",
        b"X\x02\x00\x00\x00\xff\xff.",
        b"I" + b"9" * 10_000 + b"\n.",
    ],
)
def test_a_broken_pickle_is_named(content: bytes) -> None:
    with pytest.raises(InvalidDataset, match=r"test\.pkl"):
        parsed(content)


@pytest.mark.parametrize(
    "content",
    [
        b"\x8e" + struct.pack("<Q", 2**40) + b"x.",
        b"\x8d" + struct.pack("<Q", 2**62) + b"x.",
        b"\x96" + struct.pack("<Q", 2**40) + b"x.",
        b"B" + struct.pack("<I", 2**32 - 1) + b"x.",
        b"T" + struct.pack("<i", 2**31 - 1) + b"x.",
        b"\x8b" + struct.pack("<i", 2**31 - 1) + b"x.",
    ],
)
def test_a_claimed_length_allocates_nothing(content: bytes) -> None:
    with pytest.raises(InvalidDataset):
        parsed(content)


def test_a_far_place_in_the_memo_allocates_nothing() -> None:
    """Python's own unpickler makes room for every place up to it: 64 GB."""
    assert parsed(b"K\x07r" + struct.pack("<I", 2**32 - 1) + b".") == 7


@pytest.mark.parametrize(("open_", "close"), [(b"(", b"t"), (b"(", b"l")])
def test_deep_nesting_neither_crashes_nor_becomes_a_key(open_: bytes, close: bytes) -> None:
    depth = 100_000
    nested = open_ * depth + close * depth
    found = parsed(nested + b".")
    assert isinstance(found, tuple | list)
    with pytest.raises(UnsafeFile, match="as a key"):
        parsed(b"}" + nested + b"K\x01s.")


def test_a_list_within_itself_ends() -> None:
    found = parsed(b"]q\x00h\x00a.")
    assert isinstance(found, list)
    assert found[0] is found


def test_a_file_of_another_size_than_any_ground_truth_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pickle_machine, "MAX_PICKLE_BYTES", 10)
    (tmp_path / "gnd.pkl").write_bytes(pickle.dumps("a" * 20))
    with pytest.raises(InvalidDataset, match="is it the right file"):
        load_pickle(tmp_path / "gnd.pkl")
    with pytest.raises(InvalidDataset, match="cannot read"):
        load_pickle(tmp_path / "none.pkl")
