"""The analysis datasets as CDISC files: Dataset-JSON 1.1 with its Define-XML 2.1, ADaM-like."""
