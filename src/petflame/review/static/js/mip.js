// Maximum intensity projection of the PET from the front and from the side, in inverse grey.

import { PLANES } from "./geometry.js";

/** Largest share of a voxel that the PET's axes may lean against the CT's; beyond, a projection would lie. */
const LEAN = 0.02;

export class Mip {
  constructor(viewer) {
    const { pet, grid } = viewer;
    const middle = grid.shape.map((n) => n / 2);
    const place = (p) => pet.grid.ijk(grid.lps(p));
    const origin = place(middle);
    // PET voxels for one CT voxel along each axis.
    this.scale = [0, 1, 2].map((axis) => {
      const moved = middle.map((value, n) => value + (n === axis ? 1 : 0));
      return place(moved).map((value, n) => value - origin[n]);
    });
    this.upright = this.scale.every((row, axis) =>
      row.every((value, n) => n === axis || Math.abs(value) <= LEAN * Math.abs(row[axis])));
    this.pet = pet;
    this.projections = {};
  }

  project(name) {
    if (this.projections[name]) return this.projections[name];
    const { across, up, through } = PLANES[name];
    const { shape, data, slope, offset } = this.pet;
    const strides = [1, shape[0], shape[0] * shape[1]];
    const values = new Float32Array(shape[across] * shape[up]).fill(-Infinity);
    const where = new Int16Array(values.length);
    for (let v = 0; v < shape[up]; v += 1) {
      for (let u = 0; u < shape[across]; u += 1) {
        const base = u * strides[across] + v * strides[up];
        const at = v * shape[across] + u;
        for (let w = 0; w < shape[through]; w += 1) {
          const value = data[base + w * strides[through]];
          if (value > values[at]) [values[at], where[at]] = [value, w];
        }
      }
    }
    for (let n = 0; n < values.length; n += 1) values[n] = values[n] * slope + offset;
    this.projections[name] = { values, where, width: shape[across], height: shape[up] };
    return this.projections[name];
  }

  picture(name, top) {
    const projection = this.project(name);
    if (projection.top === top) return projection.canvas;
    const { values, width, height } = projection;
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [width, height];
    const pixels = new ImageData(width, height);
    for (let n = 0; n < values.length; n += 1) {
      const grey = 255 * (1 - Math.min(Math.max(values[n] / top, 0), 1));
      pixels.data.set([grey, grey, grey, 255], 4 * n);
    }
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    [projection.canvas, projection.top] = [canvas, top];
    return canvas;
  }

  /** Draw over a plane; false where this plane shows no projection. */
  draw(context, viewer, tile) {
    if (tile.name === "axial" || !this.upright) return false;
    const { across, up } = tile.plane;
    const picture = this.picture(tile.name, viewer.show.suvTop);
    context.save();
    context.fillStyle = "#ffffff";
    context.fillRect(tile.left, tile.top, tile.width, tile.height);
    // Pixel (0, 0) of the projection is a corner of its first voxel.
    const corner = (u, v) => {
      const p = [0, 0, 0];
      [p[across], p[up]] = [u - 0.5, v - 0.5];
      return viewer.pixelOf(tile, viewer.grid.ijk(this.pet.grid.lps(p)));
    };
    const [x0, y0] = corner(0, 0);
    const [x1, y1] = corner(picture.width, picture.height);
    context.translate(x0, y0);
    context.scale((x1 - x0) / picture.width, (y1 - y0) / picture.height);
    context.imageSmoothingEnabled = true;
    context.drawImage(picture, 0, 0);
    context.restore();
    return true;
  }

  /** CT voxel place of what is seen at a place of the projection. */
  hottest(viewer, tile, place) {
    const { across, up, through } = tile.plane;
    const { where, width, height } = this.project(tile.name);
    const pet = this.pet.grid.ijk(viewer.grid.lps(place)).map(Math.round);
    const [u, v] = [pet[across], pet[up]];
    if (u < 0 || v < 0 || u >= width || v >= height) return place;
    const found = [0, 0, 0];
    [found[across], found[up], found[through]] = [u, v, where[v * width + u]];
    const seen = viewer.grid.ijk(this.pet.grid.lps(found));
    const result = [...place];
    result[through] = seen[through];
    return result;
  }
}
