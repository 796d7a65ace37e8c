"""Two visits of one participant: correspondence, index vessel, change, comparability."""
