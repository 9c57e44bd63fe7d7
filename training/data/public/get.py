"""Fetching a public data set: only what is missing, and over as many runs as it takes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

from lorgnette.durable import exclusively
from lorgnette.errors import InvalidDataset, NotFound, RefusedByServer, Unreachable
from training.data.public.check import Findings, check
from training.data.public.description import Members, PublicSet, RemoteFile, Whole
from training.data.public.lock import check_and_record, forget
from training.data.public.transfer import Ways, fetch, require_room
from training.data.public.unpack import is_unpacked, unpack
from training.files import writing_to


@dataclass(frozen=True)
class Order:
    """What to get, where to, and from where: mirror None is the publisher."""

    public: PublicSet
    root: Path
    mirror: str | None

    @property
    def home(self) -> Path:
        """Where the set is put."""
        return self.public.home(self.root)

    @property
    def downloads(self) -> Path:
        """Where files wait to be unpacked; a file fetched by hand may be put there too."""
        return self.root / "downloads" / self.public.name


def get(order: Order, ways: Ways) -> Findings:
    """Bring what is missing of a set, and say what is still wrong after.

    Lists come first: when all they name is there, the archives are not fetched at all.  An archive
    is removed once it is unpacked.  Cut anywhere, the next call goes on.
    Raises `NotFound`, `RefusedByServer`, `Unreachable` saying what to fetch by hand and where to
    put it; `ChecksumMismatch`, `UnsafeFile`, `InvalidDataset` for what came; `DiskFull`.
    """
    # Two processes must not write the same `.part`: the second waits, and finds all done.
    with writing_to(order.downloads), exclusively(order.downloads / "get"):
        for file in order.public.files:
            if isinstance(file.put, Whole):
                _get_whole(order, file, file.put, ways)
        findings = check(order.public, order.root)
        if not findings.problems:
            return findings
        _get_archives(order, ways)
    return check(order.public, order.root)


def _get_whole(order: Order, file: RemoteFile, put: Whole, ways: Ways) -> None:
    target = order.home / put.path
    if target.is_file():
        return
    arrived = _arrived(order, file, copies=1, ways=ways)
    target.parent.mkdir(parents=True, exist_ok=True)
    arrived.replace(target)


def _get_archives(order: Order, ways: Ways) -> None:
    every = [(file, file.put) for file in order.public.files if isinstance(file.put, Members)]
    missing = [(file, put) for file, put in every if not is_unpacked(order.home, file.name)]
    # Archives are removed one by one, so what they give and one archive more must fit.
    one = order.public.disk_bytes // max(1, len(every))
    what = f"{order.public.name} takes {order.public.disk_bytes / 1e9:.0f} GB unpacked; it still"
    if missing:
        require_room(order.downloads, one * (len(missing) + 1), what=what, ways=ways)
    for file, put in missing:
        _get_archive(order, file, put, ways)


def _get_archive(order: Order, file: RemoteFile, put: Members, ways: Ways) -> None:
    arrived = _arrived(order, file, copies=2, ways=ways)
    said = partial(ways.report, f"unpacking {file.name}", total=None)
    try:
        unpack(
            arrived,
            order.home,
            record=file.name,
            placing=put.placing(order.home),
            on_bytes=said,
        )
    except InvalidDataset as error:
        arrived.unlink()
        forget(file, downloads=order.downloads)
        raise type(error)(f"{error}. It was removed: run the same command again") from error
    arrived.unlink()


def _arrived(order: Order, file: RemoteFile, *, copies: int, ways: Ways) -> Path:
    """The file in the downloads folder, verified; fetched unless it lies there already."""
    path = order.downloads / file.name
    if path.is_file():
        check_and_record(path, file, downloads=order.downloads, origin="by hand")
        return path
    url = file.url if order.mirror is None else f"{order.mirror.rstrip('/')}/{quote(file.name)}"
    if url is None:
        raise InvalidDataset(f"{file.name} has no public address. {_by_hand(order, file)}")
    try:
        fetch(url, path, size_bytes=file.size_bytes, copies=copies, ways=ways)
    except (NotFound, RefusedByServer, Unreachable) as error:
        raise type(error)(f"{error}. {_by_hand(order, file)}") from error
    check_and_record(path, file, downloads=order.downloads, origin=url)
    return path


def _by_hand(order: Order, file: RemoteFile) -> str:
    reason = order.public.by_hand or "Addresses of data sets change, and ours are not all verified"
    return (
        f"{reason}: fetch {file.name.rpartition('/')[2]} by hand, put it at "
        f"{order.downloads / file.name}, and run the same command again; or name a place that has "
        "it with --mirror"
    )
