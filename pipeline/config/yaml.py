"""Plain values out of YAML files; nothing in them can run, expand, stand twice or mislead."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import ConfigError

LARGEST = 2**20


class _Loader(yaml.SafeLoader):
    """Plain values only; no aliases (they can explode), no key twice."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.YAMLError(f"aliases are not allowed (line {mark.line + 1})")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - theirs
        if not isinstance(node, yaml.MappingNode):
            raise yaml.YAMLError(f"no fields and values (line {node.start_mark.line + 1})")
        keys = [key.value for key, _ in node.value]
        twice = {str(key) for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.YAMLError(f"key {sorted(twice)[0]!r} stands twice")
        return super().construct_mapping(node, deep=deep)


def _decimal(loader: _Loader, node: yaml.ScalarNode) -> int:
    """Return a number that people read as YAML does: 0123 is 83 there, and 1:30 is 90."""
    if re.match(r"[-+]?(0[0-9_]|[0-9_.]+:)", node.value):
        line = node.start_mark.line + 1
        raise yaml.YAMLError(
            f"{node.value} is no decimal number (line {line}); write it as one, or in quotes"
        )
    number: int = loader.construct_yaml_int(node)
    return number


_Loader.add_constructor("tag:yaml.org,2002:int", _decimal)


def read_yaml(path: Path) -> Any:
    """Return the plain values of a YAML file of at most 1 MiB, without aliases.

    Raises:
        ConfigError: It cannot be read, or is more than plain values.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise ConfigError(f"{path}: larger than 1 MiB; that is no configuration")
        return yaml.load(path.read_text("utf-8"), Loader=_Loader)  # a SafeLoader
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    # What is no date, number or truth value raises as Python's own types do.
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
