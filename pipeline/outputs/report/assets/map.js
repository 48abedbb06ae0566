// The scene with predictions and reference: tiles and outlines on one canvas.
const LAYERS = [
  ["scene", "Scene", true], ["tp", "Right", true], ["fp", "False positives", true],
  ["fn", "Misses", true], ["predicted", "All predictions", false], ["reference", "All reference outlines", false],
];

// With more outlines than these, drawing them takes longer than a frame.
const MANY = 4000;

class SceneMap {
  constructor(canvas, map) {
    this.canvas = canvas;
    this.map = map;
    this.on = Object.fromEntries(LAYERS.map(([name, , shown]) => [name, shown]));
    if (!map.pyramid) this.on.scene = false;
    this.predicted = { ...polygonsOf(map.predicted.shapes), status: bytesOf(map.predicted.status) };
    this.reference = { ...polygonsOf(map.reference.shapes), status: bytesOf(map.reference.status) };
    this.aoi = map.aoi ? polygonsOf(map.aoi) : null;
    this.holes = polygonsOf(map.holes);
    this.images = new Map();
    this.chosen = null;
    this.listen();
    this.fit();
  }

  listen() {
    const canvas = this.canvas, fingers = new Map();
    let moved = 0, spread = 0;
    new ResizeObserver(() => this.request()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.request());
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 16 : 1;
      this.zoomAt(event.offsetX, event.offsetY, Math.exp(-event.deltaY * lines * 0.0016));
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, [event.offsetX, event.offsetY]);
      moved = 0;
      spread = 0;
      canvas.classList.add("dragging");
    });
    canvas.addEventListener("pointermove", (event) => {
      const before = fingers.get(event.pointerId);
      if (!before) return;
      const now = [event.offsetX, event.offsetY];
      fingers.set(event.pointerId, now);
      moved += Math.abs(now[0] - before[0]) + Math.abs(now[1] - before[1]);
      this.x -= (now[0] - before[0]) / this.zoom / fingers.size;
      this.y -= (now[1] - before[1]) / this.zoom / fingers.size;
      if (fingers.size === 2) {
        const [[ax, ay], [bx, by]] = [...fingers.values()];
        const apart = Math.hypot(ax - bx, ay - by);
        if (spread) this.zoomAt((ax + bx) / 2, (ay + by) / 2, apart / spread);
        spread = apart;
      }
      this.request();
    });
    const lift = (event) => {
      if (!fingers.delete(event.pointerId)) return;
      spread = 0;
      if (!fingers.size) canvas.classList.remove("dragging");
      if (event.type === "pointerup" && moved < 5) this.pick(event.offsetX, event.offsetY);
    };
    canvas.addEventListener("pointerup", lift);
    canvas.addEventListener("pointercancel", lift);
    canvas.addEventListener("dblclick", (event) => this.zoomAt(event.offsetX, event.offsetY, 2));
    canvas.addEventListener("keydown", (event) => {
      const step = 80 / this.zoom;
      const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
      if (moves[event.key]) {
        this.x += moves[event.key][0];
        this.y += moves[event.key][1];
      } else if (event.key === "+" || event.key === "=") this.zoomBy(1.5);
      else if (event.key === "-") this.zoomBy(1 / 1.5);
      else return;
      event.preventDefault();
      this.request();
    });
  }

  fit() {
    const { clientWidth, clientHeight } = this.canvas;
    this.x = this.map.width / 2;
    this.y = this.map.height / 2;
    this.zoom = 0.96 * Math.min(clientWidth / this.map.width, clientHeight / this.map.height) || 1;
    this.request();
  }

  zoomBy(factor) {
    this.zoomAt(this.canvas.clientWidth / 2, this.canvas.clientHeight / 2, factor);
  }

  zoomAt(px, py, factor) {
    const low = 0.2 * Math.min(this.canvas.clientWidth / this.map.width, this.canvas.clientHeight / this.map.height);
    const zoom = Math.min(24, Math.max(low, this.zoom * factor));
    const dx = px - this.canvas.clientWidth / 2, dy = py - this.canvas.clientHeight / 2;
    this.x += dx / this.zoom - dx / zoom;
    this.y += dy / this.zoom - dy / zoom;
    this.zoom = zoom;
    this.request();
  }

  show(side, row) {
    const box = this[side].boxes.subarray(4 * row, 4 * row + 4);
    const size = Math.max(box[2] - box[0], box[3] - box[1], 12);
    this.x = (box[0] + box[2]) / 2;
    this.y = (box[1] + box[3]) / 2;
    this.zoom = Math.min(12, (0.3 * Math.min(this.canvas.clientWidth, this.canvas.clientHeight)) / size);
    this.chosen = [side, row];
    this.onPick(side, row);
    this.request();
  }

  pick(px, py) {
    const x = this.x + (px - this.canvas.clientWidth / 2) / this.zoom;
    const y = this.y + (py - this.canvas.clientHeight / 2) / this.zoom;
    this.chosen = null;
    for (const side of ["predicted", "reference"]) {
      const shapes = this[side];
      for (let row = 0; row < shapes.n && !this.chosen; row++) {
        const b = 4 * row, boxes = shapes.boxes;
        if (x < boxes[b] || x > boxes[b + 2] || y < boxes[b + 1] || y > boxes[b + 3]) continue;
        if (holds(shapes, row, x, y)) this.chosen = [side, row];
      }
    }
    this.onPick(...(this.chosen || [null, 0]));
    this.request();
  }

  request() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      this.paint();
    });
  }

  paint() {
    const ratio = Math.min(2, devicePixelRatio || 1), { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const view = { x: this.x, y: this.y, zoom: this.zoom, width, height };
    if (this.predicted.n + this.reference.n <= MANY) this.drawView(context, view, this.on);
    else {
      this.drawGround(context, view, this.on);
      this.drawLater(context, view, ratio);
      this.drawChosen(context, view);
    }
    this.onScale(this.zoom);
  }

  // Many outlines are drawn in slices of a few milliseconds, beside what is shown; until
  // they are there, those of the view before are moved and stretched.
  drawLater(context, view, ratio) {
    const key = JSON.stringify([view, this.on, ratio, matchMedia("(prefers-color-scheme: dark)").matches]), done = this.done;
    if (done) {
      const by = view.zoom / done.view.zoom, { view: old } = done;
      const left = (old.x - old.width / 2 / old.zoom - view.x) * view.zoom + view.width / 2;
      const top = (old.y - old.height / 2 / old.zoom - view.y) * view.zoom + view.height / 2;
      context.drawImage(done.canvas, left, top, old.width * by, old.height * by);
    }
    if (this.key === key) return;
    this.key = key;
    const canvas = document.createElement("canvas");
    canvas.width = this.canvas.width;
    canvas.height = this.canvas.height;
    const inner = canvas.getContext("2d");
    inner.setTransform(ratio, 0, 0, ratio, 0, 0);
    const steps = this.overlay(inner, view, { ...this.on });
    const slice = () => {
      if (this.key !== key) return;
      const until = performance.now() + 12;
      while (performance.now() < until) {
        if (!steps.next().done) continue;
        this.done = { canvas, view, key };
        this.request();
        return;
      }
      setTimeout(slice, 0);
    };
    setTimeout(slice, 80);
  }
}
