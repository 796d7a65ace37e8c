"""YAML for choices that people write: plain values only, decimal numbers, and a weight before anything is built."""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, ScalarEvent


class PlainLoader(yaml.SafeLoader):
    """A safe loader whose numbers are decimal (as in YAML 1.2) and whose mappings hold each key once."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping; raise when it names a key twice."""
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                    if key.value in seen:
                        raise ConstructorError(None, None, f"the key {key.value!r} stands twice", key.start_mark)
                    seen.add(key.value)
        return super().construct_mapping(node, deep)


_NUMBERS = {
    "tag:yaml.org,2002:int": (re.compile(r"[-+]?[0-9]+"), "-+0123456789"),
    "tag:yaml.org,2002:float": (
        re.compile(
            r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
        ),
        "-+0123456789.",
    ),
}
_LEFT_OUT = ("tag:yaml.org,2002:timestamp", *_NUMBERS)
PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag not in _LEFT_OUT]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, (_pattern, _first) in _NUMBERS.items():
    PlainLoader.add_implicit_resolver(_tag, re.compile(f"(?:{_pattern.pattern})$"), list(_first))


def _decimal(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node))


def _fraction(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    text = str(loader.construct_scalar(node)).lower()
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


PlainLoader.add_constructor("tag:yaml.org,2002:int", _decimal)
PlainLoader.add_constructor("tag:yaml.org,2002:float", _fraction)


def weigh(text: str, most_depth: int, most_elements: int) -> tuple[int, int]:
    r"""Return depth and number of values of a document with every alias written out, without building it.

    Counting stops where either limit is passed.

    Raises
    ------
    yaml.YAMLError
        When it is no YAML, or an alias stands within what it names.

    >>> weigh("a: &a [1, 2]\nb: [*a, *a]", 10, 100)
    (3, 13)
    """
    weights: dict[str, tuple[int, int]] = {}
    open_ones: list[tuple[str | None, int]] = []
    depths: list[int] = []
    total = deepest = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, ScalarEvent):
            if event.anchor:
                weights[event.anchor] = (0, 1)
            total += 1
        elif isinstance(event, AliasEvent):
            if event.anchor not in weights:
                raise yaml.YAMLError(f"the alias {event.anchor!r} names nothing that is whole before it")
            below, elements = weights[event.anchor]
            total += elements
            deepest = max(deepest, len(open_ones) + below)
            depths = [max(d, len(open_ones) + below) for d in depths]
        elif isinstance(event, CollectionStartEvent):
            if event.anchor:
                weights.pop(event.anchor, None)
            open_ones.append((event.anchor, total))
            total += 1
            depths = [max(d, len(open_ones)) for d in depths]
            depths.append(len(open_ones))
            deepest = max(deepest, len(open_ones))
        elif isinstance(event, CollectionEndEvent):
            anchor, before = open_ones.pop()
            reached = depths.pop()
            if anchor:
                weights[anchor] = (reached - len(open_ones), total - before)
        if deepest > most_depth or total > most_elements:
            break
    return deepest, total
