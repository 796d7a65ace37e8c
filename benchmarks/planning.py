"""What it costs to plan a finished study by content: with the kept list of hashes, and without it, as after a move.

    python benchmarks/planning.py STUDY OUT        (STUDY `simulated` for the embedded trial)

Prints seconds, and the ratio to hashing the same files with `sha256sum` in the same run.
"""

import shutil
import subprocess
import sys
import time
from pathlib import Path

from petflame.files import read_json
from petflame.replan import why_stale
from petflame.workflow import plan_workflow


def planned(study: str, out: Path) -> tuple[float, int]:
    begin = time.perf_counter()
    stale = [why for why in map(why_stale, plan_workflow({"study": study, "out": str(out)}).jobs()) if why]
    return time.perf_counter() - begin, len(stale)


def main(study: str, out: Path) -> None:
    planned(study, out)
    seen = out / "key" / "seen"
    files = sorted({name for path in seen.glob("*.json") for name in read_json(path)["files"]})
    size = sum(Path(name).stat().st_size for name in files)
    warm, stale = planned(study, out)
    begin = time.perf_counter()
    subprocess.run(["xargs", "-0", "sha256sum"], input="\0".join(files).encode(), stdout=subprocess.DEVNULL, check=True)
    peer = time.perf_counter() - begin
    shutil.rmtree(seen)
    cold, stale_cold = planned(study, out)
    print(f"{len(files)} files, {size / 1e9:.2f} GB; sha256sum of them all: {peer:.2f} s")
    print(f"planning, nothing changed:       {warm:.2f} s ({warm / peer:.2f} of sha256sum), {stale} steps stale")
    print(f"planning without kept hashes:    {cold:.2f} s ({cold / peer:.2f} of sha256sum), {stale_cold} steps stale")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
