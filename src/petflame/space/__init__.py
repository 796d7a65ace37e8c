"""Geometry that every room stands on: grids, axis order, boxes, lines, boundaries of masks. RAS mm unless said."""
