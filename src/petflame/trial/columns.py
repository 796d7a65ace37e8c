"""Names of the PATIENTS columns, beyond the index vessel's TBRmax, that the arm analysis knows."""

from __future__ import annotations

# Name: baseline column, follow-up column, meaning.
ENDPOINTS: dict[str, tuple[str, str, str]] = {
    "vessel_mean": ("vessel_mean_baseline", "vessel_mean_followup", "mean over the target vessels of mean TBRmax"),
    "mds_locked": ("mds_baseline", "mds_locked_followup", "most diseased segment found at baseline, index vessel"),
    "mds_refound": ("mds_baseline", "mds_refound_followup", "most diseased segment found anew at follow-up"),
    "active_locked": ("active_baseline", "active_locked_followup", "sections active at baseline, target vessels"),
    "active_refound": ("active_baseline", "active_refound_followup", "sections active at each visit, target vessels"),
    "active_fraction": ("active_fraction_baseline", "active_fraction_followup", "share of active sections"),
    "csuv_max": ("csuv_max_baseline", "csuv_max_followup", "SUVmax less blood pool, index vessel (g/mL)"),
}
CONTROLS: dict[str, tuple[str, str]] = {
    "blood_pool_suv": ("blood-pool SUV", "g/mL"),
    "liver_suv": ("liver SUV", "g/mL"),
    "uptake_min": ("uptake time", "min"),
    "glucose_mmol_l": ("blood glucose", "mmol/L"),
    "dose_per_kg": ("injected dose", "MBq/kg"),
}
# Name: how the covariate is made from columns.
COVARIATES: dict[str, str] = {
    "uptake_difference": "uptake time at follow-up less baseline, min",
    "glucose_difference": "blood glucose at follow-up less baseline, mmol/L",
    "scanner": "scanner model, as categories",
    "bmi": "body mass index, kg/m2",
}
NUMBER_COLUMNS: frozenset[str] = frozenset(
    {c for baseline, followup, _ in ENDPOINTS.values() for c in (baseline, followup)}
    | {f"{name}_{visit}" for name in CONTROLS for visit in ("baseline", "followup")}
    | {"bmi"}
)
