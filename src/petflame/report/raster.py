"""The raster of a picture, CT in grey under PET in a hot colour map, and the canvas of vector lines over it."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np

from petflame.report.svg import Drawing, polyline
from petflame.report.views import View
from petflame.space.grid import Array

CT_WINDOW_HU = (-150.0, 250.0)
# Below this ratio PET is not painted at all; above the second it is painted in full strength.
FADE_TBR = (0.9, 1.7)
STRENGTH = 0.78
JPEG_QUALITY = 88
CANVAS_WIDTH = 400.0
_COLOURS = np.array(
    [[0, 0, 0], [70, 0, 30], [170, 20, 20], [235, 85, 0], [255, 165, 20], [255, 230, 110], [255, 255, 235]], float
)


def hot(value: Array) -> Array:
    """Map 0 to 1 onto a black, red, yellow, white scale, shape (..., 3), 0 to 255."""
    stops = np.linspace(0, 1, len(_COLOURS))
    return np.stack([np.interp(value, stops, _COLOURS[:, c]) for c in range(3)], axis=-1)


def colour_stops(count: int = 7) -> list[tuple[int, str]]:
    """Percent along the scale and colour, for a legend."""
    places = np.linspace(0, 1, count)
    colours = np.round(hot(places)).astype(int)
    return [
        (round(100 * p), "#" + "".join(f"{c:02x}" for c in colour)) for p, colour in zip(places, colours, strict=True)
    ]


def fuse(hu: Array | None, tbr: Array, top_tbr: float) -> Array:
    """Blend CT (grey) and PET (hot) into RGB bytes, shape (rows, columns, 3).

    Parameters
    ----------
    hu : array or None
        CT numbers; None paints PET alone on black.
    tbr : array
        PET over blood pool.
    top_tbr : float
        Ratio painted white.
    """
    colour = hot(np.clip(tbr / top_tbr, 0, 1))
    if hu is None:
        return np.round(colour).astype(np.uint8)
    grey = 255 * np.clip((hu - CT_WINDOW_HU[0]) / (CT_WINDOW_HU[1] - CT_WINDOW_HU[0]), 0, 1)[..., None]
    fade = np.clip((tbr - FADE_TBR[0]) / (FADE_TBR[1] - FADE_TBR[0]), 0, 1)
    strength = (STRENGTH * fade * fade * (3 - 2 * fade))[..., None]
    return np.round(grey * (1 - strength) + colour * strength).astype(np.uint8)


def jpeg(rgb: Array) -> bytes:
    """Compress RGB bytes; no metadata, the same bytes for the same picture."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, "JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=True)
    return stream.getvalue()


class Canvas:
    """A raster with vector lines over it; all pictures share one width, so that lines and letters look alike."""

    def __init__(self, rgb: Array, view: View, words: str) -> None:
        width, height = view.size
        self.unit = CANVAS_WIDTH / width
        self.pixel_mm = view.pixel_mm
        self.drawing = Drawing(CANVAS_WIDTH, height * self.unit, words, "scan")
        data = jpeg(rgb)
        self.raster_bytes = len(data)
        address = "data:image/jpeg;base64," + base64.b64encode(data).decode()
        self.drawing.add("image", href=address, width=CANVAS_WIDTH, height=self.drawing.height)

    def contour(self, outlines: list[Array], class_: str) -> None:
        """Draw outlines given in pixels, each (n, 2)."""
        lines = [(line * self.unit, bool(np.allclose(line[0], line[-1]))) for line in outlines]
        words = "".join(polyline(map(tuple, line), closed=closed) for line, closed in lines)
        if words:
            self.drawing.add("path", d=words, class_=class_)

    def peak(self, pixel: tuple[Any, ...]) -> None:
        """Mark a pixel (row, column) with an open cross."""
        x, y = (float(pixel[1]) + 0.5) * self.unit, (float(pixel[0]) + 0.5) * self.unit
        self.drawing.add("path", d=f"M{x - 9:.1f} {y:.1f}h6m6 0h6M{x:.1f} {y - 9:.1f}v6m0 6v6", class_="peak contour")

    def furniture(self, bar_mm: int) -> None:
        """Add sides and a scale bar; the patient's right is on the left."""
        height = self.drawing.height
        self.drawing.text(8, height / 2, "R", "side")
        self.drawing.text(CANVAS_WIDTH - 8, height / 2, "L", "side", "end")
        length = bar_mm / self.pixel_mm * self.unit
        x, y = CANVAS_WIDTH - 12 - length, height - 14
        self.drawing.add("path", d=f"M{x:.1f} {y - 5:.1f}v5h{length:.1f}v-5", class_="scalebar")
        self.drawing.text(x + length / 2, y - 8, f"{bar_mm // 10} cm", "scaletext", "middle")
