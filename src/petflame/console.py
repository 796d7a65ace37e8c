"""What a verb says while it runs: plain lines for people, JSON lines for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from petflame.errors import LONGEST_MESSAGE, Fault, capped
from petflame.privacy import shortened, with_names, without_names


@dataclass(frozen=True)
class Console:
    """Speaks to people in plain lines, or to machines in JSON lines.

    Attributes
    ----------
    as_json : bool
    recorded : bool
        Whether a workflow keeps what is said: then stand-ins take the place of names from outside.
    said : list of str
        Everything that was said, with names and stand-ins both.
    """

    as_json: bool = False
    recorded: bool = False
    said: list[str] = field(default_factory=list, compare=False, repr=False)

    def say(self, text: str, **facts: Any) -> None:
        """Report progress or a result."""
        self._emit("info", text, facts, sys.stdout)

    def warn(self, text: str) -> None:
        """Report a doubt."""
        self._emit("warning", shortened(text, 2 * LONGEST_MESSAGE), {}, sys.stderr)

    def faults(self, faults: Iterable[Fault], level: str = "error") -> None:
        """Report each fault on a line of its own."""
        for fault in capped(faults):
            self._emit(level, str(fault).replace("\n", " "), fault.as_dict(), sys.stderr)

    def _emit(self, level: str, text: str, facts: dict[str, Any], stream: Any) -> None:
        self.said.append(text)
        show = without_names if self.recorded else with_names
        text = show(text)
        if self.as_json:
            told = {key: show(value) if isinstance(value, str) else value for key, value in facts.items()}
            line = json.dumps({"level": level, "message": text, **told}, ensure_ascii=False)
            print(line, file=sys.stderr, flush=True)
        else:
            # Whoever waits behind a pipe or a file for what is said, such as an address, gets it now.
            print(text if level == "info" else f"{level}: {text}", file=stream, flush=True)

    @contextmanager
    def progress(self, title: str, total: int) -> Iterator[Any]:
        """Yield a function to call after each of `total` steps: a bar on a terminal, plain lines elsewhere."""
        if sys.stderr.isatty() and not self.as_json:
            from rich.console import Console as Rich
            from rich.progress import Progress

            with Progress(console=Rich(stderr=True), transient=True) as bar:
                task = bar.add_task(title, total=total)
                yield lambda: bar.advance(task)
            return
        done = 0

        def advance() -> None:
            nonlocal done
            done += 1
            if done == total or done % max(1, total // 10) == 0:
                self._emit("progress", f"{title}: {done} of {total}", {"done": done, "total": total}, sys.stderr)

        yield advance
