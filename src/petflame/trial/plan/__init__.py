"""The statistical analysis plan: drafted, sealed before the arms are known, and held against what was done."""
