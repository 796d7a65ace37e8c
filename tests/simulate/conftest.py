"""One small simulated trial for all tests of this folder."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from petflame.simulate.plan import plan_trial
from petflame.simulate.trial import simulate_trial

SEED = 314


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """A tiny trial of two patients, made by two processes."""
    root: Path = tmp_path_factory.mktemp("simulated") / "study"
    seen = []
    simulate_trial(root, patients=2, size="tiny", seed=SEED, cores=2, progress=lambda *news: seen.append(news))
    truth = json.loads((root / "truth.json").read_text())
    return SimpleNamespace(root=root, truth=truth, plan=plan_trial(2, SEED), progress=seen)
