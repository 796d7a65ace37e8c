// The label map on the picture's grid, and strokes of the brush over it.

export class Labels {
  /** @param {Uint8Array} data i fastest @param {number[]} shape */
  constructor(data, shape) {
    this.data = data;
    this.shape = shape;
    this.strokes = [];
  }

  /** Take the voxels of vessels as the server gives them: runs [start, length, ...], i fastest. */
  take(changed, labelOf) {
    this.without(() => {
      const gone = new Set(Object.keys(changed).map(labelOf));
      const data = this.data;
      for (let n = 0; n < data.length; n += 1) if (data[n] && gone.has(data[n])) data[n] = 0;
      for (const [vessel, runs] of Object.entries(changed)) {
        for (let n = 0; n < runs.length; n += 2) data.fill(labelOf(vessel), runs[n], runs[n] + runs[n + 1]);
      }
    });
  }

  /** Show a stroke before the server has answered; what is returned takes it away again. */
  preview(voxels, label, mode) {
    const stroke = { voxels, label, mode, before: null };
    this.strokes.push(stroke);
    this.lay(stroke);
    return () => this.without(() => {
      this.strokes = this.strokes.filter((other) => other !== stroke);
    });
  }

  /** Change the map under the strokes that wait for an answer, as if they were not there. */
  without(change) {
    for (const stroke of [...this.strokes].reverse()) stroke.voxels.forEach((n, at) => { this.data[n] = stroke.before[at]; });
    change();
    for (const stroke of this.strokes) this.lay(stroke);
  }

  lay(stroke) {
    stroke.before = stroke.voxels.map((n) => this.data[n]);
    for (const n of stroke.voxels) {
      if (stroke.mode === "add") this.data[n] = stroke.label;
      else if (this.data[n] === stroke.label) this.data[n] = 0;
    }
  }

  /** One slice as a function (across, up) -> label. */
  slice(plane, at) {
    const strides = [1, this.shape[0], this.shape[0] * this.shape[1]];
    const base = at * strides[plane.through];
    return {
      width: this.shape[plane.across],
      height: this.shape[plane.up],
      base,
      across: strides[plane.across],
      up: strides[plane.up],
      data: this.data,
    };
  }
}

/** Voxels as runs [start, length, ...] in rising order. */
export function runsOf(voxels) {
  const sorted = [...voxels].sort((a, b) => a - b);
  const runs = [];
  for (const n of sorted) {
    const last = runs.length - 2;
    if (last >= 0 && runs[last] + runs[last + 1] === n) runs[last + 1] += 1;
    else runs.push(n, 1);
  }
  return runs;
}

/** Voxels within `radiusMm` of the way from one place of a slice to the next, one slice thick. */
export function disc(grid, plane, from, to, radiusMm) {
  const [dx, dy] = [grid.voxelsMm[plane.across], grid.voxelsMm[plane.up]];
  const at = Math.round(from[plane.through]);
  const [ax, ay, bx, by] = [from[plane.across], from[plane.up], to[plane.across], to[plane.up]];
  const [rx, ry] = [Math.max(radiusMm / dx, 0.5), Math.max(radiusMm / dy, 0.5)];
  const found = new Set();
  const [lowX, highX] = span(ax, bx, rx, grid.shape[plane.across]);
  const [lowY, highY] = span(ay, by, ry, grid.shape[plane.up]);
  const place = [0, 0, 0];
  place[plane.through] = at;
  for (let y = lowY; y <= highY; y += 1) {
    for (let x = lowX; x <= highX; x += 1) {
      // In units of the brush, so that thick slices are painted as round as they can be.
      const [ux, uy, vx, vy] = [(bx - ax) / rx, (by - ay) / ry, (x - ax) / rx, (y - ay) / ry];
      const length = ux * ux + uy * uy;
      const t = length ? Math.min(Math.max((ux * vx + uy * vy) / length, 0), 1) : 0;
      if ((vx - t * ux) ** 2 + (vy - t * uy) ** 2 > 1) continue;
      place[plane.across] = x;
      place[plane.up] = y;
      found.add(grid.flat(place));
    }
  }
  return found;
}

function span(a, b, reach, size) {
  return [Math.max(Math.ceil(Math.min(a, b) - reach), 0), Math.min(Math.floor(Math.max(a, b) + reach), size - 1)];
}
