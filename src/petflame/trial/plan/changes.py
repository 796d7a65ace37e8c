"""Two sets of choices side by side: what differs, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from petflame.trial.plan.blocks import Deviation


def changed(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> list[Deviation]:
    """Return every choice that differs, by dotted names.

    >>> changed({"a": {"b": 1.0}, "c": []}, {"a": {"b": 2.0}, "c": []})
    [{'item': 'a.b', 'planned': '1', 'done': '2'}]
    """
    old, new = flat(before), flat(after)
    keys = [*old, *(k for k in new if k not in old)]
    found = [deviation(prefix + key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)]
    # An empty mapping gives way to its keys, which stand on lines of their own.
    return [row for row in found if row["planned"] != row["done"]]


def flat(choices: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested choices by dotted names.

    >>> flat({"region": {"metal": "flag"}, "name": "x"})
    {'region.metal': 'flag', 'name': 'x'}
    """
    found: dict[str, Any] = {}
    for key, value in choices.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        if (
            isinstance(value, (list, tuple))
            and value
            and all(isinstance(v, Mapping) and "name" not in v for v in value)
        ):
            value = {str(n): item for n, item in enumerate(value, 1)}
        found |= flat(value, name) if isinstance(value, Mapping) and value else {name: value}
    return found


def deviation(item: str, planned: Any, done: Any) -> Deviation:
    """Return one difference in words; lists of named things by their names, unless these agree."""
    if _names(planned) != _names(done):
        planned, done = (_names(value) or value for value in (planned, done))
    return {"item": item, "planned": in_words(planned), "done": in_words(done)}


def _names(value: Any) -> list[str]:
    if isinstance(value, (list, tuple)) and value and all(isinstance(v, Mapping) and "name" in v for v in value):
        return [str(v["name"]) for v in value]
    return []


def in_words(value: Any) -> str:
    """Write a choice for a reader.

    >>> in_words([]), in_words((0.5, "x")), in_words({})
    ('none', '0.5, x', 'none')
    """
    if value is None or value in ([], (), {}):
        return "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(in_words, value))
    if isinstance(value, Mapping):
        return "; ".join(f"{k}: {in_words(v)}" for k, v in value.items())
    return f"{value:.12g}" if isinstance(value, float) else str(value)
