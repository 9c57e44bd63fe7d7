"""YAML as configurations use it: strict, and able to extend one other file."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path

import yaml

from lorgnette.errors import InvalidConfiguration

EXTENDS = "extends"


def read_yaml(path: Path) -> object:
    """What the file says, put on top of the file its key `extends` names, if it has one.

    The path is relative to the file; the extended file extends none.  Mappings are merged key by
    key; anything else, lists too, replaces what it stands on, and so does a mapping of another
    `name` (another loss shares no parameter with the one it replaces).
    Raises `InvalidConfiguration`.
    """
    said = _load(path)
    if not isinstance(said, dict) or EXTENDS not in said:
        return said
    base_path = _extended(path, said.pop(EXTENDS))
    base = _load(base_path)
    if not isinstance(base, dict):
        raise InvalidConfiguration(f"{base_path}: expected keys and values to extend")
    if EXTENDS in base:
        raise InvalidConfiguration(
            f"{path} extends {base_path.name}, which extends another file: one level only, so that "
            "a reader opens two files at most"
        )
    return {key: _merged(base.get(key), said.get(key, base.get(key))) for key in base | said}


def _extended(path: Path, name: object) -> Path:
    if not isinstance(name, str):
        raise InvalidConfiguration(f"{path}: extends: expected the name of a file, found {name!r}")
    return path.parent / name


def _merged(base: object, top: object) -> object:
    if not isinstance(base, dict) or not isinstance(top, dict):
        return top
    if top.get("name") not in (None, base.get("name")):
        return top
    return {key: _merged(base.get(key), top.get(key, base.get(key))) for key in base | top}


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
