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
    """The root element. ProtocolError: no XML, entities of its own, or a bound is exceeded."""
    if len(data) > MAX_SIZE:
        raise ProtocolError(f"an XML document of {len(data)} bytes")
    parser = DefusedXMLParser(target=_BoundedBuilder(), forbid_dtd=True)
    try:
        if wide := _wide(data):
            data.decode(wide)  # expat takes half a surrogate pair and what follows it for a character
        # some routers put blanks in front of the declaration, or a NUL behind the document
        parser.feed(data if wide else data.strip(b" \t\r\n\0"))
        root = parser.close()
    except (DefusedXmlException, ParseError, ValueError, LookupError) as error:
        logger.debug("not well-formed XML (%s), read leniently", error)
        return read_leniently(decode(data))
    if not isinstance(root, Element):
        raise ProtocolError("an empty XML document")
    return root


_ENCODING = re.compile(rb"<\?xml[^>]*encoding\s*=\s*[\"']([\w.-]{1,40})", re.IGNORECASE)
# what is declared, and how it is read: only such encodings as take time in proportion to the length
_ENCODINGS = re.compile(
    r"(?P<gb18030>gb2312|gbk|gb18030|gb_2312-80|x-gbk)|big5|euc-kr|euc-jp|shift_jis|koi8-r|tis-620"
    r"|iso-8859-\d{1,2}|windows-125\d|cp125\d"
)
# every alternative ends at the next "<", so that a hostile document costs no more than its length; a name may
# have any letters (XML 1.0 2.3), and here whatever is beyond ASCII (sets by what is not in them:
# they take a tenth of the time to compile), and no blank
_TAG = re.compile(
    r"<[?!][^<>]*>|<(/?)([^\x00-@\[-^`{-\xa0][^\x00-,/;-@\[-^`{-\xa0]*)"
    r"(?:[\t-\r ](?:[^<>\"']|\"[^\"<]*\"|'[^'<]*')*|[\t-\r ][^<>]*)?/?>"
)
_DOCTYPE = re.compile(r"<!DOCTYPE[^<>\[]*\[[^\]]*\]\s*>", re.IGNORECASE)
_SECTION = re.compile(r"<!--|<!\[CDATA\[")
_SECTION_OR_INSTRUCTION = re.compile(r"<!--|<!\[CDATA\[|<\?")
_CLOSING = {"<!--": "-->", "<![CDATA[": "]]>", "<?": "?>"}
_ENTITY = re.compile(r"<!ENTITY", re.IGNORECASE)
_PREDEFINED = {"lt": "<", "gt": ">", "quot": '"', "apos": "'", "amp": "&"}
_REFERENCE = re.compile(r"&(?:(lt|gt|quot|apos|amp)|#(\d{1,7})|#x([0-9a-fA-F]{1,6}));")


def _wide(data: bytes) -> str | None:
    """UTF-16, by its mark or by the first character, which is "<"."""
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return "utf-16"
    return {b"<\0": "utf-16-le", b"\0<": "utf-16-be"}.get(data[:2])


def decode(data: bytes) -> str:
    """By the declared encoding, else by UTF-8, else by Latin-1, in which every byte is a character."""
    wide = _wide(data)
    if wide is not None:
        return data.decode(wide, "replace")
    declared = _ENCODING.search(data[:200])
    known = _ENCODINGS.fullmatch(declared[1].decode("ascii").lower()) if declared else None
    named = "utf-8" if known is None else known.lastgroup or known[0]
    for encoding in (named, "utf-8"):
        try:
            return data.decode(encoding)
        except (ValueError, LookupError):
            continue
    return data.decode("latin-1")


def read_leniently(text: str) -> Element:
    """Elements by their local names, without attributes. An end tag closes all up to the element that it
    names, and is ignored if there is none; what is open at the end is closed. A DOCTYPE is passed over.
    ProtocolError: no document, or one with entities."""
    text = _flattened(text.replace("\r\n", "\n").replace("\r", "\n"))
    if _ENTITY.search(text):
        raise ProtocolError("an XML document with entities of its own")
    text = _DOCTYPE.sub("", text, count=1)
    builder, opened, end = _BoundedBuilder(), list[str](), 0
    for tag in _TAG.finditer(text):
        if opened:
            builder.data(_unescape(text[end : tag.start()]))
        end = tag.end()
        if tag[2] is None:
            continue
        name = tag[2].rpartition(":")[2]
        if not tag[1]:
            builder.start(name, {})
            opened.append(name)
        if (tag[1] or tag[0].endswith("/>")) and name in opened:
            while opened:
                builder.end(opened[-1])
                if opened.pop() == name:
                    break
        if not opened and builder.elements:
            break
    if not builder.elements:
        raise ProtocolError("not an XML document")
    while opened:
        builder.end(opened.pop())
    return builder.close()


def _flattened(text: str) -> str:
    """Without comments and processing instructions; and what stands in CDATA sections as it would stand
    without them. One that never ends goes as far as the text, save that an instruction is a tag then."""
    parts, at, unclosed = list[str](), 0, False
    while found := (_SECTION_OR_INSTRUCTION if not unclosed else _SECTION).search(text, at):
        parts.append(text[at : found.start()])
        end = text.find(_CLOSING[found[0]], found.end())
        if end < 0 and found[0] == "<?":
            unclosed, at = True, found.start()
            continue
        inside, at = text[found.end() : end if end >= 0 else None], end + 3 if end >= 0 else len(text)
        if found[0] == "<?":
            at = end + 2
        elif found[0] == "<![CDATA[":
            parts.append(inside.replace("&", "&amp;").replace("<", "&lt;"))
    return "".join((*parts, text[at:]))


def _unescape(text: str) -> str:
    return _REFERENCE.sub(_referred, text)


def _referred(found: re.Match[str]) -> str:
    if found[1]:
        return _PREDEFINED[found[1]]
    code = int(found[2]) if found[2] else int(found[3], 16)
    return chr(code) if 0 < code <= 0x10FFFF and not 0xD800 <= code < 0xE000 else found[0]


def local_name(element: Element) -> str:
    """The name without its namespace: routers disagree about those."""
    return element.tag.rpartition("}")[2]


def is_named(element: Element, name: str) -> bool:
    """Is that its local name, in capitals or not?"""
    return local_name(element).lower() == name.lower()


def children(element: Element, name: str) -> Iterator[Element]:
    """Direct children of that local name."""
    return (child for child in element if is_named(child, name))


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
