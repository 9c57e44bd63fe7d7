"""The contract that travels with a model: which space it speaks, what it eats, how it is checked.

Everything is frozen, unknown keys are refused, and no field has a default: a manifest that does
not say its interpolation is an error, never "bicubic".
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator

SCHEMA_VERSION: Final = 1

Role = Literal["gallery", "query"]
Variant = Literal["fp32", "fp16", "int8", "net", "pre"]

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"
SPACE_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}-[0-9a-f]{12}$"
STUDENT_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}@[a-z0-9][a-z0-9._-]{0,63}$"
_SHA256_PATTERN = r"^[0-9a-f]{64}$"


def _inside(path: str) -> str:
    """Accept only a plain relative POSIX path below the bundle, so that no manifest can escape."""
    normal = str(PurePosixPath(path)) == path and not path.startswith("/")
    if not normal or ".." in PurePosixPath(path).parts or path == "." or set(path) & set("\\:\0"):
        raise ValueError(f"{path!r} is not a plain relative path inside the bundle")
    return path


Sha256 = Annotated[str, Field(pattern=_SHA256_PATTERN)]
InsidePath = Annotated[str, AfterValidator(_inside)]


class _Contract(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Space(_Contract):
    """What makes two vectors comparable.

    id: `<name>-<12 hex>`, the hex being the start of a sha256 over the teacher's weights, its
    whitening and its preprocessing. dim: the vectors' length. Unequal ids are never compared.
    """

    id: Annotated[str, Field(pattern=SPACE_PATTERN)]
    dim: Annotated[int, Field(ge=1, le=65536)]


class InputSpec(_Contract):
    """How a decoded image becomes the network's input; it happens inside the ONNX graph.

    The image is uint8 RGB `[H, W, 3]`, sRGB and upright, of any size. It is squashed to
    `size_px` × `size_px` (aspect ignored), scaled to [0, 1], then `(x - mean) / std` by channel.
    """

    size_px: Annotated[int, Field(ge=16, le=4096)]
    resize: Literal["antialiased-bilinear-uint8"]
    aspect: Literal["squash"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class BundleFile(_Contract):
    """One file of the bundle.

    recall_delta: what it loses against fp32 in a search, in [-1, 1]: mAP (photographs with
    classes) or recall@10 (without), 0.01 being one point; None: unmeasured. What it was measured
    on stands in `provenance.metrics`, under the variant's name.
    """

    path: InsidePath
    sha256: Sha256
    bytes: Annotated[int, Field(ge=1)]
    recall_delta: float | None


class Golden(_Contract):
    """An image (lossless PNG) and the vector it must give: base64 float32 `[1, D]`."""

    image: BundleFile
    vector_b64: str


class Provenance(_Contract):
    """Where the weights came from: enough to make them again, or to doubt them."""

    created: str
    git_commit: str
    config_sha256: str
    command: str
    weights: str
    data: tuple[str, ...]
    licences: tuple[str, ...]
    metrics: dict[str, JsonValue]


class Manifest(_Contract):
    """`manifest.json` of a bundle."""

    schema_version: Literal[1]
    role: Role
    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    version: Annotated[str, Field(pattern=NAME_PATTERN)]
    space: Space
    input: InputSpec
    files: dict[Variant, BundleFile]
    golden: Annotated[tuple[Golden, ...], Field(min_length=1)]
    provenance: Provenance

    @model_validator(mode="after")
    def _has_an_encoder(self) -> Self:
        if not {"fp32", "fp16", "int8"} & set(self.files):
            raise ValueError("a bundle needs at least one of the variants fp32, fp16, int8")
        paths = ["manifest.json", *(entry.path for entry in self.all_files())]
        if len(set(paths)) != len(paths):
            raise ValueError("two entries of the manifest name the same file")
        folders = {str(folder) for path in paths for folder in PurePosixPath(path).parents}
        if folders & set(paths):
            raise ValueError("an entry of the manifest is inside another, which is a file")
        return self

    @property
    def identity(self) -> str:
        """`<name>@<version>`: what a query says of the model that made its vectors."""
        return f"{self.name}@{self.version}"

    def all_files(self) -> tuple[BundleFile, ...]:
        """Every file the bundle holds beside `manifest.json`."""
        return (*self.files.values(), *(golden.image for golden in self.golden))

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        """Validate JSON text. Raises `pydantic.ValidationError`."""
        return cls.model_validate_json(text)

    def dump(self) -> str:
        """The canonical JSON text that is written to disk and served."""
        return self.model_dump_json(indent=2) + "\n"


def is_name(text: str) -> bool:
    """Whether the text may name a model, a version or a space's first part."""
    return re.fullmatch(NAME_PATTERN, text) is not None
