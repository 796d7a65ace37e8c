"""The comparison of the arms on the images: the primary model, its sensitivity analyses, the other endpoints."""
