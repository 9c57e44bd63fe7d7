"""A plain folder of one's own: one folder per class."""

from __future__ import annotations

from pathlib import Path

from lorgnette.errors import InvalidConfiguration, InvalidDataset
from training.data.catalogue import Labelled, labelled
from training.data.public.description import Inventory, PublicSet
from training.data.splits import all_photographs


def _inventory(home: Path) -> Inventory:
    listing = load(home)
    counts = {"images": len(listing.paths), "classes": len(listing.classes)}
    return Inventory(counts, listing.paths)


FOLDER = PublicSet(
    name="folder",
    title="a folder of your own, with one folder per class",
    terms="your own",
    homes=("",),
    mark="",
    files=(),
    disk_bytes=0,
    counts={},
    inventory=_inventory,
    by_hand=None,
)


def load(root: Path) -> Labelled:
    """Every photograph below the root; its class is the top folder it is in.

    Raises `InvalidDataset` when there is none, or one lies in no folder.
    """
    try:
        paths = all_photographs(root)
    except InvalidConfiguration as error:
        raise InvalidDataset(str(error)) from error
    loose = [path for path in paths if path.parent == root]
    if loose:
        raise InvalidDataset(
            f"{len(loose)} photographs lie in {root} itself, the first is {loose[0].name}: "
            "expected each in the folder of its class"
        )
    return labelled([(path, path.relative_to(root).parts[0]) for path in paths])
