"""Text set on A4 pages: lines broken at spaces or, where a word is too long, anywhere; pages broken between lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from services.kernel.typeface import Face

POINTS_A_MM = 72 / 25.4
WIDTH, HEIGHT = 210 * POINTS_A_MM, 297 * POINTS_A_MM
_MARGIN = 16 * POINTS_A_MM
_BOTTOM = 18 * POINTS_A_MM
_LEADING = 1.28
_GAP = 2.2
"""Points above and below the rule between two rows."""
_BOLD_WIDENS = 1.02
"""Bold is the regular letter with a stroked outline; its lines are broken as if it were a little wider."""
_RULE = (0.85, 0.87, 0.89)

Colour = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Style:
    """How a line looks. `size` in points, colours as shares of red, green and blue."""

    size: float
    bold: bool = False
    colour: Colour = (0.09, 0.10, 0.11)

    def quieter(self, colour: Colour) -> Style:
        """The style of a translation below the text."""
        return replace(self, size=self.size * 0.88, colour=colour)


@dataclass(frozen=True, slots=True)
class Line:
    """One line; its baseline starts at `left`, `bottom`."""

    text: str
    style: Style
    left: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Box:
    """A filled rectangle."""

    colour: Colour
    left: float
    bottom: float
    width: float
    height: float


@dataclass(slots=True)
class Page:
    """What stands on one page."""

    lines: list[Line] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)


class Pages:
    """Sets text from the top down, page after page."""

    def __init__(self, face: Face) -> None:
        """Measure with this font."""
        self._face = face
        self._widths: dict[str, float] = {}
        self._printed = _Printed(face)
        self._words: dict[str, float] = {}
        self._pages = [Page()]
        self._top = HEIGHT - _MARGIN

    def skip(self, points: float) -> None:
        """Leave room, but none at the top of a page."""
        if self._top < HEIGHT - _MARGIN:
            self._top -= points

    def keep(self, points: float) -> None:
        """Start a new page unless there is so much room left."""
        if self._top - points < _BOTTOM:
            self._turn()

    def bar(self, colour: Colour) -> None:
        """A thick rule across the page, above what follows."""
        self.keep(30)
        self._top -= 3
        self._page.boxes.append(Box(colour, _MARGIN, self._top, WIDTH - 2 * _MARGIN, 1.6))
        self._top -= 4

    def text(self, text: str, style: Style, *, indent: float = 0) -> None:
        """A paragraph over the whole width."""
        left = _MARGIN + indent
        for part in self._broken(text, style, WIDTH - _MARGIN - left):
            self._place(part, style, left)

    def row(
        self, labels: Sequence[tuple[str, Style]], values: Sequence[tuple[str, Style]], width: float
    ) -> None:
        """Labels in a column of this width, values beside them; a row goes over pages where it must."""
        left = self._column(labels, width - 6)
        right = self._column(values, WIDTH - 2 * _MARGIN - width)
        self.keep(max(sum(s.size * _LEADING for _, s in column[:4]) for column in (left, right)) + _GAP)
        self._page.boxes.append(Box(_RULE, _MARGIN, self._top - _GAP, WIDTH - 2 * _MARGIN, 0.5))
        self._top -= 2 * _GAP
        for number in range(max(len(left), len(right))):
            here = [
                (column[number], at)
                for column, at in ((left, _MARGIN), (right, _MARGIN + width))
                if number < len(column)
            ]
            height = max(style.size for (_, style), _ in here) * _LEADING
            self.keep(height)
            self._top -= height
            for (part, style), at in here:
                self._page.lines.append(Line(part, style, at, self._top + height - style.size))

    def finished(self, footer: str) -> list[Page]:
        """The pages, each with a footer and its number."""
        style = Style(7.5, colour=(0.32, 0.36, 0.41))
        for number, page in enumerate(self._pages, 1):
            told = f"{number} / {len(self._pages)}"
            page.lines.append(Line(self._printable(footer), style, _MARGIN, _BOTTOM / 2))
            page.lines.append(
                Line(told, style, WIDTH - _MARGIN - self._width(told, style), _BOTTOM / 2),
            )
        return self._pages

    @property
    def _page(self) -> Page:
        return self._pages[-1]

    def _turn(self) -> None:
        self._pages.append(Page())
        self._top = HEIGHT - _MARGIN

    def _place(self, text: str, style: Style, left: float) -> None:
        height = style.size * _LEADING
        self.keep(height)
        self._top -= height
        self._page.lines.append(Line(text, style, left, self._top + height - style.size))

    def _column(self, texts: Sequence[tuple[str, Style]], width: float) -> list[tuple[str, Style]]:
        return [(part, style) for text, style in texts for part in self._broken(text, style, width)]

    def _broken(self, text: str, style: Style, width: float) -> list[str]:
        """Lines of at most this width; never none."""
        lines, line, taken = list[str](), "", 0.0
        space = self._width(" ", style)
        for word in self._printable(text).split(" "):
            wide = self._width(word, style)
            if line and taken + space + wide <= width:
                line, taken = f"{line} {word}", taken + space + wide
                continue
            if line:
                lines.append(line)
            while wide > width:
                fits = self._fitting(word, style, width)
                lines.append(word[:fits])
                word = word[fits:]
                wide = self._width(word, style)
            line, taken = word, wide
        return [*lines, line]

    def _fitting(self, word: str, style: Style, width: float) -> int:
        taken = 0.0
        for number, character in enumerate(word):
            taken += self._width(character, style)
            if taken > width:
                return max(1, number)
        return len(word)

    def _width(self, text: str, style: Style) -> float:
        whole = self._words.get(text)
        if whole is None:
            whole = self._words[text] = sum(map(self._advance, text))
        return whole * style.size * (_BOLD_WIDENS if style.bold else 1)

    def _advance(self, character: str) -> float:
        found = self._widths.get(character)
        if found is None:
            found = self._widths[character] = self._face.width(character, 1)
        return found

    def _printable(self, text: str) -> str:
        """The text with numbers for characters that the font does not have."""
        return text.translate(self._printed)


class _Printed(dict[int, str]):
    """What is printed for a character, by its code point."""

    def __init__(self, face: Face) -> None:
        super().__init__()
        self._face = face

    def __missing__(self, code: int) -> str:
        character = chr(code)
        found = self[code] = f"[U+{code:04X}]" if self._face.missing(character) else character
        return found
