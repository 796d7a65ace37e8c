import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import phantoms


def dicom_like(grid):
    """The same space with columns to the patient's left and rows to the back, as DICOM stores axial images."""
    empty = phantoms.transformed(phantoms.Volume(np.zeros(grid.shape, np.uint8), grid), (0, 1, 2), (True, True, False))
    return empty.grid


@pytest.fixture(scope="session")
def grids():
    return {
        "ct": dicom_like(phantoms.grid((3.0, 3.0, 5.0))),
        "pet": dicom_like(phantoms.grid((4.0, 4.0, 3.0), low=(-71.0, -61.0, 1.0))),
    }


@pytest.fixture(scope="session")
def truth(grids):
    return {name: phantoms.label_map(grid) for name, grid in grids.items()}
