"""Drawing by hand in SVG: scales, ticks and a drawing whose every text is escaped.

Colours and fonts come from the page's stylesheet through class names; attributes alone carry geometry, because the
page's content policy forbids `style` attributes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from markupsafe import Markup, escape


def short(value: float) -> str:
    """Write a coordinate with one decimal at most.

    >>> short(12.04), short(-0.0), short(3.25)
    ('12', '0', '3.2')
    """
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


@dataclass(frozen=True)
class Scale:
    """A linear map from data to drawing units.

    Attributes
    ----------
    low, high : float
        Ends of the data range.
    start, end : float
        Where they lie in the drawing.

    >>> Scale(0, 10, 100, 200)(2.5)
    125.0
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Map a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def clip(self, value: float) -> float:
        """Map a value, kept inside the range."""
        return self(min(max(value, self.low), self.high))

    def ticks(self, count: int = 5) -> list[float]:
        """Round numbers inside the range.

        >>> Scale(-13.2, 4.1, 0, 1).ticks()
        [-10.0, -5.0, 0.0]
        """
        step = nice_step(self.high - self.low, count)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(n * step, 10) + 0.0 for n in range(first, last + 1)]


def nice_step(span: float, count: int = 5) -> float:
    """Return 1, 2 or 5 times a power of ten so that about `count` steps fill the span."""
    rough = span / max(count, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)


def span_of(values: Iterable[float | None], pad: float = 0.06, around: float | None = None) -> tuple[float, float]:
    """Return a range that holds the values (and `around`), a little wider; (0, 1) where there are none.

    >>> span_of([1.0, 3.0], pad=0.1)
    (0.8, 3.2)
    """
    known = [v for v in values if v is not None and math.isfinite(v)]
    if around is not None:
        known.append(around)
    if not known:
        return 0.0, 1.0
    low, high = min(known), max(known)
    room = pad * (high - low) or 0.5
    return low - room, high + room


@dataclass
class Drawing:
    """An SVG under construction.

    Attributes
    ----------
    width, height : float
        Size of the view box.
    title : str
        What the picture shows, for readers who do not see it.
    kind : str
        Class of the element.
    """

    width: float
    height: float
    title: str
    kind: str = "figure"
    parts: list[Markup] = field(default_factory=list)

    def add(self, tag: str, text: str | None = None, /, **attributes: str | float | None) -> None:
        """Append an element; `class_` becomes class, underscores become hyphens, None is left out."""
        words = [
            f'{k.rstrip("_").replace("_", "-")}="{short(v) if isinstance(v, (int, float)) else escape(v)}"'
            for k, v in attributes.items()
            if v is not None
        ]
        head = " ".join([tag, *words])
        self.parts.append(Markup(f"<{head}/>") if text is None else Markup(f"<{head}>{escape(text)}</{tag}>"))  # noqa: S704

    def raw(self, markup: Markup) -> None:
        """Append an element that is already escaped."""
        self.parts.append(markup)

    def line(self, x1: float, y1: float, x2: float, y2: float, class_: str = "axis") -> None:
        """Draw a straight line."""
        self.add("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)

    def rect(self, x: float, y: float, width: float, height: float, class_: str, tip: str | None = None) -> None:
        """Draw a rectangle, with a tooltip."""
        self._tipped("rect", tip, x=x, y=y, width=max(width, 0.1), height=max(height, 0.1), class_=class_)

    def mark(self, x: float, y: float, radius: float, arm: str, tip: str | None = None) -> None:
        """Draw a point: a circle, or a diamond for the control arm, so that colour is never the only sign."""
        if arm == "control":
            r = radius * 1.2
            path = polyline([(x, y - r), (x + r, y), (x, y + r), (x - r, y)], closed=True)
            self._tipped("path", tip, d=path, class_=f"mark {arm}")
        else:
            self._tipped("circle", tip, cx=x, cy=y, r=radius, class_=f"mark {arm}")

    def text(self, x: float, y: float, words: str, class_: str = "label", anchor: str | None = None) -> None:
        """Write a text."""
        self.add("text", words, x=x, y=y, class_=class_, text_anchor=anchor)

    def path(self, points: Iterable[tuple[float, float]], class_: str, tip: str | None = None) -> None:
        """Draw a polyline."""
        self._tipped("path", tip, d=polyline(points), class_=class_)

    def _tipped(self, tag: str, tip: str | None, **attributes: str | float) -> None:
        self.add(tag, **attributes)
        if tip:
            opened = self.parts.pop()
            self.parts.append(Markup(f"{opened[:-2]}><title>{escape(tip)}</title></{tag}>"))  # noqa: S704

    def axis_x(self, scale: Scale, y: float, title: str = "", top: float | None = None, count: int = 5) -> None:
        """Draw a horizontal axis below `y`, with grid lines up to `top`."""
        step = nice_step(scale.high - scale.low, count)
        for value in scale.ticks(count):
            if top is not None:
                self.line(scale(value), top, scale(value), y, "grid")
            self.text(scale(value), y + 16, plain_number(value, step), "tick", "middle")
        self.line(scale.start, y, scale.end, y)
        if title:
            self.text((scale.start + scale.end) / 2, y + 36, title, "label", "middle")

    def axis_y(self, scale: Scale, x: float, title: str = "", right: float | None = None, count: int = 5) -> None:
        """Draw a vertical axis left of `x`, with grid lines to `right` and its title above the axis."""
        step = nice_step(scale.high - scale.low, count)
        for value in scale.ticks(count):
            if right is not None:
                self.line(x, scale(value), right, scale(value), "grid")
            self.text(x - 7, scale(value) + 4, plain_number(value, step), "tick", "end")
        if title:
            self.text(4, scale.end - 12, title, "label", "start")

    def markup(self) -> Markup:
        """Return the element."""
        body = Markup("").join(self.parts)
        return Markup(  # noqa: S704
            f'<svg class="{escape(self.kind)}" viewBox="0 0 {short(self.width)} {short(self.height)}" role="img" '
            f'aria-label="{escape(self.title)}">{body}</svg>'
        )


def polyline(points: Iterable[tuple[float, float]], closed: bool = False) -> str:
    """Return path data through the points.

    >>> polyline([(0, 0), (1.25, 2)], closed=True)
    'M0 0L1.2 2Z'
    """
    words = [f"{short(x)} {short(y)}" for x, y in points]
    return ("M" + "L".join(words) if words else "") + ("Z" if closed and words else "")


def plain_number(value: float, step: float) -> str:
    """Write a tick with as many decimals as its step needs, and a true minus sign.

    >>> plain_number(-0.5, 0.25), plain_number(20, 10)
    ('−0.50', '20')
    """
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) + (1 if f"{step:.6e}"[:4] == "2.50" else 0)
    return f"{value:.{decimals}f}".replace("-", "−")
