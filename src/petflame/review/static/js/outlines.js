// Outlines of a label in a slice: along the edges of its voxels, with the corners cut halfway.

/**
 * Closed lines around `label` in a slice.
 *
 * Each line is a flat list of (across, up) places in voxels; a voxel reaches half a voxel to each side of its
 * centre. Edges run with the label on their left, and at a place where four meet the line turns left, so regions that
 * touch at a corner keep outlines of their own.
 */
export function outlines(slice, label, box) {
  const { width, height, base, across, up, data } = slice;
  const inside = (x, y) => x >= 0 && y >= 0 && x < width && y < height && data[base + x * across + y * up] === label;
  const columns = width + 1;
  const next = new Map();
  const put = (x0, y0, x1, y1) => {
    const from = y0 * columns + x0;
    if (!next.has(from)) next.set(from, []);
    next.get(from).push([x1, y1]);
  };
  for (let y = box[1]; y <= box[3]; y += 1) {
    for (let x = box[0]; x <= box[2]; x += 1) {
      if (!inside(x, y)) continue;
      if (!inside(x, y - 1)) put(x, y, x + 1, y);
      if (!inside(x + 1, y)) put(x + 1, y, x + 1, y + 1);
      if (!inside(x, y + 1)) put(x + 1, y + 1, x, y + 1);
      if (!inside(x - 1, y)) put(x, y + 1, x, y);
    }
  }
  const lines = [];
  for (const start of next.keys()) {
    while (next.get(start).length) lines.push(follow(next, start, columns));
  }
  return lines;
}

function follow(next, start, columns) {
  const line = [];
  let [x, y] = [start % columns, Math.floor(start / columns)];
  let [dx, dy] = [0, 0];
  for (;;) {
    const ways = next.get(y * columns + x);
    if (!ways || !ways.length) return line;
    let pick = 0;
    if (ways.length > 1) pick = ways.findIndex(([tx, ty]) => dx * (ty - y) - dy * (tx - x) > 0);
    const [[tx, ty]] = ways.splice(Math.max(pick, 0), 1);
    [dx, dy] = [tx - x, ty - y];
    line.push((x + tx) / 2 - 0.5, (y + ty) / 2 - 0.5);
    [x, y] = [tx, ty];
    if (y * columns + x === start) return line;
  }
}

/** Which labels a slice holds, each with its box [x0, y0, x1, y1]. */
export function boxes(slice) {
  const { width, height, base, across, up, data } = slice;
  const found = new Map();
  for (let y = 0; y < height; y += 1) {
    for (let x = 0, at = base + y * up; x < width; x += 1, at += across) {
      const label = data[at];
      if (!label) continue;
      const box = found.get(label);
      if (!box) found.set(label, [x, y, x, y]);
      else {
        if (x < box[0]) box[0] = x;
        if (x > box[2]) box[2] = x;
        box[3] = y;
      }
    }
  }
  return found;
}
