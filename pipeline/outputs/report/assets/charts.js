// Plots over the unit square, as inline SVG.
const SIZE = 300, PAD = { left: 56, right: 10, top: 10, bottom: 40 };

function frameOf(label, xTitle, yTitle) {
  const width = SIZE + PAD.left + PAD.right, height = SIZE + PAD.top + PAD.bottom;
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  const x = (value) => PAD.left + SIZE * value, y = (value) => PAD.top + SIZE * (1 - value);
  for (let tick = 0; tick <= 1.001; tick += 0.25) {
    svg.append(draw("line", { class: "grid", x1: x(0), x2: x(1), y1: y(tick), y2: y(tick) }),
      draw("line", { class: "grid", y1: y(0), y2: y(1), x1: x(tick), x2: x(tick) }),
      draw("text", { x: x(0) - 8, y: y(tick) + 4, "text-anchor": "end" }, tick.toFixed(2)),
      draw("text", { x: x(tick), y: y(0) + 17, "text-anchor": "middle" }, tick.toFixed(2)));
  }
  svg.append(draw("text", { x: x(0.5), y: y(0) + 36, "text-anchor": "middle", class: "strong" }, xTitle),
    draw("text", { x: 0, y: 0, class: "strong", "text-anchor": "middle",
      transform: `translate(10 ${y(0.5)}) rotate(-90)` }, yTitle));
  return { svg, x, y };
}

function pathOf(points, x, y) {
  return points.map(([px, py], i) => `${i ? "L" : "M"}${x(px).toFixed(1)} ${y(py).toFixed(1)}`).join("");
}

function isoF1(plot) {
  for (const f1 of [0.2, 0.4, 0.6, 0.8]) {
    const points = [];
    for (let recall = f1 / (2 - f1); recall <= 1.0001; recall += 0.02) {
      points.push([Math.min(1, recall), (f1 * recall) / (2 * recall - f1)]);
    }
    plot.svg.append(draw("path", { class: "ideal", d: pathOf(points, plot.x, plot.y) }),
      draw("text", { x: plot.x(1) - 3, y: plot.y(f1 / (2 - f1)) - 4, "text-anchor": "end", class: "halo" }, `F1 ${f1}`));
  }
}

function curveChart(curves, points) {
  const plot = frameOf("Precision against recall", "recall", "precision");
  isoF1(plot);
  for (const kind of ["pixels", "objects"]) {
    const rows = curves[kind] || [];
    if (!rows.length) continue;
    const line = rows.map(([, precision, recall]) => [recall, precision]);
    plot.svg.append(draw("path", { class: `line s-${kind}`, d: pathOf(line, plot.x, plot.y) }));
    const best = points[kind] && points[kind].best_f1;
    if (best && known(best.threshold)) {
      plot.svg.append(draw("circle", { class: `f-${kind}`, r: 5, cx: plot.x(best.recall), cy: plot.y(best.precision) }));
    }
  }
  return plot.svg;
}

function calibrationChart(calibration) {
  const plot = frameOf("Calibration", "predicted confidence", "observed share of correct ones");
  const most = Math.max(1, ...calibration.bins.map((bin) => bin.count));
  const full = calibration.bins.filter((bin) => known(bin.observed));
  for (const bin of full) {
    const high = 0.2 * (bin.count / most), width = plot.x(bin.to) - plot.x(bin.from) - 3;
    plot.svg.append(draw("rect", { class: "bar", x: plot.x(bin.from) + 1.5, y: plot.y(high), width,
      height: plot.y(0) - plot.y(high) }));
  }
  plot.svg.append(draw("line", { class: "ideal", x1: plot.x(0), y1: plot.y(0), x2: plot.x(1), y2: plot.y(1) }),
    draw("path", { class: "line s-objects", d: pathOf(full.map((bin) => [bin.predicted, bin.observed]), plot.x, plot.y) }));
  for (const bin of full) {
    plot.svg.append(draw("circle", { class: bin.count < 10 ? "few" : "f-objects", r: 4, cx: plot.x(bin.predicted), cy: plot.y(bin.observed) }));
  }
  return plot.svg;
}

function sweepChart(sweep) {
  const plot = frameOf("F1 against IoU", "IoU that a match must reach", "score");
  for (const [name, kind] of [["precision", "precision"], ["recall", "recall"], ["f1", "objects"]]) {
    const line = sweep.filter((row) => known(row[name])).map((row) => [row.iou, row[name]]);
    if (!line.length) continue;
    plot.svg.append(draw("path", { class: `line s-${kind}`, d: pathOf(line, plot.x, plot.y) }));
  }
  return plot.svg;
}

function plotted(title, svg, caption) {
  return make("figure", {}, make("h3", {}, title), svg, make("figcaption", {}, caption));
}
