"""The command line: parses, calls, prints."""

from __future__ import annotations

import os
import sys
import traceback
from importlib import import_module
from typing import Annotated

import typer

from petflame import __version__
from petflame.errors import PetflameError, machine_fault, names_refused

app = typer.Typer(
    name="petflame",
    help="Arterial inflammation from FDG PET/CT: DICOM in, percentage reduction per patient and per arm out.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        print(f"petflame {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Arterial inflammation from FDG PET/CT: DICOM in, percentage reduction per patient and per arm out."""


def main() -> None:
    """Run the command line: exit 0 done, 1 a fault of ours, 2 refused input."""
    for verbs in ("study", "visit", "review", "review_plan", "trial", "sap", "validate", "export"):
        # Importing them registers their verbs.
        import_module(f"petflame.cli.{verbs}")
    from petflame.console import Console

    # Images are cut into small pieces: more threads than one only get in each other's way.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    console = Console(as_json="--log-json" in sys.argv)
    try:
        with names_refused():
            app()
    except PetflameError as error:
        console.faults(error.faults)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)
    except Exception as error:
        if os.environ.get("PETFLAME_DEBUG"):
            raise
        fault = machine_fault(error, "this machine")
        if fault is not None:
            console.faults(fault.faults)
            sys.exit(2)
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{last.name}, line {last.lineno}"
        print(
            f"error: petflame failed in {place} ({type(error).__name__}: {error}); this is a fault of petflame: "
            "set PETFLAME_DEBUG=1 to see all of it, and report it",
            file=sys.stderr,
        )
        sys.exit(1)


if __name__ == "__main__":
    main()
