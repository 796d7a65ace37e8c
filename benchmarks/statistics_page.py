"""The figure of the simulated trials and the generated parts of docs/statistics.md."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from coverage import mixed_rejection

from petflame.trial.analyse import analyse
from petflame.trial.choices import SEED, AnalysisChoices, TrialTables
from petflame.trial.design.plan import Design
from petflame.trial.design.simulated_trials import run_trials
from petflame.trial.events.outcomes import outcomes

GOOD, MISSED, TRUTH = "#4878a8", "#c8452c", "#202020"
NAMES = {
    "index_ancova": "difference, index vessel (primary)",
    "index_adjusted_percent": "adjusted percent, index vessel",
    "index_log_ratio": "log-ratio percent, index vessel",
    "mean_percent_change_difference": "difference of mean percent changes",
    "vessel_mean_ancova": "difference, mean of the three vessels",
    "followup_only": "follow-up means without baseline",
    "mds_locked_ancova": "difference, worst segment locked at baseline",
    "mds_refound_ancova": "difference, worst segment found anew",
    "active_locked_ancova": "difference, sections active at baseline",
    "active_refound_ancova": "difference, sections active at each visit",
    "active_fraction_ancova": "difference, share of active sections",
    "csuv_max_ancova": "difference, SUVmax less blood pool",
    "aorta_ascending_ancova": "difference, ascending aorta alone",
    "carotid_right_ancova": "difference, right carotid alone",
    "carotid_left_ancova": "difference, left carotid alone",
}


def share(hits: pd.Series) -> tuple[float, float]:
    """Return a share in percent with its Monte Carlo standard error."""
    p = float(hits.mean())
    return 100 * p, 100 * float(np.sqrt(p * (1 - p) / len(hits)))


def covers(table: pd.DataFrame, low: str, high: str, truth: pd.Series | float) -> pd.Series:
    """Return whether each interval holds the truth."""
    return (table[low] <= truth) & (truth <= table[high])


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draw sorted estimates with their intervals and the truth; the same table gives the same bytes."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.hashsalt": "petflame", "font.size": 9, "axes.spines.top": False}
    import matplotlib.pyplot as plt

    truth = float(table["true_percent"].mean())
    hit = covers(table, "adjusted_percent_low", "adjusted_percent_high", table["true_percent"])
    null_hit = covers(table, "null_ci_low", "null_ci_high", 0.0)
    panels = (
        ("With treatment", "adjusted_percent", "adjusted_percent_low", "adjusted_percent_high", truth, hit),
        ("The same trials without treatment", "null_difference", "null_ci_low", "null_ci_high", 0.0, null_hit),
    )
    figure, axes = plt.subplots(2, 1, figsize=(7.2, 6.6), constrained_layout=True)
    for axis, (title, estimate, low, high, line, inside) in zip(axes, panels, strict=True):
        order = np.argsort(table[estimate].to_numpy(), kind="stable")
        rank = np.arange(1, len(table) + 1)
        chosen = inside.to_numpy()[order]
        values = [table[c].to_numpy()[order] for c in (estimate, low, high)]
        for holds, colour, words in ((True, GOOD, "interval holds the truth"), (False, MISSED, "interval misses it")):
            at = chosen == holds
            axis.vlines(rank[at], values[1][at], values[2][at], colour, linewidth=1.0)
            axis.plot(rank[at], values[0][at], ".", color=colour, markersize=3.5, label=f"{words}: {at.sum()} trials")
        if estimate == "adjusted_percent":
            axis.plot(
                rank,
                table["true_percent"].to_numpy()[order],
                "_",
                color=TRUTH,
                markersize=3,
                label="each trial's truth",
            )
        axis.axhline(
            line,
            color=TRUTH,
            linewidth=0.9,
            label=f"mean truth {line:.1f} %".replace("-", "\N{MINUS SIGN}") if line else "truth 0",
        )
        covered, error = share(inside)
        axis.set_title(f"{title}: coverage {covered:.1f} % (Monte Carlo SE {error:.1f})", loc="left", fontsize=10)
        axis.set_xlim(0, len(table) + 1)
        axis.spines["right"].set_visible(False)
        axis.set_ylim(values[1].min() - 0.06 * np.ptp(values[1]), values[2].max() + 0.3 * np.ptp(values[2]))
        axis.legend(loc="upper left", frameon=False, fontsize=8, ncols=2)
    axes[0].set_ylabel("Adjusted percent with 95 % interval")
    axes[1].set_ylabel("Adjusted difference in TBR\nwith 95 % interval")
    axes[1].set_xlabel("Simulated trials, sorted by estimate")
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    plt.close(figure)


def trials_text(table: pd.DataFrame) -> str:
    """Return the summary of the simulated trials."""
    count = len(table)
    lines = ["| | difference (TBR) | adjusted percent |", "|---|---|---|"]
    parts: dict[str, list[str]] = {}
    for name, low, high, true, digits in (
        ("difference", "ci_low", "ci_high", "true_difference", 4),
        ("adjusted_percent", "adjusted_percent_low", "adjusted_percent_high", "true_percent", 2),
    ):
        error = table[name] - table[true]
        own, own_se = share(covers(table, low, high, table[true]))
        common, common_se = share(covers(table, low, high, float(table[true].mean())))
        parts.setdefault("mean truth (paired effect)", []).append(f"{table[true].mean():.{digits}f}")
        parts.setdefault("mean estimate", []).append(f"{table[name].mean():.{digits}f}")
        parts.setdefault("bias: mean of estimate - truth (SE)", []).append(
            f"{error.mean():+.{digits}f} ({error.std(ddof=1) / np.sqrt(count):.{digits}f})"
        )
        parts.setdefault("SD of the estimates", []).append(f"{table[name].std(ddof=1):.{digits}f}")
        parts.setdefault("95 % intervals that hold the trial's own truth (SE)", []).append(
            f"{own:.1f} % ({own_se:.1f})"
        )
        parts.setdefault("95 % intervals that hold the mean truth (SE)", []).append(f"{common:.1f} % ({common_se:.1f})")
    lines += [f"| {name} | {' | '.join(cells)} |" for name, cells in parts.items()]
    power, power_se = share(table["p"] < 0.05)
    wrong, wrong_se = share(table["null_p"] < 0.05)
    null = table["null_difference"]
    size = int((table["n_active"] + table["n_control"]).iloc[0])
    return "\n".join(
        [
            f"{count} trials of {size} patients:",
            "",
            *lines,
            "",
            f"Power (p < 0.05 with treatment): {power:.1f} % (Monte Carlo SE {power_se:.1f}). Without treatment the "
            f"same trials give p < 0.05 in {wrong:.1f} % (SE {wrong_se:.1f}), a mean difference of {null.mean():+.4f} "
            f"(SE {null.std(ddof=1) / np.sqrt(count):.4f}), and "
            f"{share(covers(table, 'null_ci_low', 'null_ci_high', 0.0))[0]:.1f} % of the intervals hold zero.",
        ]
    )


def coverage_text(trials: int) -> str:
    """Return type I error, power and coverage of the parametric simulation, as benchmarks/coverage.py does."""
    effect = Design()
    null = replace(effect, effect_percent=0.0)
    without, found = run_trials(null, trials, SEED), run_trials(effect, trials, SEED + 1)
    implied = found.pop("index")
    drift = without.pop("index")["control_change_without_drug"]
    lines = [
        f"{trials} trials of {effect.patients_per_arm} patients an arm, without effect and with an effect of "
        f"{effect.effect_percent} %; index vessel at baseline {implied['baseline_mean']:.2f} (SD "
        f"{implied['baseline_sd']:.2f}), residual SD {implied['residual_sd']:.3f}. Without any drug the control arm's "
        f"index vessel changes by {drift:+.3f}: the highest of three falls back.",
        "",
        "| test | type I error, % | coverage without effect, % | power, % | coverage with effect, % |",
        "|---|---|---|---|---|",
    ]
    for name, words in NAMES.items():
        a, b = without[name], found[name]
        cells = (a["rejection"], a["coverage"], b["rejection"], b["coverage"])
        lines.append(f"| {words} | {' | '.join('none' if v is None else f'{100 * v:.2f}' for v in cells)} |")
    rejected, covered = mixed_rejection(null, 2000, SEED + 2)
    lines.append(f"| mixed model, Kenward-Roger (2000 trials) | {100 * rejected:.2f} | {100 * covered:.2f} | | |")
    spread = 100 * np.sqrt(0.05 * 0.95 / np.array([trials, 2000]))
    return "\n".join(
        [*lines, "", f"Monte Carlo standard error {spread[0]:.2f} points, for the mixed model {spread[1]:.2f}."]
    )


def target_text(folder: Path) -> str:
    """Return the published figures beside what petflame makes of data constructed to have them."""
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary)
        tables = TrialTables(folder / "patients.tsv", folder / "vessels.tsv", folder / "allocation.tsv")
        found = analyse(tables, out, AnalysisChoices())
        events = outcomes(folder / "outcomes.tsv", folder / "allocation_followup.tsv", out)
    primary, more = found["primary"], found["sensitivity"]
    base = {arm: found["arms"][arm]["baseline"] for arm in ("active", "control")}
    horizon, fisher = events["at_horizon"], events["fisher_p"]
    log, raw = more["log_ratio_percent"], more["mean_percent_change_difference"]

    def between(row: dict[str, Any], low: str, high: str, digits: int) -> str:
        return f"{row[low]:.{digits}f} to {row[high]:.{digits}f}"

    rows = [
        ("completers, active / control", "31 / 29", f"{primary['n']['active']} / {primary['n']['control']}"),
        (
            "baseline mean TBRmax, active; control",
            "2.26 ± 0.27; 2.39 ± 0.28",
            "; ".join(f"{b['mean']:.2f} ± {b['sd']:.2f}" for b in base.values()),
        ),
        ("difference, index vessel", "-0.171", f"{primary['difference']:.3f}"),
        ("95 % interval", "-0.308 to -0.034", between(primary, "ci_low", "ci_high", 3)),
        ("p", "0.015", f"{primary['p']:.3f}"),
        ("percent (`adjusted_percent`)", "-7.7 %", f"{primary['adjusted_percent']:.1f} %"),
        ("its 95 % interval", "not published", between(primary, "adjusted_percent_low", "adjusted_percent_high", 1)),
        ("HC3 p; permutation p", "not published", f"{more['hc3']['p']:.3f}; {more['permutation']['p']:.3f}"),
        ("`log_ratio_percent`", "not published", f"{log['estimate']:.1f} % ({between(log, 'low', 'high', 1)})"),
        (
            "`mean_percent_change_difference`",
            "not published",
            f"{raw['estimate']:.1f} % ({between(raw, 'low', 'high', 1)}), p {raw['p']:.2f}",
        ),
        ("active slices, difference", "-0.185 (-0.323 to -0.0478), -8.3 %", "no slice data in the target"),
        (
            "repeat infarction at two years",
            "0 v 11 %",
            f"{100 * horizon['active']['proportion']:.0f} v {100 * horizon['control']['proportion']:.1f} % "
            f"({horizon['active']['events']} of {horizon['active']['n']} v {horizon['control']['events']} of "
            f"{horizon['control']['n']}); Fisher p {fisher:.2f}, Firth p {events['firth_cox']['p']:.2f}",
        ),
    ]
    table = "\n".join(f"| {a} | {b} | {c} |" for a, b, c in rows)
    return (
        f"| quantity | published | petflame on the constructed data |\n|---|---|---|\n{table}\n\n"
        f"{events['sample_needed']['sentence']}"
    )


def fill(page: str, name: str, text: str) -> str:
    """Put text between the markers of a generated part."""
    head, tail = f"<!-- generated: {name} -->", f"<!-- end: {name} -->"
    before, rest = page.split(head)
    _, after = rest.split(tail)
    return f"{before}{head}\n{text}\n{tail}{after}"


def write_page(path: Path, table: pd.DataFrame, null_trials: int) -> None:
    """Renew the generated parts of the page; a part whose data are absent stays as it is."""
    page = fill(path.read_text(encoding="utf-8"), "simulated trials", trials_text(table))
    if null_trials:
        page = fill(page, "coverage", coverage_text(null_trials))
    target = Path(os.environ.get("PETFLAME_REFERENCE_DATA", "")) / "ivory_target"
    if target.is_dir():
        page = fill(page, "published target", target_text(target))
    else:
        print("the published target stays as it was: PETFLAME_REFERENCE_DATA holds no ivory_target")
    path.write_text(page, encoding="utf-8")
