"""Uptake of each vessel section of one visit, blind to arm and visit order."""
