"""Colour profiles made by hand, for files of wide gamuts."""

from __future__ import annotations

import struct

# Adobe RGB (1998), Display P3 and sRGB primaries, chromatically adapted to D50 (Bradford).
ADOBE = [[0.60974, 0.31111, 0.01947], [0.20528, 0.62567, 0.06087], [0.14919, 0.06322, 0.74457]]
P3 = [[0.51512, 0.24120, -0.00105], [0.29198, 0.69225, 0.04189], [0.15710, 0.06657, 0.78407]]


def profile(colorants: list[list[float]], gamma: float) -> bytes:
    """A version 2 ICC matrix profile. colorants: XYZ (D50) of red, green and blue."""

    def fixed(number: float) -> bytes:
        return struct.pack(">i", round(number * 65536))

    def xyz(values: list[float]) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(map(fixed, values))

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    name = b"wide\0"
    title = b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + bytes(78) + b"\0"
    tags = {b"desc": title, b"cprt": b"text\0\0\0\0none\0\0\0\0", b"wtpt": xyz([0.9642, 1, 0.8249])}
    tags |= {key: xyz(values) for key, values in zip([b"rXYZ", b"gXYZ", b"bXYZ"], colorants)}  # noqa: B905
    tags |= dict.fromkeys([b"rTRC", b"gTRC", b"bTRC"], curve)
    table, data = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for key, content in tags.items():
        padded = content + bytes(-len(content) % 4)
        table += key + struct.pack(">II", start + len(data), len(content))
        data += padded
    header = struct.pack(
        ">I4sI4s4s4s", start + len(data), b"\0\0\0\0", 0x02100000, b"mntr", b"RGB ", b"XYZ "
    )
    header += bytes(12) + b"acsp" + bytes(28) + xyz([0.9642, 1, 0.8249])[8:]
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + data
