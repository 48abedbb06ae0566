"""Elements of a VRT file, one after the other, within bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

DEEPEST = 12
"""Levels of nested elements; those that are read use five."""


class VrtSyntaxError(Exception):
    """The file is not a VRT that is read; the message names the element and the reason."""


@dataclass(slots=True)
class Element:
    """An element with what is in it."""

    name: str
    """Its tag."""
    attributes: Mapping[str, str]
    """Its attributes."""
    children: list[Element] = field(default_factory=list)
    """The elements in it, in order."""
    text: str = ""
    """Its text, without white space at the ends."""


class ElementReader:
    """Parses a VRT and hands over one child of the dataset, or of a band, at a time.

    Bands are not kept: a VRT of 20,000 files has 420,000 elements.
    """

    def __init__(
        self,
        *,
        begin: Callable[[Element], None],
        child: Callable[[Element | None, Element], None],
    ) -> None:
        """Take what the elements are handed to.

        Args:
            begin: Takes ``VRTDataset`` and each ``VRTRasterBand`` as it begins, without content.
            child: Takes the band that an element belongs to, None for the dataset, and the element.
        """
        self._begin, self._child = begin, child
        self._open: list[Element] = []
        self._band: Element | None = None

    def parse(self, data: bytes) -> None:
        """Parse the bytes of a file.

        Raises:
            VrtSyntaxError: It is no sound XML, has a document type, or is nested too deep.
        """
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = _refuse_doctype
        parser.EntityDeclHandler = _refuse_doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        try:
            parser.Parse(data, True)  # noqa: FBT003 - the last piece
        except (expat.ExpatError, ValueError, LookupError) as error:
            raise VrtSyntaxError(f"it is no sound XML ({error})"[:200]) from error

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        element = Element(name, attributes)
        depth = len(self._open)
        if depth >= DEEPEST:
            raise VrtSyntaxError(f"its elements are nested more than {DEEPEST} deep")
        if depth == 0 and name != "VRTDataset":
            raise VrtSyntaxError(f"its root is <{name[:40]}>, not <VRTDataset>")
        if depth == 1 and name == "VRTRasterBand":
            self._band = element
        if depth == 0 or element is self._band:
            self._begin(element)
        self._open.append(element)

    def _end(self, _name: str) -> None:
        element = self._open.pop()
        element.text = element.text.strip()
        if not self._open:
            return
        if element is self._band:
            self._band = None
        elif len(self._open) == (1 if self._band is None else 2):
            self._child(self._band, element)
        else:
            self._open[-1].children.append(element)

    def _text(self, data: str) -> None:
        if self._open:
            self._open[-1].text += data


def _refuse_doctype(*_: object) -> None:
    raise VrtSyntaxError("it has a document type, which such files have not")
