// Places: voxel ijk of the picture, RAS mm of its file, LPS mm of everything said to the server.

/** Inverse of an affine given as four rows of four. */
export function inverse(m) {
  const [[a, b, c, x], [d, e, f, y], [g, i, j, z]] = m;
  const det = a * (e * j - f * i) - b * (d * j - f * g) + c * (d * i - e * g);
  const r = [
    [(e * j - f * i) / det, (c * i - b * j) / det, (b * f - c * e) / det],
    [(f * g - d * j) / det, (a * j - c * g) / det, (c * d - a * f) / det],
    [(d * i - e * g) / det, (b * g - a * i) / det, (a * e - b * d) / det],
  ];
  return [...r.map((row) => [...row, -(row[0] * x + row[1] * y + row[2] * z)]), [0, 0, 0, 1]];
}

export const apply = (m, p) => [0, 1, 2].map((r) => m[r][0] * p[0] + m[r][1] * p[1] + m[r][2] * p[2] + m[r][3]);

const turned = ([x, y, z]) => [-x, -y, z];

/** A grid: voxel ijk to LPS mm and back. */
export class Grid {
  constructor(shape, affineRas) {
    this.shape = shape;
    this.affine = affineRas;
    this.inverse = inverse(affineRas);
    this.voxelsMm = [0, 1, 2].map((c) => Math.hypot(affineRas[0][c], affineRas[1][c], affineRas[2][c]));
  }

  lps(ijk) {
    return turned(apply(this.affine, ijk));
  }

  ijk(lpsMm) {
    return apply(this.inverse, turned(lpsMm));
  }

  /** Nearest voxel inside the grid. */
  nearest(ijk) {
    return ijk.map((value, axis) => Math.min(Math.max(Math.round(value), 0), this.shape[axis] - 1));
  }

  holds(ijk) {
    return ijk.every((value, axis) => value >= -0.5 && value < this.shape[axis] - 0.5);
  }

  /** Place in a flat array that runs through i fastest. */
  flat([i, j, k]) {
    return i + this.shape[0] * (j + this.shape[1] * k);
  }
}

/** The planes: which axes run across and up a picture, which one is scrolled, and the letters at the edges. */
export const PLANES = {
  axial: { type: 0, across: 0, up: 1, through: 2, left: "R", right: "L", top: "A", bottom: "P" },
  coronal: { type: 1, across: 0, up: 2, through: 1, left: "R", right: "L", top: "H", bottom: "F" },
  sagittal: { type: 2, across: 1, up: 2, through: 0, left: "A", right: "P", top: "H", bottom: "F" },
};
export const PLANE_NAMES = Object.keys(PLANES);
