"""Designing a trial: power and sample size, in closed form and by simulation."""
