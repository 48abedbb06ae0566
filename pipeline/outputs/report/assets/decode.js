// Numbers and polygons from the text that encode.py writes.
function bytesOf(text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

function floatsOf(text) {
  return new Float32Array(bytesOf(text).buffer);
}

function varintsOf(text) {
  const bytes = bytesOf(text);
  const found = new Uint32Array(bytes.length);
  let size = 0, value = 0, shift = 1;
  for (let i = 0; i < bytes.length; i++) {
    value += (bytes[i] & 127) * shift;
    if (bytes[i] & 128) { shift *= 128; continue; }
    found[size++] = value;
    value = 0;
    shift = 1;
  }
  return found.subarray(0, size);
}

// Returns rings of all polygons in flat arrays, and each polygon's box.
function polygonsOf(coded) {
  const counts = varintsOf(coded.counts), steps = varintsOf(coded.points), n = coded.n;
  const points = new Float32Array(steps.length);
  const firstRing = new Uint32Array(n + 1), firstPoint = [0], boxes = new Float32Array(4 * n);
  let x = 0, y = 0, at = 0, place = 0;
  for (let polygon = 0; polygon < n; polygon++) {
    let left = Infinity, top = Infinity, right = -Infinity, bottom = -Infinity;
    for (let rings = counts[place++]; rings > 0; rings--) {
      for (let size = counts[place++]; size > 0; size--) {
        x += (steps[at] >>> 1) ^ -(steps[at] & 1);
        y += (steps[at + 1] >>> 1) ^ -(steps[at + 1] & 1);
        const px = x / 4, py = y / 4;
        points[at] = px;
        points[at + 1] = py;
        at += 2;
        if (px < left) left = px;
        if (px > right) right = px;
        if (py < top) top = py;
        if (py > bottom) bottom = py;
      }
      firstPoint.push(at / 2);
    }
    firstRing[polygon + 1] = firstPoint.length - 1;
    boxes.set([left, top, right, bottom], 4 * polygon);
  }
  return { n, points, firstRing, firstPoint: Uint32Array.from(firstPoint), boxes };
}

// Even-odd test of a point against one polygon.
function holds(shapes, polygon, x, y) {
  let inside = false;
  for (let ring = shapes.firstRing[polygon]; ring < shapes.firstRing[polygon + 1]; ring++) {
    const from = shapes.firstPoint[ring], to = shapes.firstPoint[ring + 1];
    for (let i = from, j = to - 1; i < to; j = i++) {
      const xi = shapes.points[2 * i], yi = shapes.points[2 * i + 1];
      const xj = shapes.points[2 * j], yj = shapes.points[2 * j + 1];
      if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
    }
  }
  return inside;
}
