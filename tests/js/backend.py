"""What the JavaScript tests stand on: real services, and the Python SDK's answers to their input.

    python -m tests.js.backend FOLDER

writes the inputs and the expected values into the empty FOLDER, starts three services on ports of
their own, prints one line of JSON with their addresses, and stops when its input is closed.
"""

from __future__ import annotations

import base64
import json
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import SecretStr

from lorgnette.bundle import Bundle
from lorgnette.encoder import Encoder
from lorgnette.errors import LorgnetteError
from lorgnette.vectors import WireDtype, to_bytes
from service.settings import Settings
from tests.js.photographs import gallery, raw_pixels, write_photographs, write_refused
from tests.service.serving import ADMIN_KEY, SEARCH_KEY, fill, serving
from tests.tiny_bundle import write_tiny_bundle

SHIPPED = Path(__file__).resolve().parents[2] / "models"


def main(folder: Path) -> None:
    """Everything, then wait."""
    photographs = write_photographs(folder / "photographs")
    write_refused(folder / "refused")
    pictures = _write_gallery(folder / "gallery")
    _write_wire(folder)
    _write_errors(folder)
    tiny = {
        seed: [
            write_tiny_bundle(
                folder / f"tiny{seed}" / role, role=role, space_seed=seed, version=str(seed + 1)
            )
            for role in ("gallery", "query")
        ]
        for seed in (0, 1)
    }
    shipped = [Bundle.open(SHIPPED / name) for name in ("teacher", "student")]
    _write_vectors(folder, tiny[0][1], shipped[1], photographs)
    with ExitStack() as stack:
        served = {"tiny": tiny[0], "other": tiny[1], "shipped": shipped}
        urls = {
            name: _serve(stack, folder / f"data-{name}", bundles, pictures, key=name == "other")
            for name, bundles in served.items()
        }
        keys = {"search_key": SEARCH_KEY, "admin_key": ADMIN_KEY}
        sys.stdout.write(json.dumps({"urls": urls, **keys}) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


def _serve(
    stack: ExitStack, data: Path, bundles: list[Bundle], pictures: dict[str, bytes], *, key: bool
) -> str:
    teacher, student = bundles
    fill(data, teacher, pictures)
    settings = Settings(
        data=data,
        teacher=teacher.directory,
        students=(student.directory,),
        search_key=SecretStr(SEARCH_KEY) if key else None,
        admin_key=SecretStr(ADMIN_KEY) if key else None,
    )
    return str(stack.enter_context(serving(settings)).base_url)


def _write_gallery(folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    for number, image in enumerate(gallery()):
        image.save(folder / f"picture{number}.png")
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _write_vectors(folder: Path, tiny: Bundle, student: Bundle, photographs: list[Path]) -> None:
    """Vectors of raw pixels by each variant, and of the photograph files by the shipped student."""
    # By name: which variant an encoder takes unasked depends on the processor.
    encoders = {
        "tiny": Encoder(tiny),
        "shipped": Encoder(student, variant="fp16"),
        "int8": Encoder(student, variant="int8"),
    }
    raw = folder / "raw"
    raw.mkdir()
    cases = []
    for name, pixels in raw_pixels().items():
        Image.fromarray(pixels).save(raw / f"{name}.png")
        vectors = {key: _b64(encoder.encode_pixels(pixels)) for key, encoder in encoders.items()}
        cases.append({"file": f"raw/{name}.png", "vectors": vectors})
    files = {path.name: _b64(encoders["shipped"].encode(path)) for path in photographs}
    unturned = np.asarray(Image.open(folder / "photographs" / "exif_6.jpg"))
    control = _b64(encoders["shipped"].encode_pixels(unturned))
    expected = {"raw": cases, "photographs": files, "exif_6_not_turned": control}
    (folder / "vectors.json").write_text(json.dumps(expected))


def _write_wire(folder: Path) -> None:
    """Rows of numbers of every size and sign, ties and subnormals included, and their bytes."""
    random = np.random.default_rng(11)
    halves = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)
    between = (halves[:-1].astype(np.float64) + halves[1:]) / 2
    near = [np.nextafter(between.astype(np.float32), np.float32(side)) for side in (0, 1e9)]
    edges = np.concatenate([halves[:-1], between, *near])
    spread = random.standard_normal(4096) * 2.0 ** random.integers(-30, 10, 4096)
    numbers = np.concatenate([edges, -edges, spread]).astype(np.float32)
    numbers = numbers[np.abs(numbers) < 65519]
    numbers = numbers[: len(numbers) // 64 * 64]
    random.shuffle(numbers)
    rows = numbers.reshape(-1, 64)
    dtypes: tuple[WireDtype, ...] = ("f32", "f16", "i8")
    for dtype in dtypes:
        (folder / f"wire.{dtype}").write_bytes(to_bytes(rows, dtype=dtype))


def _write_errors(folder: Path) -> None:
    def tree(error: type[LorgnetteError]) -> dict[str, dict[str, str]]:
        here = {error.__name__: {"code": error.code, "parent": error.__mro__[1].__name__}}
        for child in error.__subclasses__():
            # A subclass without a code of its own is its parent to whoever reads the wire.
            if "code" in vars(child):
                here |= tree(child)
        return here

    (folder / "errors.json").write_text(json.dumps(tree(LorgnetteError)))


def _b64(row: NDArray[np.float32]) -> str:
    return base64.b64encode(row.astype("<f4").tobytes()).decode()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
