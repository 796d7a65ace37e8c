"""The tube phantom that the measurement's tests share."""

import pytest

import phantoms


@pytest.fixture(scope="session")
def labels():
    return phantoms.label_map(phantoms.CT)


@pytest.fixture(scope="session")
def pet():
    return phantoms.pet_image(phantoms.PET, phantoms.PEAKS)
