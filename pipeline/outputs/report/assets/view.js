const colourOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// What the map and the gallery draw: a view is a centre in scene pixels, a zoom and a size.
Object.assign(SceneMap.prototype, {
  drawView(context, view, on) {
    this.drawGround(context, view, on);
    for (const _ of this.overlay(context, view, on));
    this.drawChosen(context, view);
  },

  drawGround(context, view, on) {
    context.fillStyle = colourOf("map");
    context.fillRect(0, 0, view.width, view.height);
    if (on.scene) this.drawTiles(context, view);
    if (this.holes.n) this.drawHoles(context, view, colourOf("ink"));
  },

  // Outlines, a few at a time, so that whoever draws may pause in between.
  *overlay(context, view, on) {
    const dim = on.scene ? 0.22 : 0.4, colour = colourOf;
    if (this.aoi) yield* this.drawShapes(context, view, this.aoi, null, { stroke: colour("ink"), width: 1.5, dash: [8, 5] });
    if (on.reference) yield* this.drawShapes(context, view, this.reference, null, { stroke: colour("reference"), width: 1.6 });
    if (on.predicted) yield* this.drawShapes(context, view, this.predicted, null, { stroke: colour("predicted"), width: 1.6 });
    if (on.tp) yield* this.drawShapes(context, view, this.predicted, 1, { stroke: colour("tp"), width: 1.8, fill: dim });
    if (on.fn) yield* this.drawShapes(context, view, this.reference, 0, { stroke: colour("fn"), width: 1.8, fill: dim, dash: [5, 3] });
    if (on.fp) yield* this.drawShapes(context, view, this.predicted, 0, { stroke: colour("fp"), width: 1.8, fill: dim });
  },

  drawChosen(context, view) {
    if (!this.chosen) return;
    const [side, row] = this.chosen;
    this.trace(context, view, this[side], [row]);
    context.setLineDash([]);
    context.lineWidth = 5;
    context.strokeStyle = "rgba(0,0,0,.65)";
    context.stroke();
    context.lineWidth = 2.5;
    context.strokeStyle = "#fff";
    context.stroke();
  },

  // Stripes where there is no prediction.
  drawHoles(context, view, ink) {
    const rows = Array.from({ length: this.holes.n }, (_, row) => row);
    context.save();
    this.trace(context, view, this.holes, rows);
    context.clip("evenodd");
    context.globalAlpha = 0.6;
    context.strokeStyle = ink;
    context.lineWidth = 1.2;
    context.beginPath();
    for (let x = -view.height; x < view.width; x += 9) {
      context.moveTo(x, view.height);
      context.lineTo(x + view.height, 0);
    }
    context.stroke();
    context.restore();
  },

  drawTiles(context, view) {
    const { tile, levels } = this.map.pyramid, screen = Math.min(2, devicePixelRatio || 1);
    let wanted = levels.length - 1;
    while (wanted > 0 && levels[wanted].scale * view.zoom * screen > 1.3) wanted--;
    context.imageSmoothingEnabled = view.zoom < 3;
    // Coarse levels first: they stand in for finer tiles that are not decoded yet.
    for (let level = levels.length - 1; level >= wanted; level--) {
      if (level !== wanted && level !== levels.length - 1) continue;
      const { scale, rows, cols, tiles } = levels[level], side = tile * scale;
      const across = Math.ceil(cols / tile), down = Math.ceil(rows / tile);
      const left = view.x - view.width / 2 / view.zoom, top = view.y - view.height / 2 / view.zoom;
      const lastCol = Math.min(across - 1, Math.floor((left + view.width / view.zoom) / side));
      const lastRow = Math.min(down - 1, Math.floor((top + view.height / view.zoom) / side));
      for (let row = Math.max(0, Math.floor(top / side)); row <= lastRow; row++) {
        for (let col = Math.max(0, Math.floor(left / side)); col <= lastCol; col++) {
          const image = this.image(level, row * across + col, tiles);
          if (!image) continue;
          const x0 = Math.floor((col * side - left) * view.zoom), y0 = Math.floor((row * side - top) * view.zoom);
          const x1 = Math.ceil((col * side + image.width * scale - left) * view.zoom);
          const y1 = Math.ceil((row * side + image.height * scale - top) * view.zoom);
          context.drawImage(image, x0, y0, x1 - x0, y1 - y0);
        }
      }
    }
  },

  image(level, place, tiles) {
    const key = level * 1e6 + place;
    let image = this.images.get(key);
    if (!image) {
      image = new Image();
      image.decoding = "async";
      image.onload = () => {
        this.request();
        if (this.onTile) this.onTile();
      };
      image.src = "data:image/jpeg;base64," + tiles[place];
      if (this.images.size > 160) this.images.delete(this.images.keys().next().value);
    } else this.images.delete(key);
    this.images.set(key, image);
    return image.complete && image.naturalWidth ? image : null;
  },

  *drawShapes(context, view, shapes, status, look) {
    const left = view.x - view.width / 2 / view.zoom, right = view.x + view.width / 2 / view.zoom;
    const top = view.y - view.height / 2 / view.zoom, bottom = view.y + view.height / 2 / view.zoom;
    const rows = [], specks = [], boxes = shapes.boxes, speck = 2.5 / view.zoom;
    for (let row = 0, b = 0; row < shapes.n; row++, b += 4) {
      if (status !== null && shapes.status[row] !== status) continue;
      if (boxes[b] > right || boxes[b + 2] < left || boxes[b + 1] > bottom || boxes[b + 3] < top) continue;
      (boxes[b + 2] - boxes[b] < speck && boxes[b + 3] - boxes[b + 1] < speck ? specks : rows).push(row);
    }
    context.fillStyle = context.strokeStyle = look.stroke;
    context.lineJoin = "round";
    for (let from = 0; from < specks.length; from++) {
      const b = 4 * specks[from];
      context.fillRect((boxes[b] - left) * view.zoom, (boxes[b + 1] - top) * view.zoom, 2, 2);
      if (from % 500 === 499) yield;
    }
    // One path for some hundreds at a time: one for all is slow to fill.
    for (let from = 0; from < rows.length; from += 300) {
      this.trace(context, view, shapes, rows.slice(from, from + 300));
      if (look.fill) {
        context.globalAlpha = look.fill;
        context.fill("evenodd");
        context.globalAlpha = 1;
      }
      const thick = Math.min(look.width, Math.max(0.6, view.zoom * 6));
      context.setLineDash(look.dash && view.zoom > 0.25 && rows.length < 4000 ? look.dash : []);
      context.lineWidth = thick;
      context.stroke();
      if (from + 300 < rows.length) yield;
    }
    context.setLineDash([]);
  },

  trace(context, view, shapes, rows) {
    const { points, firstRing, firstPoint } = shapes, zoom = view.zoom;
    const dx = view.width / 2 - view.x * zoom, dy = view.height / 2 - view.y * zoom;
    context.beginPath();
    for (const row of rows) {
      for (let ring = firstRing[row]; ring < firstRing[row + 1]; ring++) {
        const from = firstPoint[ring], to = firstPoint[ring + 1];
        context.moveTo(points[2 * from] * zoom + dx, points[2 * from + 1] * zoom + dy);
        for (let i = from + 1; i < to; i++) context.lineTo(points[2 * i] * zoom + dx, points[2 * i + 1] * zoom + dy);
        context.closePath();
      }
    }
  },
});
