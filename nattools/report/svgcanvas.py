"""What inline SVG is drawn with: boxes, lines and text, coloured by the classes of the page's style sheet.

No scripts, no references to anything else. What a picture shows is said in its description too.
"""

from __future__ import annotations

from collections.abc import Sequence

from nattools.report.safetext import untied, width, wrap

LETTER = 7.3
"""Width of a letter at the size that the style sheet sets, on the average, in pixels."""
STRONG = 1.17
WIDE = 760
NARROW = 340
LINE = 18
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})
SVG_STYLE = """
svg { width: 100%; height: auto; display: block; font: 13px system-ui, sans-serif; }
svg text { fill: var(--ink); } svg .end { text-anchor: end; } svg .middle { text-anchor: middle; }
svg line, svg path { stroke: var(--line); stroke-width: 1.5; fill: none; }
svg rect, svg circle { fill: var(--mark); stroke: none; }
svg .box { fill: var(--card); stroke: var(--edge); stroke-width: 1.5; }
svg rect.good, svg circle.good { fill: var(--good); } svg rect.bad, svg circle.bad { fill: var(--bad); }
svg rect.unsure, svg circle.unsure { fill: var(--unsure); } svg rect.quiet { fill: var(--line); }
svg .box.good, svg .box.bad, svg .box.unsure, svg .box.quiet { fill: var(--card); }
svg .box.unsure { stroke: var(--unsure); stroke-dasharray: 4 3; } svg .box.strong { stroke: var(--mark); }
svg path.good { stroke: var(--good); } svg path.bad { stroke: var(--bad); }
svg path.unsure { stroke: var(--unsure); stroke-dasharray: 4 3; } svg path.mark { stroke: var(--edge); }
svg text.good { fill: var(--good); } svg text.bad { fill: var(--bad); }
svg text.unsure { fill: var(--unsure); }
svg text.quiet { fill: var(--quiet); } svg text.strong { font-weight: 600; }
svg circle.hollow { fill: var(--paper); stroke: var(--mark); stroke-width: 2; }
""".strip()


class Canvas:
    """An SVG in the making. `words` describe it to those who do not see it; `kind` are classes; the pointer
    shows a `hint`."""

    def __init__(self, caption: str, words: Sequence[str]) -> None:
        self._caption = caption
        self._words = words
        self._parts: list[str] = []

    def text(self, x: float, y: float, text: str, kind: str = "") -> None:
        """One line that begins at x (by `kind` it ends there, or has its middle there)."""
        shown = f' class="{kind}"' if kind else ""
        self._parts.append(f'<text x="{x:.0f}" y="{y:.0f}"{shown}>{escape(text)}</text>')

    def lines(self, x: float, y: float, lines: Sequence[str], kind: str = "") -> None:
        """Several, one below the other."""
        for number, line in enumerate(lines):
            self.text(x, y + number * LINE, line, kind)

    def rectangle(
        self, x: float, y: float, size: tuple[float, float], kind: str, hint: str = "", opacity: float = 1.0
    ) -> None:
        """`opacity` in 0..1."""
        w, h = size
        title = f"<title>{escape(hint)}</title>" if hint else ""
        faint = "" if opacity >= 1 else f' opacity="{max(opacity, 0.0):.2f}"'
        place = f'x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" rx="4"'
        self._parts.append(f'<rect {place} class="{kind}"{faint}>{title}</rect>')

    def circle(self, x: float, y: float, kind: str, hint: str = "") -> None:
        """A mark."""
        title = f"<title>{escape(hint)}</title>" if hint else ""
        place = f'cx="{x:.1f}" cy="{y:.1f}" r="5"'
        self._parts.append(f'<circle {place} class="{kind}">{title}</circle>')

    def line(self, x1: float, y1: float, x2: float, y2: float) -> None:
        """A thin one."""
        self._parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')

    def path(self, course: str, kind: str, hint: str = "") -> None:
        """A line of any form, in SVG's own commands."""
        title = f"<title>{escape(hint)}</title>" if hint else ""
        self._parts.append(f'<path d="{course}" class="{kind}">{title}</path>')

    def cross(self, x: float, y: float, hint: str = "") -> None:
        """Two short lines that cross: nothing got in."""
        course = f"M{x - 5:.1f} {y - 5:.1f}l10 10M{x - 5:.1f} {y + 5:.1f}l10 -10"
        self.path(course, "bad", hint)

    def done(self, w: float, h: float) -> str:
        """The element, for so many pixels."""
        words = escape(f"{self._caption}: {'; '.join(self._words)}")
        return (
            f'<svg viewBox="0 0 {w:.0f} {h:.0f}" role="img" aria-label="{words}">'
            f"<title>{escape(self._caption)}</title>{''.join(self._parts)}</svg>"
        )


def escape(text: str) -> str:
    """Text that HTML and SVG show as it is, also within an attribute."""
    return untied(text).translate(_ENTITIES)


def pixels(text: str, strong: bool = False) -> float:
    """About how wide the text is."""
    return width(text) * LETTER * (STRONG if strong else 1.0)


def broken(text: str, room: float) -> list[str]:
    """The text in lines of so many pixels."""
    return wrap(text, max(int(room / LETTER), 6)) if text else []
