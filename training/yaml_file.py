"""YAML as configurations use it: strict, and able to extend another file."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path

import yaml

from lorgnette.errors import InvalidConfiguration

EXTENDS = "extends"
DEPTH = 3
"""A row for another data set extends the row, which extends its table's base."""


def read_yaml(path: Path) -> object:
    """What the file says, put on top of the file its key `extends` names, if it has one.

    The path is relative to the file that says it; `DEPTH` files extend each other at most.
    Mappings are merged key by key; anything else, lists too, replaces what it stands on, and so
    does a mapping of another `name` (another loss shares no parameter with the one it replaces).
    Raises `InvalidConfiguration`.
    """
    said, below = _load(path), [path]
    while isinstance(said, dict) and EXTENDS in said:
        below.append(_extended(below[-1], said.pop(EXTENDS)))
        if len(below) > DEPTH:
            raise InvalidConfiguration(
                f"{path} extends {' extends '.join(map(str, below[1:]))}: expected at most {DEPTH} "
                "files, so that a reader can hold them in his head; say more in fewer of them"
            )
        base = _load(below[-1])
        if not isinstance(base, dict):
            raise InvalidConfiguration(f"{below[-1]}: expected keys and values to extend")
        said = {key: merged(base.get(key), said.get(key, base.get(key))) for key in base | said}
    return said


def _extended(path: Path, name: object) -> Path:
    if not isinstance(name, str):
        raise InvalidConfiguration(f"{path}: extends: expected the name of a file, found {name!r}")
    return path.parent / name


def merged(base: object, top: object) -> object:
    """Mappings key by key; anything else, and a mapping of another `name`, replaces the base."""
    if not isinstance(base, dict) or not isinstance(top, dict):
        return top
    if top.get("name") not in (None, base.get("name")):
        return top
    return {key: merged(base.get(key), top.get(key, base.get(key))) for key in base | top}


def _load(path: Path) -> object:
    try:
        loaded: object = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506  a SafeLoader
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfiguration(f"cannot read the configuration {path}: {error}") from error
    except yaml.YAMLError as error:
        raise InvalidConfiguration(f"{path} is not YAML: {error}") from error
    except RecursionError as error:
        raise InvalidConfiguration(f"{path} is nested too deeply to be read") from error
    return loaded


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key given twice and reads 1e-3 as a number (YAML 1.1 wants 1.0e-3).

    Refused too: an alias of what it stands in, which is no tree, and a key that is a mapping.
    """

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        # Always deep: then PyYAML itself sees the node that is still being built.
        return super().construct_object(node, deep=True)

    def construct_mapping(
        self, node: yaml.MappingNode, deep: bool = False
    ) -> dict[Hashable, object]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(
                    problem="a key must be a word", problem_mark=key.start_mark
                )
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"key {key.value!r} given twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?[0-9][0-9.]*[eE][-+]?[0-9]+"),
    list("-+0123456789"),
)
