"""What the columns of the tables of agreement mean."""

from __future__ import annotations

COMPARISON = {
    "comparison": (
        "between: first reads of all readers; within: two reads of one visit by one reader, all readers together, or "
        "of the reader named",
        "",
    ),
    "readers": ("codes of the readers", ""),
}
READINGS: dict[str, tuple[str, str]] = {
    "visit": ("code of the visit", ""),
    "reader": ("code of the reader", ""),
    "occasion": ("first read of the visit (1) or its repeat under another code (2)", ""),
    "quantity": ("vessel, `index_vessel` (candidate with the highest value in this read) or `index_background`", ""),
    "value": ("mean TBRmax; of index_background the SUV of the blood pool of that vessel", "ratio; g/mL"),
    "vessel": ("which vessel the index vessel is in this read", ""),
    "prefilled": ("the read began from the participant's other visit, and is left out of agreement", ""),
    "reason": ("why there is no value", ""),
}
AGREEMENT: dict[str, tuple[str, str]] = {
    **COMPARISON,
    "quantity": READINGS["quantity"],
    "rows": (
        "visits: a row a visit; one_a_participant: one visit of each participant (that whose code comes first), so "
        "that rows are independent",
        "",
    ),
    "n": ("rows with a value of every read", ""),
    "not_read": ("rows without a finished read of every reader or occasion", ""),
    "no_value": ("rows where a read has no value, as where the vessel was rejected; see readings.tsv", ""),
    "prefilled": ("rows left out because a read began from the other visit", ""),
    "mean": ("mean of all values", "ratio; g/mL"),
    "icc": ("intraclass correlation ICC(A,1), absolute agreement of single reads", ""),
    "icc_low": ("lower 95 % limit", ""),
    "icc_high": ("upper 95 % limit", ""),
    "icc_consistency": ("ICC(C,1), the readers' systematic difference taken out", ""),
    "bias": ("second reader or read less first (alphabetical), where there are two", "ratio; g/mL"),
    "bias_low": ("lower 95 % limit", "ratio; g/mL"),
    "bias_high": ("upper 95 % limit", "ratio; g/mL"),
    "limit_lower": ("lower limit of agreement, bias - 1.96 SD", "ratio; g/mL"),
    "limit_upper": ("upper limit of agreement, bias + 1.96 SD", "ratio; g/mL"),
    "within_subject_sd": ("within-visit standard deviation of reads", "ratio; g/mL"),
    "within_subject_sd_low": ("lower 95 % limit", "ratio; g/mL"),
    "within_subject_sd_high": ("upper 95 % limit", "ratio; g/mL"),
    "within_subject_cv": ("within-visit coefficient of variation of reads", ""),
    "within_subject_cv_low": ("lower 95 % limit", ""),
    "within_subject_cv_high": ("upper 95 % limit", ""),
    "repeatability_coefficient": ("two reads of one visit differ by less in 95 % of pairs", "ratio; g/mL"),
    "repeatability_coefficient_low": ("lower 95 % limit", "ratio; g/mL"),
    "repeatability_coefficient_high": ("upper 95 % limit", "ratio; g/mL"),
    "minimal_detectable_change": ("as the coefficient, systematic differences taken out", "ratio; g/mL"),
    "reason": ("why nothing was estimated", ""),
}
DECISIONS: dict[str, tuple[str, str]] = {
    **COMPARISON,
    "vessel": ("artery or vein; index_vessel: which vessel is the index vessel", ""),
    "n": ("visits with both reads", ""),
    "agree": ("visits with the same decision", ""),
    "kappa": ("Cohen's kappa of two reads: accepted, rejected, left as found, drawn and not decided on", ""),
    "kappa_low": ("lower 95 % limit, large-sample", ""),
    "kappa_high": ("upper 95 % limit, large-sample", ""),
    "reason": ("why there is no kappa", ""),
}
OVERLAP: dict[str, tuple[str, str]] = {
    **COMPARISON,
    "visit": ("code of the visit", ""),
    "vessel": ("artery or vein", ""),
    "dice": ("2 |A and B| / (|A| + |B|) of the vessel's voxels, where neither read rejects it", ""),
    "mean_apart_mm": ("mean distance of the centrelines in axial planes, where both run", "mm"),
    "most_apart_mm": ("largest such distance", "mm"),
    "found_by_both": ("true where both left it as it was found, so that the overlap is 1 by itself", ""),
}
