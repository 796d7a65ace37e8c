"""petflame: arterial inflammation from FDG PET/CT, from DICOM to a percentage reduction per arm."""

__version__ = "0.2.0"
