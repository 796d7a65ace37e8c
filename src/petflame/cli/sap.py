"""The verb of the statistical analysis plan."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from petflame.cli import app
from petflame.cli.options import LogJson, ProtocolFile
from petflame.console import Console


@app.command()
def sap(
    words: Annotated[list[str], typer.Argument(metavar="[seal] STUDY", help="Folder of the study's tables.")],
    study_id: Annotated[str | None, typer.Option(help="Identifier of the study; default is the folder's name.")] = None,
    amend: Annotated[str | None, typer.Option(metavar="WHY", help="Seal a changed plan again, and say why.")] = None,
    protocol: ProtocolFile = None,
    log_json: LogJson = False,
) -> None:
    """Draft the statistical analysis plan, or seal it with the protocol before an allocation exists.

    `petflame sap STUDY` writes sap.yaml (to change and to be sealed) and sap.md (to read). `petflame sap seal STUDY`
    writes sap.sealed.json, which `analyse` follows and holds itself against: what differs stands on the report's
    first page.

    Example: petflame sap seal study --protocol protocol.yaml
    """
    from petflame.errors import InputRefused
    from petflame.protocol import load_protocol
    from petflame.trial.plan.draft import draft_plan
    from petflame.trial.plan.sealing import PLAN, SEALED, WORDS, draft, seal_plan

    console, chosen = Console(log_json), load_protocol(protocol)
    sealing = words[0] == "seal"
    folders = words[1:] if sealing else words
    if len(folders) > 1 or not (folders or sealing):
        what = f"it takes the study's folder, not {len(folders)} names"
        raise InputRefused.of(what, "petflame sap", "give `petflame sap STUDY` or `petflame sap seal STUDY`")
    study = Path(folders[0] if folders else ".")
    if not study.is_dir():
        raise InputRefused.of("there is no such folder", str(study), "name the folder of the study's tables")
    if sealing:
        found = seal_plan(study, chosen, amend, datetime.now(UTC).date().isoformat())
        console.say(f"sealed {study / SEALED}: SHA-256 {found.seal}")
        if found.plan.estimand == draft_plan(found.plan.study_id, chosen).estimand:
            console.warn("the estimand is the draft's own words, which know nothing of this trial: make them yours")
        console.say("put this hash where others can see it, such as the trial's registry: it proves what, not when")
        return
    new = draft(study, study_id or study.resolve().name, chosen)
    console.say(f"{'drafted' if new else 'read'} {study / PLAN}; to read: {study / WORDS}")
    console.say(f"change {PLAN} to what the trial plans, then `petflame sap seal {study}` before an allocation exists")
