"""A router's XML, which is hostile, as a tree: no DTD, no entities, and bounds on everything.

What is not well-formed is read a second time by a reader that is more lenient: routers send raw ampersands,
bytes of no encoding, undeclared prefixes and elements that nobody closes, and other clients accept that.
"""

from __future__ import annotations

import logging
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from nattools.errors import ProtocolError

logger = logging.getLogger(__name__)

MAX_SIZE = 262_144
MAX_DEPTH = 32
MAX_ELEMENTS = 5000
MAX_TEXT = 2048
_UTF16 = (BOM_UTF16_LE, BOM_UTF16_BE)


class _BoundedBuilder(TreeBuilder):
    """Stops while reading, before a tree of any size exists."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0
        self.elements = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        self._depth += 1
        self.elements += 1
        if self._depth > MAX_DEPTH or self.elements > MAX_ELEMENTS:
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
        parser.feed(data if data.startswith(_UTF16) else data.strip(b" \t\r\n\0"))
        root = parser.close()
    except DefusedXmlException as error:
        raise ProtocolError(f"an XML document with {_threat(error)}") from None
    except (ParseError, ValueError, LookupError) as error:
        logger.debug("not well-formed XML (%s), read leniently", error)
        return _read_leniently(_decode(data), str(error))
    if not isinstance(root, Element):
        raise ProtocolError("an empty XML document")
    return root


_ENCODING = re.compile(rb"<\?xml[^>]*encoding\s*=\s*[\"']([\w.-]{1,40})", re.IGNORECASE)
# every alternative ends at the next "<", so that a hostile document costs no more than its length
_TAG = re.compile(r"<[?!][^<>]*>|<(/?)([A-Za-z_][\w.:-]*)(?:\s[^<>]*?)?(/?)>")
_PREDEFINED = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'", "&amp;": "&"}
_PREDEFINED_ENTITY = re.compile("|".join(_PREDEFINED))


def _decode(data: bytes) -> str:
    """By the declared encoding, else by UTF-8, else by Latin-1, in which every byte is a character."""
    declared = _ENCODING.search(data[:200])
    for encoding in (declared[1].decode("ascii") if declared else "utf-8", "utf-8"):
        try:
            return data.decode(encoding)
        except (ValueError, LookupError):
            continue
    return data.decode("latin-1")


def _read_leniently(text: str, error: str) -> Element:
    """Elements by their local names, without attributes. An end tag closes all up to the element that it
    names, and is ignored if there is none; what is open at the end is closed. ProtocolError: no document."""
    text = _without_comments(text.lstrip("\ufeff \t\r\n\0"))
    builder, opened, end = _BoundedBuilder(), list[str](), 0
    for tag in _TAG.finditer(text):
        if opened:
            builder.data(_unescape(text[end : tag.start()]))
        elif text[end : tag.start()].strip():
            break  # something else than a document, or text behind it
        end = tag.end()
        if tag[2] is None:
            continue
        name = tag[2].rpartition(":")[2]
        if not tag[1]:
            builder.start(name, {})
            opened.append(name)
        if (tag[1] or tag[3]) and name in opened:
            while opened:
                builder.end(opened[-1])
                if opened.pop() == name:
                    break
        if not opened and builder.elements:
            break
    if not builder.elements:
        raise ProtocolError(f"not an XML document: {error}")
    while opened:
        builder.end(opened.pop())
    return builder.close()


def _without_comments(text: str) -> str:
    first, *rest = text.split("<!--")
    return first + "".join(part.partition("-->")[2] for part in rest)


def _unescape(text: str) -> str:
    return _PREDEFINED_ENTITY.sub(lambda found: _PREDEFINED[found[0]], text)


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
