"""What the scripts that write docs/ share."""

from __future__ import annotations

from collections.abc import Sequence


def table(header: str, rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; `header` names the columns, parted by `|`."""
    names = [name.strip() for name in header.split("|")]
    return "\n".join(f"| {' | '.join(line)} |" for line in [names, ["---"] * len(names), *rows]) + "\n"
