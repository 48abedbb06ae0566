// The page of one scene.
const { report, map: mapData, gallery } = DATA;
const things = report.objects.by_class.length === 1 && report.objects.by_class[0].name !== "objects"
  ? report.objects.by_class[0].name : "object";

function fillHead() {
  const { objects, headline } = report, references = objects.tp + objects.fn, predicted = objects.tp + objects.fp;
  byId("title").textContent = report.scene;
  let lead = "";
  if (!references && !predicted) lead = "There is neither a reference object nor a prediction in this scene, so nothing can be said.";
  else if (!references) lead = `There is no reference object inside this scene, so nothing can be said of the ${counted(predicted, "prediction")}.`;
  else if (!predicted) lead = `Nothing was predicted; ${counted(references, "true outline was", "true outlines were")} missed.`;
  else {
    lead = `Of ${counted(references, "true outline")}, ${counted(objects.tp, "was", "were")} found (${percent(headline.recall.value)}). ` +
      `Of ${whole(predicted)} predicted, ${counted(objects.tp, "is", "are")} correct (${percent(headline.precision.value)}). ` +
      `A prediction is correct where it overlaps a reference object with an IoU of at least ${objects.iou}.`;
  }
  byId("lead").textContent = lead;
  if (report.notes.length) {
    byId("notes").append(make("div", { class: "notes" }, make("ul", {}, ...report.notes.map((note) => make("li", {}, note)))));
  }
  const cards = [["F1", "f1"], ["Precision", "precision"], ["Recall", "recall"], ["AP at IoU 0.5", "ap50"],
    ["IoU of matches", "mean_iou"], ["Pixel IoU", "pixel_iou"]];
  byId("figures").append(...cards.map(([name, key]) => figureCard(name, headline[key])));
  const { reason, blocks } = report.intervals;
  byId("intervals").textContent = reason ? `No intervals: ${reason}.`
    : `Below each figure is its 95 percent interval, from drawing ${blocks} blocks of ground again and again.`;
}

function describe(scene, side, row) {
  if (!side) return ["Nothing is selected."];
  const own = mapData[side], area = floatsOf(own.area)[row], unit = report.common_grid.unit === "m" ? "m²" : "px";
  const status = scene[side].status[row];
  const kinds = side === "predicted" ? ["False positive", "Correct", "Does not count"] : ["Miss", "Found", "Does not count"];
  const parts = [make("strong", {}, kinds[status]), `, ${side === "predicted" ? "predicted" : "true"} outline of ${area.toFixed(area < 100 ? 1 : 0)} ${unit}`];
  if (side === "predicted" && own.confidence) parts.push(`, confidence ${(bytesOf(own.confidence)[row] / 250).toFixed(2)}`);
  parts.push(status === 1 ? `, IoU ${(bytesOf(own.iou)[row] / 250).toFixed(2)}` : `, ${nearest(side, row)}`);
  const place = placeOf(scene[side].boxes.subarray(4 * row, 4 * row + 4));
  if (place) parts.push(`. Longitude ${place[0].toFixed(6)}, latitude ${place[1].toFixed(6)}`);
  return parts;
}

// How much an error overlaps what it comes nearest to.
function nearest(side, row) {
  const iou = bytesOf(mapData[side].iou)[row] / 250;
  // Not rounded up: 0.498 is no match, and must not read 0.50.
  return iou ? `best IoU ${(Math.floor(100 * iou + 1e-9) / 100).toFixed(2)}` : `touches no ${side === "predicted" ? "reference" : "prediction"}`;
}

// Longitude and latitude of a box's middle, between the points that the page knows.
function placeOf(box) {
  const { places, width, height } = mapData;
  if (!places) return null;
  const x = Math.min(7.999999, Math.max(0, (4 * (box[0] + box[2])) / width)), y = Math.min(7.999999, Math.max(0, (4 * (box[1] + box[3])) / height));
  const col = Math.floor(x), row = Math.floor(y), at = 9 * row + col, dx = x - col, dy = y - row;
  return [0, 1].map((i) => (1 - dy) * ((1 - dx) * places[at][i] + dx * places[at + 1][i]) +
    dy * ((1 - dx) * places[at + 9][i] + dx * places[at + 10][i]));
}

function fillMap() {
  // A flat scene wants a flat window.
  const box = byId("map").parentElement, wanted = (1.04 * box.clientWidth * mapData.height) / mapData.width;
  box.style.height = `min(68vh, ${Math.round(Math.min(660, Math.max(box.clientWidth < 600 ? 240 : 330, wanted)))}px)`;
  const scene = new SceneMap(byId("map"), mapData);
  scene.onPick = (side, row) => byId("picked").replaceChildren(...describe(scene, side, row));
  scene.onScale = (zoom) => {
    const step = report.common_grid.pixel_size_m, unit = step ? "m" : "px", perPixel = step ? zoom / step : zoom;
    const nice = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000];
    const length = nice.filter((one) => one * perPixel <= 160).pop() || 1, line = make("i");
    line.style.width = length * perPixel + "px";
    byId("scale").replaceChildren(length >= 1000 && step ? `${length / 1000} km` : `${length} ${unit}`, line);
  };
  const styles = { tp: "filled", fp: "filled", fn: "filled dashed", scene: "filled", predicted: "", reference: "" };
  for (const [name, label] of LAYERS) {
    if (name === "scene" && !mapData.pyramid) continue;
    const button = make("button", { class: `toggle c-${name}`, type: "button", "aria-pressed": String(scene.on[name]), "data-layer": name },
      make("span", { class: `swatch ${styles[name]}` }), label);
    button.addEventListener("click", () => {
      scene.on[name] = !scene.on[name];
      button.setAttribute("aria-pressed", String(scene.on[name]));
      scene.request();
    });
    byId("bar").append(button);
  }
  const zooms = make("span", { class: "zooms" });
  for (const [label, title, act] of [["−", "Zoom out", () => scene.zoomBy(1 / 1.6)], ["+", "Zoom in", () => scene.zoomBy(1.6)], ["Whole scene", "Show the whole scene", () => scene.fit()]]) {
    const button = make("button", { class: "button", type: "button", title, "aria-label": title }, label);
    button.addEventListener("click", act);
    zooms.append(button);
  }
  if (scene.holes.n) byId("map-about").append(" Stripes: there is no prediction.");
  byId("bar").append(zooms);
  return scene;
}

function fillGallery(scene) {
  const shots = [];
  const paint = ({ canvas, side, row }) => {
    const box = scene[side].boxes.subarray(4 * row, 4 * row + 4), edge = 300;
    const size = 2.2 * Math.max(box[2] - box[0], box[3] - box[1], 14);
    canvas.width = canvas.height = edge;
    const view = { x: (box[0] + box[2]) / 2, y: (box[1] + box[3]) / 2, zoom: edge / size, width: edge, height: edge };
    const chosen = scene.chosen;
    scene.chosen = [side, row];
    scene.drawView(canvas.getContext("2d"), view, { scene: Boolean(mapData.pyramid), tp: true, fp: true, fn: true });
    scene.chosen = chosen;
  };
  for (const [kind, side, title, none] of [
    ["fp", "predicted", "False positives, the surest first", "There are no false positives."],
    ["fn", "reference", "Misses, the largest first", "Nothing was missed."]]) {
    byId(`${kind}-title`).textContent = gallery[kind].length ? title : none;
    for (const row of gallery[kind]) {
      const canvas = make("canvas", { "aria-hidden": "true" }), area = floatsOf(mapData[side].area)[row];
      const text = `${area.toFixed(0)} ${report.common_grid.unit === "m" ? "m²" : "px"}` +
        (side === "predicted" && mapData.predicted.confidence ? `, confidence ${(bytesOf(mapData.predicted.confidence)[row] / 250).toFixed(2)}` : "") +
        `, ${nearest(side, row)}`;
      const shot = make("button", { class: "shot", type: "button", title: "Show on the map" }, canvas, make("span", {}, text));
      shot.addEventListener("click", () => {
        scene.show(side, row);
        byId("map").closest(".map-frame").scrollIntoView({ block: "center", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
      });
      byId(`${kind}-gallery`).append(shot);
      shots.push({ canvas, side, row });
    }
  }
  let waiting = 0;
  scene.onTile = () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => shots.forEach(paint), 60);
  };
  shots.forEach(paint);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => shots.forEach(paint));
}

function fillPlots() {
  const { curves, operating_point: points, calibration, objects } = report, place = byId("plots");
  const best = points.objects.best_f1, wanted = points.objects.at_precision, about = [];
  if (known(best.threshold)) {
    about.push(`Keeping objects with a confidence of at least ${fixed(best.threshold, 2)} gives the best F1, ${fixed(best.f1)}. `);
    about.push(known(wanted.threshold)
      ? `For a precision of ${points.wanted_precision}, keep those from ${fixed(wanted.threshold, 2)} on: recall is then ${fixed(wanted.recall)}. `
      : `No confidence gives a precision of ${points.wanted_precision}. `);
  } else about.push(`There is no operating point for objects: ${best.reason}. `);
  const pixel = points.pixels && points.pixels.best_f1;
  if (pixel && known(pixel.threshold)) about.push(`For pixels, a probability threshold of ${fixed(pixel.threshold, 3)} gives the best F1, ${fixed(pixel.f1)}.`);
  byId("threshold-about").textContent = about.join("");
  if (curves.objects.length || (curves.pixels && curves.pixels.length)) {
    place.append(plotted("Precision and recall", curveChart(curves, points),
      "Every threshold is a point: of objects in blue-green, of pixels in ochre. The dot marks the best F1."));
  }
  for (const [kind, title] of [["objects", "Is confidence honest?"], ["pixels", "Are probabilities honest?"]]) {
    if (!calibration[kind] || !known(calibration[kind].ece)) continue;
    place.append(plotted(title, calibrationChart(calibration[kind]),
      `On the dashed line, confidence means what it says. Expected calibration error of ${kind}: ${fixed(calibration[kind].ece)}. Bars show how many; hollow points stand for fewer than ten.`));
  }
  if (objects.sweep.some((row) => known(row.f1))) {
    place.append(plotted("How strict is a match?", sweepChart(objects.sweep),
      "F1 in blue-green, precision in orange, recall in violet, by the IoU that a match must reach."));
  }
}

fillHead();
fillPlots();
fillGroups(report);
fillMeasures(report);
fillRun(report);
fillGallery(fillMap());
document.documentElement.dataset.ready = "yes";
