"""DICOM series to SUV and HU: headers, assembly, SUV, conversion."""
