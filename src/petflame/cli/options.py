"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Record = Annotated[
    bool, typer.Option("--record", help="Write status.json and exit 0 when the input is refused (for workflows).")
]
LogJson = Annotated[bool, typer.Option("--log-json", help="Say everything as one JSON object a line, on stderr.")]
ProtocolFile = Annotated[
    Path | None, typer.Option("--protocol", help="YAML file of measurement choices; default ivory_assumed_v2.")
]
ReliabilityFile = Annotated[
    Path | None,
    typer.Option("--reliability", help="reliability.json of repeated scans: replaces the protocol's assumed CV."),
]
