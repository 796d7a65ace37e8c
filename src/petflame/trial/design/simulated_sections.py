"""Sections of simulated vessels, for the power of endpoints that select among them: worst segment, active sections."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from petflame.trial.estimates import Matrix, Vector

# Sections close together share tissue and noise; standard deviation of the Gaussian that says so, in sections.
_SHARED = 1.5


@dataclass(frozen=True, eq=False)
class SectionEndpoints:
    """Endpoints of every simulated patient, each (baseline, follow-up) of shape (trials, n).

    Attributes
    ----------
    mds_locked, mds_refound : pair of ndarray
        Worst segment of the index vessel: found at baseline, found anew.
    active_locked, active_refound : pair of ndarray
        Mean over the sections of all vessels that are active at baseline, at each visit; NaN for a patient with none.
    active_fraction : pair of ndarray
        Share of the sections of all vessels that are active, 0 to 1.
    untreated_fraction : ndarray, shape (trials, n)
        That share at follow-up of the same scan without the drug.
    """

    mds_locked: tuple[Matrix, Matrix]
    mds_refound: tuple[Matrix, Matrix]
    active_locked: tuple[Matrix, Matrix]
    active_refound: tuple[Matrix, Matrix]
    active_fraction: tuple[Matrix, Matrix]
    untreated_fraction: Matrix


def section_endpoints(
    visits: tuple[Matrix, Matrix],
    effect: Vector,
    *,
    sections: int,
    segment: int,
    profile_sd: float,
    noise_sd: float,
    threshold: float,
    rng: np.random.Generator,
) -> SectionEndpoints:
    """Give every vessel sections round its measured mean, and select among them.

    Parameters
    ----------
    visits : pair of ndarray, shape (trials, n, vessels)
        Mean TBRmax measured at baseline and follow-up, the effect in it.
    effect : ndarray, shape (n,)
        Factor by which the drug multiplies follow-up.
    sections, segment : int
        Of a vessel, and of its worst segment.
    profile_sd : float
        SD along a vessel of the true TBRmax of its sections (ratio).
    noise_sd : float
        SD of what differs between visits (ratio).
    threshold : float
        TBRmax of an active section.
    rng : Generator
    """
    shape = (*visits[0].shape, sections)
    profile = _smooth(rng, shape, profile_sd)
    scale = (1.0, effect[None, :, None, None])
    base, follow = (
        mean[..., None] + factor * (profile + _smooth(rng, shape, noise_sd))
        for mean, factor in zip(visits, scale, strict=True)
    )
    index = visits[0].argmax(axis=2)[:, :, None, None]
    worst = [_windows(np.take_along_axis(v, index, 2)[:, :, 0], segment) for v in (base, follow)]
    locked = worst[0].argmax(axis=2)[..., None]
    first = worst[0].max(axis=2)
    active, later = base >= threshold, follow >= threshold
    untreated = follow / effect[None, :, None, None] >= threshold
    return SectionEndpoints(
        mds_locked=(first, np.take_along_axis(worst[1], locked, 2)[..., 0]),
        mds_refound=(first, worst[1].max(axis=2)),
        active_locked=(_mean_of(base, active), _mean_of(follow, active)),
        active_refound=(_mean_of(base, active), _mean_of(follow, later)),
        active_fraction=(active.mean(axis=(2, 3)), later.mean(axis=(2, 3))),
        untreated_fraction=untreated.mean(axis=(2, 3)),
    )


def _smooth(rng: np.random.Generator, shape: tuple[int, ...], sd: float) -> Matrix:
    """Smooth deviations along the last axis whose mean is zero and whose SD is `sd` on average."""
    if sd == 0:
        return np.zeros(shape)
    drawn = ndimage.gaussian_filter1d(rng.standard_normal(shape, dtype=np.float32), _SHARED, axis=-1, mode="wrap")
    drawn -= drawn.mean(axis=-1, keepdims=True)
    return np.asarray(drawn * (sd / drawn.std()))


def _windows(values: Matrix, length: int) -> Matrix:
    """Mean of every run of `length` neighbours along the last axis."""
    return np.lib.stride_tricks.sliding_window_view(values, length, axis=-1).mean(axis=-1)


def _mean_of(values: Matrix, chosen: Matrix) -> Matrix:
    """Mean of the chosen sections of all vessels of a patient; NaN where none is."""
    count = chosen.sum(axis=(2, 3))
    total = (values * chosen).sum(axis=(2, 3))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
