"""Pictures and the offline report."""
