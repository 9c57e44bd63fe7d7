"""Which photographs play which role: a TSV `path<TAB>role`, or all of a folder.  No torch."""

from __future__ import annotations

import csv
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from lorgnette.errors import InvalidConfiguration
from lorgnette.image import EXTENSIONS

SplitRole = Literal["gallery", "query", "val", "pool"]
ROLES: tuple[SplitRole, ...] = get_args(SplitRole)


def read_splits(path: Path) -> dict[str, SplitRole]:
    """Read a splits file: path relative to the data set → role.

    Raises `InvalidConfiguration` naming the first bad line.
    """
    try:
        # Spreadsheets put a byte order mark first.
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfiguration(f"cannot read the splits {path}: {error}") from error
    roles = {str(role): role for role in ROLES}
    splits: dict[str, SplitRole] = {}
    for number, row in enumerate(rows, start=1):
        if len(row) != 2 or row[1] not in roles:
            raise InvalidConfiguration(
                f"{path}, line {number}: expected path<TAB>role, role one of "
                f"{', '.join(ROLES)}; found {row}"
            )
        if not _is_inside(row[0]):
            raise InvalidConfiguration(
                f"{path}, line {number}: expected a plain path below the data set, found {row[0]!r}"
            )
        if row[0] in splits:
            raise InvalidConfiguration(f"{path}, line {number}: {row[0]} is listed twice")
        splits[row[0]] = roles[row[1]]
    return splits


def _is_inside(path: str) -> bool:
    plain = PurePosixPath(path)
    return str(plain) == path and not plain.is_absolute() and ".." not in plain.parts


def paths_with_role(folder: Path, splits: dict[str, SplitRole], role: SplitRole) -> list[Path]:
    """The photographs of one role, sorted.

    Raises `InvalidConfiguration` when there are none or a file is missing.
    """
    found = sorted(folder / path for path, of in splits.items() if of == role)
    missing = [path for path in found if not path.is_file()]
    if missing:
        raise InvalidConfiguration(
            f"the splits name {len(missing)} files that are not in {folder}, the first is "
            f"{missing[0].relative_to(folder)}: fetch them or mend the file"
        )
    if not found:
        raise InvalidConfiguration(f"the splits of {folder} give no photograph the role {role!r}")
    return found


def all_photographs(folder: Path) -> list[Path]:
    """Every photograph below the folder, by its file name's ending, sorted.

    Raises `InvalidConfiguration` when the folder is missing or holds none.
    """
    if not folder.is_dir():
        raise InvalidConfiguration(f"{folder} is not a folder: expected one with photographs")
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in EXTENSIONS and p.is_file())
    if not found:
        raise InvalidConfiguration(
            f"{folder} holds no photographs (looked for {', '.join(sorted(EXTENSIONS))})"
        )
    return found
