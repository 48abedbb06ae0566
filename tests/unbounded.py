"""Which values of a schema have no limit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

LIMITS = ({"maximum", "exclusiveMaximum"}, {"minimum", "exclusiveMinimum"})


def unbounded(schema: dict[str, Any], where: str = "") -> Iterator[str]:
    """Yield the fields of a JSON schema whose numbers, texts or lists may be of any size."""
    given, kind = schema.keys(), schema.get("type")
    fixed = {"enum", "const", "format"} & given
    if (
        (kind in ("integer", "number") and not fixed and not all(side & given for side in LIMITS))
        or (kind == "string" and not fixed and not {"maxLength", "pattern"} & given)
        or (kind == "array" and "maxItems" not in given)
    ):
        yield where
    for key in ("anyOf", "prefixItems", "oneOf", "allOf"):
        for inner in schema.get(key, []):
            yield from unbounded(inner, where)
    if isinstance(schema.get("items"), dict):
        yield from unbounded(schema["items"], where)
    for key in ("properties", "$defs"):
        for name, inner in schema.get(key, {}).items():
            yield from unbounded(inner, f"{where}.{name}" if key == "properties" else name)
