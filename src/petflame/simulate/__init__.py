"""A simulated trial written as DICOM, with its truth."""
