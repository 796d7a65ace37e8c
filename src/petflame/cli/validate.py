"""The verb that checks an installation against reference objects."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from petflame.cli import app
from petflame.cli.options import LogJson
from petflame.console import Console


@app.command()
def validate(
    dro: Annotated[
        Path | None,
        typer.Option(
            "--dro", metavar="DIR", help="Downloaded SUV reference objects, a folder each; default is to make our own."
        ),
    ] = None,
    log_json: LogJson = False,
) -> None:
    """Check SUV on this machine against reference objects; exit 1 when one is wrong.

    Example: petflame validate
    """
    from petflame.dicom.validation import check_own_objects, check_reference_objects
    from petflame.provenance import versions

    console = Console(log_json)
    checks = check_own_objects() if dro is None else check_reference_objects(dro)
    width = max(len(c.name) for c in checks)
    console.say(f"{'check':{width}}  {'expected':16}  {'got':16}  result")
    for c in checks:
        expected, got = _suv(c.expected), _suv(c.found)
        verdict = "pass" if c.right else "FAIL"
        why = "" if c.right or not c.told else f" ({c.told})"
        line = f"{c.name:{width}}  {expected:16}  {got:16}  {verdict}{why}"
        console.say(line, check=c.name, about=c.about, expected=c.expected, got=c.found, right=c.right, told=c.told)
    wrong = sum(not c.right for c in checks)
    found = versions()
    console.say(", ".join(f"{name} {version}" for name, version in found.items()), versions=found)
    console.say(f"{len(checks) - wrong} of {len(checks)} right", right=len(checks) - wrong, checks=len(checks))
    if wrong:
        raise typer.Exit(1)


def _suv(values: tuple[float, float, float] | None) -> str:
    return "refused" if values is None else " ".join(f"{v:.4f}" for v in values)
