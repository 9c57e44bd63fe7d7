"""lorgnette: visual search whose photos stay on the device.

The SDK embeds the query where the photo is and sends only the vector.

    from lorgnette import Bundle, Client, Encoder

    encoder = Encoder(Bundle.open("models/student"))
    with Client("http://127.0.0.1:8080", encoder=encoder) as client:
        for hit in client.search("photo.jpg"):
            print(hit.id, hit.score)

Names are imported when first used, so that `lorgnette --help` does not wait for ONNX Runtime.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lorgnette import errors
    from lorgnette.async_client import AsyncClient
    from lorgnette.bundle import Bundle
    from lorgnette.client import Client
    from lorgnette.encoder import Encoder
    from lorgnette.errors import LorgnetteError
    from lorgnette.image import read_image
    from lorgnette.manifest import Manifest, Space
    from lorgnette.models.store import ModelStore
    from lorgnette.pull import pull_bundle
    from lorgnette.vectors import Vectors
    from lorgnette.wire import Hit, Job, SearchResponse, SpaceInfo, StudentInfo

    __version__: str

__all__ = [
    "AsyncClient",
    "Bundle",
    "Client",
    "Encoder",
    "Hit",
    "Job",
    "LorgnetteError",
    "Manifest",
    "ModelStore",
    "SearchResponse",
    "Space",
    "SpaceInfo",
    "StudentInfo",
    "Vectors",
    "__version__",
    "errors",
    "pull_bundle",
    "read_image",
]

_HOME = {
    "AsyncClient": "async_client",
    "Bundle": "bundle",
    "Client": "client",
    "Encoder": "encoder",
    "Hit": "wire",
    "Job": "wire",
    "LorgnetteError": "errors",
    "Manifest": "manifest",
    "ModelStore": "models.store",
    "SearchResponse": "wire",
    "Space": "manifest",
    "SpaceInfo": "wire",
    "StudentInfo": "wire",
    "Vectors": "vectors",
    "pull_bundle": "pull",
    "read_image": "image",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        return version("lorgnette")
    if name == "errors":
        return import_module("lorgnette.errors")
    if name not in _HOME:
        raise AttributeError(f"module 'lorgnette' has no attribute {name!r}")
    return getattr(import_module(f"lorgnette.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
