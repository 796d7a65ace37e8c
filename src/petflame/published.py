"""The published trial (IVORY): the size and effect that a simulated or planned trial has unless told otherwise."""

from __future__ import annotations

# Both scans: 31 with active treatment, 29 with control (docs/statistics.md sets them beside our own).
PATIENTS = 60
PATIENTS_PER_ARM = PATIENTS // 2
# Adjusted percent on the index vessel (measurement definitions, section 5): the size a reader has in mind.
EFFECT_PERCENT = -7.7
# Residual SD of its primary model (ratio), derived from the interval and the arms' sizes (docs/statistics.md).
RESIDUAL_SD = 0.257
