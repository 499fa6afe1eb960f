"""A router's XML, which is hostile, as a tree: no DTD, no entities, and bounds on everything."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from nattools.errors import ProtocolError

MAX_SIZE = 262_144
MAX_DEPTH = 32
MAX_ELEMENTS = 5000
MAX_TEXT = 2048


class _BoundedBuilder(TreeBuilder):
    """Stops while reading, before a tree of any size exists."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0
        self._elements = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        self._depth += 1
        self._elements += 1
        if self._depth > MAX_DEPTH or self._elements > MAX_ELEMENTS:
            raise ProtocolError("an XML document that is too deep or has too many elements")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Element:
        self._depth -= 1
        return super().end(tag)


def parse(data: bytes) -> Element:
    """The root element. ProtocolError: no XML, a DTD or an entity, or a bound is exceeded."""
    if len(data) > MAX_SIZE:
        raise ProtocolError(f"an XML document of {len(data)} bytes")
    parser = DefusedXMLParser(target=_BoundedBuilder(), forbid_dtd=True)
    try:
        # some routers put blanks in front of the declaration, or a NUL behind the document
        parser.feed(data.strip(b" \t\r\n\0"))
        root = parser.close()
    except DefusedXmlException as error:
        raise ProtocolError(f"an XML document with {_threat(error)}") from None
    except (ParseError, ValueError, LookupError) as error:
        raise ProtocolError(f"not an XML document: {error}") from None
    if not isinstance(root, Element):
        raise ProtocolError("an empty XML document")
    return root


def _threat(error: DefusedXmlException) -> str:
    name = type(error).__name__
    return {"DTDForbidden": "a DTD", "EntitiesForbidden": "entities of its own"}.get(name, "external parts")


def local_name(element: Element) -> str:
    """The name without its namespace: routers disagree about those."""
    return element.tag.rpartition("}")[2]


def children(element: Element, name: str) -> Iterator[Element]:
    """Direct children of that local name."""
    return (child for child in element if local_name(child) == name)


def child(element: Element, name: str) -> Element | None:
    """The first direct child of that local name."""
    return next(children(element, name), None)


def text_of(element: Element | None) -> str:
    """The text right inside an element: printable, stripped, at most 2048 characters; "" without one."""
    if element is None or not element.text:
        return ""
    return "".join(each if each.isprintable() else " " for each in element.text[:MAX_TEXT]).strip()


def child_text(element: Element, name: str) -> str:
    """The text of the first direct child of that local name."""
    return text_of(child(element, name))
