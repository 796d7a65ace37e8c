"""Draw docs/figures/architecture.svg from the imports of the package, and hold them to the order of its floors.

Run it from the project's root after a module came, went or took on an import: python benchmarks/architecture_page.py
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "petflame"
PICTURE = ROOT / "docs" / "figures" / "architecture.svg"

# From the ground up: a room imports from floors below its own, and from rooms named before it on its own.
FLOORS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "words and choices",
        (
            *("privacy", "errors", "typed", "yamltext", "outside", "tabletext", "bounds", "places", "folders"),
            *("anatomy", "pathwords", "published", "set_aside", "sensitivity", "protocol_versions", "protocol"),
            *("repeatability", "console"),
        ),
    ),
    ("geometry", ("space", "recovery", "labelmap")),
    ("files and steps", ("files", "seal", "fingerprint", "outcome", "steps")),
    ("a study", ("study", "identity")),
    ("DICOM to SUV and HU", ("dicom",)),
    ("vessels and blood", ("segment",)),
    ("uptake", ("measure",)),
    ("two visits", ("pair",)),
    ("arms, events, design", ("trial",)),
    ("a simulated trial", ("simulate",)),
    ("what a run was made from", ("requests", "chain", "replan", "provenance", "study_tables", "private_record")),
    ("the report", ("report",)),
    ("the reader's workbench", ("review",)),
    ("a whole run", ("intake", "reading", "workflow", "verification")),
    ("command line", ("cli", "__main__")),
)


def rooms() -> list[str]:
    """Return every room, a package or a module directly below the package, in the order of `FLOORS`."""
    return [room for _, names in FLOORS for room in names]


def imports() -> Iterator[tuple[str, str, str]]:
    """Yield importing room, imported room and place of every import within the package, also those in functions."""
    for path in sorted(PACKAGE.rglob("*.py")):
        inside = path.relative_to(PACKAGE).parts
        room = inside[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for name in _imported(node):
                if name != room and (PACKAGE / name).is_dir() | (PACKAGE / f"{name}.py").is_file():
                    yield room, name, f"{'/'.join(inside)}:{node.lineno}"  # type: ignore[attr-defined]


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        parts = [alias.name.split(".") for alias in node.names]
        return [p[1] for p in parts if p[0] == "petflame" and len(p) > 1]
    if isinstance(node, ast.ImportFrom) and node.module:
        first, *rest = node.module.split(".")
        if first == "petflame":
            return rest[:1] or [alias.name for alias in node.names]
    return []


def upward() -> list[str]:
    """Return every import that runs up, or to a room that no floor names."""
    order = {room: n for n, room in enumerate(rooms())}
    return [
        f"{place}: {room} imports {name}"
        for room, name, place in imports()
        if order.get(name, len(order)) >= order.get(room, -1)
    ]


def lines_of(room: str) -> int:
    """Count the lines of a room."""
    paths = (PACKAGE / room).rglob("*.py") if (PACKAGE / room).is_dir() else [PACKAGE / f"{room}.py"]
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)


def picture() -> str:
    """Return the drawing: floors from the ground up, an arc from each floor to those that it imports from.

    Every floor imports from the three lowest: these arcs are left out.
    """
    floor_of = {room: n for n, (_, names) in enumerate(FLOORS) for room in names}
    arrows = sorted({(floor_of[a], floor_of[b]) for a, b, _ in imports() if floor_of[a] != floor_of[b] > 2})
    height, left, width = 44, 210, 640
    top = {n: 12 + (len(FLOORS) - 1 - n) * height for n in range(len(FLOORS))}
    total = 24 + len(FLOORS) * height
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1060 {total}" font-family="sans-serif" font-size="13">',
        f'<rect width="1060" height="{total}" fill="white"/>',
    ]
    for n, (title, names) in enumerate(FLOORS):
        size = sum(map(lines_of, names))
        out.append(f'<text x="{left - 12}" y="{top[n] + 22}" text-anchor="end" fill="#444">{title}</text>')
        out.append(
            f'<rect x="{left}" y="{top[n]}" width="{width}" height="{height - 10}" rx="4" fill="#f3ede4" '
            'stroke="#b9a88f"/>'
        )
        shown = ", ".join(names)
        for row, text in enumerate(_wrapped(shown, 104)):
            y = top[n] + (13 if len(shown) > 104 else 22) + 12 * row
            font = ' font-size="10"' if len(shown) > 104 else ' font-weight="bold"'
            out.append(f'<text x="{left + 10}" y="{y}"{font}>{text}</text>')
        out.append(
            f'<text x="{left + width - 8}" y="{top[n] + 22}" text-anchor="end" fill="#777" '
            f'font-size="11">{size:,}</text>'
        )
    for a, b in arrows:
        y1, y2, x = top[a] + 17, top[b] + 17, left + width
        bend = x + 14 + 14 * (a - b)
        out.append(
            f'<path d="M{x} {y1}C{bend} {y1} {bend} {y2} {x + 4} {y2}" fill="none" stroke="#8a6d3b" '
            f'stroke-opacity="0.55"/><path d="M{x} {y2}l7 -3v6z" fill="#8a6d3b"/>'
        )
    return "\n".join([*out, "</svg>"]) + "\n"


def _wrapped(text: str, most: int) -> list[str]:
    lines = [""]
    for word in text.split(" "):
        if len(lines[-1]) + len(word) > most:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
    print(PICTURE, *upward(), sep="\n")
