"""Base of configuration sections, and messages for invalid fields."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.config.yaml import read_yaml
from pipeline.errors import ConfigError

_Read = TypeVar("_Read", bound=BaseModel)


class Section(BaseModel):
    """A frozen part of a configuration; unknown keys are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False, strict=True
    )


def read_section(path: Path, section: type[_Read], *, example: str) -> _Read:
    """Return what a YAML file describes.

    Args:
        path: The file.
        section: What it must describe.
        example: A field with a value, for whoever wrote something else.

    Raises:
        ConfigError: It cannot be read or is invalid; names the field.
    """
    found = read_yaml(path)
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: must be fields and values, such as `{example}`")
    try:
        read = section.model_validate(found, strict=False)
    except ValidationError as error:
        raise ConfigError(f"{path}: {explain_errors(error, section)}") from error
    for field in _no_truths(found, read):
        raise ConfigError(f"{path}: {field}: a number or text is wanted, not yes or no")
    return read


def _no_truths(found: object, read: object) -> Iterator[str]:
    """Yield the fields in which yes, no, true or false was read as something else, such as 1."""
    if isinstance(found, bool) and not isinstance(read, bool):
        yield ""
    inner: Iterable[tuple[object, object, object]] = ()
    if isinstance(found, dict) and isinstance(read, BaseModel):
        inner = ((name, value, getattr(read, str(name), value)) for name, value in found.items())
    elif isinstance(found, list) and isinstance(read, tuple | list):
        inner = zip(range(len(found)), found, read, strict=False)
    for name, value, became in inner:
        yield from (f"{name}.{rest}".rstrip(".") for rest in _no_truths(value, became))


def explain_errors(error: ValidationError, section: type[BaseModel]) -> str:
    """Return what is wrong with which field, a line each, with the nearest field's name."""
    lines = []
    for fault in error.errors():
        field = ".".join(str(part) for part in fault["loc"])
        hint = ""
        if fault["type"] == "extra_forbidden":
            *outer, last = (str(part) for part in fault["loc"])
            near = difflib.get_close_matches(last, _fields(section, outer), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            fault["msg"] = "no such field"
        text = fault["msg"].removeprefix("Value error, ")
        lines.append(f"{field}: {text}{hint}" if field else text)
    return "; ".join(lines)


def _fields(section: type[BaseModel], path: list[str]) -> list[str]:
    """Return the fields of the section that ``path`` leads to; none where it is no section."""
    for part in path:
        inner = section.model_fields[part].annotation if part in section.model_fields else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        section = inner
    return list(section.model_fields)
