// The picture: NiiVue draws CT and PET in three planes; where each voxel lies on the screen is asked of NiiVue.

import { Grid, PLANES, PLANE_NAMES } from "./geometry.js";
import { TOPS, WINDOWS } from "./look.js";

let library = null;

/** Load NiiVue once; it is the largest file of the page. */
export function loadNiivue() {
  library ??= new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = new URL("../vendor/niivue.umd.js", import.meta.url).href;
    script.onload = () => done(window.niivue);
    script.onerror = () => {
      library = null;
      failed(new Error("the viewer could not be loaded"));
    };
    document.head.append(script);
  });
  return library;
}

const OPTIONS = {
  interactive: false,
  dragAndDropEnabled: false,
  isRadiologicalConvention: true,
  sagittalNoseLeft: true,
  isOrientationTextVisible: false,
  crosshairWidth: 0,
  show3Dcrosshair: false,
  multiplanarShowRender: 0,
  isResizeCanvas: false,
  loadingText: "",
  backColor: [0, 0, 0, 1],
  logLevel: "error",
};

/** Height of the curve under the axial plane, and the least share of the width that the axial plane has. */
export const STRIP_PX = 150;
const LEAST_AXIAL = 0.44;
/** A lower picture has the curve below it, outside. */
export const LEAST_HEIGHT_PX = 430;
const INVERSE = "inverse_grey";

/** CT and PET of one visit on a canvas. Places are voxels of the CT's grid unless they say LPS mm. */
export class Viewer {
  constructor(canvas) {
    this.canvas = canvas;
    this.tiles = {};
    this.single = null;
    this.axialShare = LEAST_AXIAL;
    this.zoom = 1;
    this.pan = [0, 0, 0];
    this.show = { mode: "fused", opacity: 0.5, window: "soft", suvTop: 5 };
    this.at = [0, 0, 0];
    this.drawn = () => {};
  }

  /** Make the drawing itself ready; it takes a second that need not wait for the images. */
  prepare(niivue) {
    this.ready ??= (async () => {
      const nv = new niivue.Niivue(OPTIONS);
      await nv.attachToCanvas(this.canvas, false);
      nv.addColormap(INVERSE, { R: [255, 0], G: [255, 0], B: [255, 0], A: [255, 255], I: [0, 255] });
      // Gradients light a volume in 3-D, which is not shown here; in software they cost four times what colouring does.
      nv.blurShader = nv.sobelFirstOrderShader = drawsNothing(nv.gl);
      this.nv = nv;
    })();
    return this.ready;
  }

  /** Show a visit; `buffers` holds promises of the bytes of ct and pet. */
  async open(niivue, buffers, grid, isSuv) {
    this.grid = grid;
    const { low, high } = WINDOWS[this.show.window];
    const load = async (name, more) => {
      const url = `${name}.nii.gz`;
      return niivue.NVImage.loadFromUrl({ url, name: url, buffer: await buffers[name], ...more });
    };
    const [ct, pet] = await Promise.all([
      load("ct", { colormap: "gray", cal_min: low, cal_max: high }),
      load("pet", { colormap: this.petColours(), cal_min: 0, cal_max: this.show.suvTop }),
      this.prepare(niivue),
    ]);
    this.ct = valuesOf(ct, grid);
    this.pet = valuesOf(pet);
    this.isSuv = isSuv;
    if (!isSuv || !TOPS.includes(this.show.suvTop)) this.show.suvTop = isSuv ? 5 : Number(this.pet.high.toPrecision(2));
    [pet.cal_min, pet.cal_max] = [0, this.show.suvTop];
    // Both at once: each call of addVolume would colour all of them.
    Object.assign(this.nv, { volumes: [ct, pet], back: ct, overlays: [pet] });
    this.nv.updateGLVolume();
    this.setAt(grid.shape.map((size) => Math.floor(size / 2)));
    this.fit();
  }

  petColours() {
    return this.show.mode === "pet" ? INVERSE : "hot";
  }

  /** Lay out the planes over the canvas as it is now. */
  fit() {
    const box = this.canvas.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    this.ratio = ratio;
    this.size = [box.width, box.height];
    this.canvas.width = Math.max(1, Math.round(box.width * ratio));
    this.canvas.height = Math.max(1, Math.round(box.height * ratio));
    if (!this.nv?.volumes.length) return;
    this.nv.gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    this.nv.setCustomLayout(this.layout());
    this.redraw();
  }

  /** Places of the planes as shares of the canvas. The strip under the axial plane is left to the profile. */
  layout() {
    const [width, height] = this.size;
    const at = (plane, x, y, w, h) => ({ sliceType: PLANES[plane].type, position: [x, y, w, h] });
    if (this.single) return [at(this.single, 0, 0, 1, 1)];
    if (width < 1.05 * height) {
      const top = 0.5;
      return [at("axial", 0, 0, 1, top), at("coronal", 0, top, 0.5, 1 - top), at("sagittal", 0.5, top, 0.5, 1 - top)];
    }
    const strip = height < LEAST_HEIGHT_PX ? 0 : STRIP_PX / height;
    // Coronal and sagittal side by side at one scale, no wider than they can use.
    const [x, y, z] = this.grid.shape.map((size, axis) => size * this.grid.voxelsMm[axis]);
    const upright = Math.min(((x + y) * height) / z / width, 1 - LEAST_AXIAL);
    const coronal = (upright * x) / (x + y);
    this.axialShare = 1 - upright;
    return [at("axial", 0, 0, 1 - upright, 1 - strip), at("coronal", 1 - upright, 0, coronal, 1), at("sagittal", 1 - upright + coronal, 0, upright - coronal, 1)];
  }

  /** Draw now. */
  redraw() {
    if (!this.nv?.volumes.length) return;
    const shape = this.grid.shape;
    this.nv.scene.crosshairPos = this.at.map((value, axis) => (Math.round(value) + 0.5) / shape[axis]);
    this.nv.scene.pan2Dxyzmm = [...this.pan, this.zoom];
    const modes = { fused: this.show.opacity, pet: 1, ct: 0, mip: this.show.opacity };
    this.nv.overlayAlphaShader = modes[this.show.mode];
    this.nv.drawScene();
    this.locate();
    this.drawn();
  }

  /** Draw once before the next frame, however often it is asked for. */
  later() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = null;
      this.redraw();
    });
  }

  /** Ask NiiVue where each plane lies: voxel = origin + step * pixel, in CSS pixels. */
  locate() {
    this.tiles = {};
    this.nv.screenSlices.forEach((slice, index) => {
      const name = PLANE_NAMES[slice.axCorSag];
      const plane = PLANES[name];
      let [left, top, width, height] = slice.leftTopWidthHeight;
      if (width < 0) [left, width] = [left + width, -width];
      const [x0, y0, x1, y1] = [left + width * 0.25, top + height * 0.25, left + width * 0.75, top + height * 0.75];
      const voxel = (x, y) => {
        const part = this.nv.screenXY2TextureFrac(x, y, index, false);
        return [0, 1, 2].map((axis) => part[axis] * this.grid.shape[axis] - 0.5);
      };
      const [a, b] = [voxel(x0, y0), voxel(x1, y1)];
      const r = this.ratio;
      const stepX = ((b[plane.across] - a[plane.across]) / (x1 - x0)) * r;
      const stepY = ((b[plane.up] - a[plane.up]) / (y1 - y0)) * r;
      this.tiles[name] = {
        name,
        plane,
        left: left / r,
        top: top / r,
        width: width / r,
        height: height / r,
        stepX,
        stepY,
        originX: a[plane.across] - (stepX * x0) / r,
        originY: a[plane.up] - (stepY * y0) / r,
      };
    });
  }

  tileAt(x, y) {
    return Object.values(this.tiles).find(
      (t) => x >= t.left && x < t.left + t.width && y >= t.top && y < t.top + t.height,
    ) ?? null;
  }

  /** Voxel place under a pixel of a plane, at the level that is shown there (or at `through`). */
  voxelAt(tile, x, y, through = Math.round(this.at[tile.plane.through])) {
    const place = [0, 0, 0];
    place[tile.plane.across] = tile.originX + tile.stepX * x;
    place[tile.plane.up] = tile.originY + tile.stepY * y;
    place[tile.plane.through] = through;
    return place;
  }

  /** Pixel of a voxel place in a plane. */
  pixelOf(tile, place) {
    return [
      (place[tile.plane.across] - tile.originX) / tile.stepX,
      (place[tile.plane.up] - tile.originY) / tile.stepY,
    ];
  }

  setAt(place) {
    this.at = this.grid.nearest(place);
    this.follow();
    this.later();
  }

  /** Place in the millimetres that NiiVue zooms and moves: along the axes of the voxels. */
  mm(place) {
    const part = place.map((value, axis) => (value + 0.5) / this.grid.shape[axis]);
    return this.nv.volumes[0].convertFrac2MM(part, false);
  }

  /** Zoom by `factor`; what is under a pixel stays there, and the crosshair in the other planes. */
  zoomBy(factor, tile = null, x = 0, y = 0) {
    const held = this.mm(tile ? this.voxelAt(tile, x, y) : this.at);
    const before = this.zoom;
    this.zoom = Math.min(Math.max(before * factor, 1), 12);
    this.pan = this.zoom === 1 ? [0, 0, 0] : this.pan.map((moved, axis) => moved + held[axis] * (before - this.zoom));
    this.redraw();
  }

  /** Move the picture under the glass by pixels. */
  panBy(tile, dx, dy) {
    const { across, up } = tile.plane;
    this.pan[across] += dx * tile.stepX * this.grid.voxelsMm[across] * this.zoom;
    this.pan[up] += dy * tile.stepY * this.grid.voxelsMm[up] * this.zoom;
    this.redraw();
  }

  /** Bring back the crosshair where it has left a zoomed plane. */
  follow() {
    if (this.zoom === 1) return;
    const [here, middle] = [this.mm(this.at), this.mm(this.grid.shape.map((size) => (size - 1) / 2))];
    for (const tile of Object.values(this.tiles)) {
      const [x, y] = this.pixelOf(tile, this.at);
      const lost = [];
      if (x < tile.left || x > tile.left + tile.width) lost.push(tile.plane.across);
      if (y < tile.top || y > tile.top + tile.height) lost.push(tile.plane.up);
      for (const axis of lost) this.pan[axis] = middle[axis] - here[axis] * this.zoom;
    }
  }

  /** CT window, PET window, opacity or what is shown; what NiiVue must colour anew is done once a frame. */
  set(changes) {
    const before = { ...this.show };
    Object.assign(this.show, changes);
    if (!this.nv?.volumes.length) return;
    const [ct, pet] = this.nv.volumes;
    const { low, high } = WINDOWS[this.show.window];
    const petColours = this.petColours();
    const ctChanged = ct.cal_min !== low || ct.cal_max !== high;
    const petChanged = before.suvTop !== this.show.suvTop || pet.colormap !== petColours;
    if (ctChanged || petChanged) {
      [ct.cal_min, ct.cal_max] = [low, high];
      [pet.cal_min, pet.cal_max] = [0, this.show.suvTop];
      pet.colormap = petColours;
      // What has not changed keeps its colours: in software each takes about a second.
      if (ctChanged) this.nv.refreshLayers(ct, 0);
      if (petChanged) this.nv.refreshLayers(pet, 1);
    }
    this.later();
  }

  /** SUV and HU at a voxel place of the CT; null outside. */
  valuesAt(place) {
    const lps = this.grid.lps(place);
    return { hu: this.ct?.at(place) ?? null, suv: this.pet?.at(this.pet.grid.ijk(lps)) ?? null, lps };
  }
}

/** A shader in the form of NiiVue's that leaves every pixel alone. */
function drawsNothing(gl) {
  const program = gl.createProgram();
  const add = (type, source) => {
    const shader = gl.createShader(type);
    gl.shaderSource(shader, `#version 300 es\nprecision highp float;\n${source}`);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  };
  add(gl.VERTEX_SHADER, "void main() { gl_Position = vec4(2.0, 2.0, 2.0, 1.0); }");
  add(gl.FRAGMENT_SHADER, "out vec4 colour; void main() { colour = vec4(0.0); }");
  gl.linkProgram(program);
  return { program, uniforms: {}, use: () => gl.useProgram(program) };
}

/** Values of a loaded picture by voxel place, in the order of its file. */
function valuesOf(image, grid = null) {
  const header = image.hdr;
  const shape = header.dims.slice(1, 4);
  const own = grid ?? new Grid(shape, header.affine);
  const slope = header.scl_slope || 1;
  const offset = header.scl_inter || 0;
  return {
    grid: own,
    shape,
    data: image.img,
    slope,
    offset,
    high: image.robust_max ?? image.global_max,
    at(place) {
      if (!own.holds(place)) return null;
      return image.img[own.flat(own.nearest(place))] * slope + offset;
    },
  };
}
