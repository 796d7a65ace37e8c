"""Who is who: whether the visits of a study are the scans that the visits table says, compared over all of them."""
