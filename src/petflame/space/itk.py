"""Handing images to SimpleITK."""

from __future__ import annotations

from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813

from petflame.space.grid import Volume


def image_of(volume: Volume) -> Any:
    """Return an image of SimpleITK at the same place in patient space (LPS mm)."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.data.transpose(2, 1, 0)))
    to_lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.grid.affine
    spacing = np.linalg.norm(to_lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(to_lps[:3, 3].tolist())
    image.SetDirection((to_lps[:3, :3] / spacing).ravel().tolist())
    return image
