// Tables of the report.
const GROUP_HEADS = ["", "references", "detected", "recall", "predictions", "correct", "precision", "F1"];

function groupRows(rows, label = (row) => row.name) {
  return rows.map((row) => [label(row), whole(row.references), whole(row.detected), fixed(row.recall),
    whole(row.predictions), whole(row.correct), fixed(row.precision), fixed(row.f1)]);
}

function fillGroups(report) {
  const { objects } = report, place = byId("groups"), unit = report.common_grid.unit === "m" ? "m²" : "px";
  place.append(table("By size", [`size in ${unit}`, ...GROUP_HEADS.slice(1)], groupRows(objects.by_size),
    "Reference objects are grouped by their own size, predictions by theirs."));
  if (objects.by_class.length > 1) place.append(table("By class", ["class", ...GROUP_HEADS.slice(1)], groupRows(objects.by_class)));
  const sure = objects.by_confidence.filter((row) => row.predictions);
  if (sure.length) {
    place.append(table("By confidence", ["confidence", "predictions", "correct", "precision", "mean IoU"],
      sure.map((row) => [`${row.from.toFixed(1)} to ${row.to.toFixed(1)}`, whole(row.predictions), whole(row.correct),
        fixed(row.precision), fixed(row.mean_iou)])));
  }
  place.append(objects.seams.rows.length
    ? table("Near tile seams", ["", ...GROUP_HEADS.slice(1)], groupRows(objects.seams.rows),
      `Near means within ${objects.seams.margin_px} pixels of a border between tiles.`)
    : make("div", {}, make("h3", {}, "Near tile seams"), make("p", { class: "note" }, `No figures: ${objects.seams.reason}.`)));
  const { merged, split, near } = objects;
  place.append(table("Merged, split and nearly correct", ["", "predictions", "references"], [
    ["one prediction over several reference objects", whole(merged.predictions), whole(merged.references)],
    ["one reference object under several predictions", whole(split.predictions), whole(split.references)],
    ["errors that overlap something", `${whole(near.false_positives)} of ${whole(objects.fp)}`, `${whole(near.misses)} of ${whole(objects.fn)}`],
  ], `Merged and split: at least half of the smaller outline is covered. Errors overlap where the IoU is ${near.iou} or more: there the outline is wrong, not the place.`));
}

function fillMeasures(report) {
  const { outlines, pixels, coco } = report, place = byId("measures"), unit = outlines.unit;
  const measure = (name, key, digits = 3, suffix = "") => {
    const cell = (value) => (known(value) ? value.toFixed(digits) + suffix : null);
    return [name, cell(outlines[key].mean), cell(outlines[key].median)];
  };
  place.append(table("Outlines of matched pairs", ["", "mean", "median"], [
    measure("IoU", "iou"), measure(`Boundary IoU, ${outlines.boundary_width} ${unit}`, "boundary_iou"),
    measure("PoLiS distance", "polis", 2, ` ${unit}`), measure("Rotation error", "rotation_deg", 1, "°"),
    measure(unit === "m" ? "Offset to the east" : "Offset to the right", "offset_x", 2, ` ${unit}`),
    measure(unit === "m" ? "Offset to the north" : "Offset downwards", "offset_y", 2, ` ${unit}`),
    measure("Area error, signed", "area_error"), measure("Area error, absolute", "area_error_abs"),
    measure("Corners, predicted over true", "vertex_ratio", 2),
  ], outlines.reason ? `No figures: ${outlines.reason}.` : `${counted(outlines.pairs, "pair")}.`));
  const rows = pixels.by_class.length > 1 ? [...pixels.by_class, pixels.all] : [pixels.all];
  place.append(table("Pixels", ["", "precision", "recall", "F1 (Dice)", "IoU"], rows.map((row) =>
    [row.name, fixed(row.precision), fixed(row.recall), fixed(row.f1), fixed(row.iou)]),
  pixels.all.reason ? `Some figures are missing: ${pixels.all.reason}.` : `${counted(report.evaluated.pixels, "pixel counts", "pixels count")}, ${counted(report.evaluated.missing_pixels, "has", "have")} no prediction.`));
  if (!coco.polygons) {
    place.append(make("div", {}, make("h3", {}, "COCO"), make("p", { class: "note" }, `No figures: ${coco.reason}.`)));
    return;
  }
  const line = (name, key) => [name, fixed(coco.pixels[key]), fixed(coco.polygons[key])];
  const size = (what, name) => [`${what.toUpperCase()} ${name}`, fixed(coco.pixels[`${what}_by_size`][name]), ""];
  place.append(table("COCO", ["", "of pixels", "of polygons"], [
    line("AP", "ap"), line("AP at IoU 0.5", "ap50"), line("AP at IoU 0.75", "ap75"), line("AR", "ar"), line("AR at IoU 0.5", "ar50"),
    ...["small", "medium", "large"].map((name) => size("ap", name)),
    ...["small", "medium", "large"].map((name) => size("ar", name)),
  ], "Small is below 32 × 32 pixels, large from 96 × 96. No limit on the number of predictions."));
  const challenge = coco.mapping_challenge;
  place.append(table("Challenges", ["", "score"], [
    [`crowdAI mapping, AP at IoU 0.5, ${challenge.chip_px}-px chips`, fixed(challenge.ap50)],
    [`crowdAI mapping, AR at IoU 0.5, ${challenge.chip_px}-px chips`, fixed(challenge.ar50)],
    ["TGS salt, the scene as one image", fixed(report.salt.value)],
  ]));
}

function fillRun(report) {
  const place = byId("run"), add = (name, value) => {
    const title = name.charAt(0).toUpperCase() + name.slice(1);
    if (known(value) && value !== "") place.append(make("dt", {}, title), make("dd", {}, String(value)));
  };
  const { inputs, common_grid: grid, run, evaluated } = report;
  for (const [name, key] of [["Prediction", "predicted"], ["Reference", "reference"], ["Labelled area", "aoi"]]) {
    if (!inputs[key]) continue;
    add(name, inputs[key].path);
    add("", inputs[key].digest);
  }
  add("Pixels", `${whole(grid.height_px)} × ${whole(grid.width_px)}` +
    (known(grid.pixel_size_m) ? `, ${grid.pixel_size_m.toFixed(3)} m on the ground` : "") + (grid.derived ? ", chosen for this comparison" : ""));
  if (known(evaluated.area_km2)) add("Area that counts", `${evaluated.area_km2.toFixed(3)} km²`);
  const flat = (value, prefix, depth) => {
    for (const [name, one] of Object.entries(value)) {
      if (one !== null && typeof one === "object" && !Array.isArray(one) && depth < 2) flat(one, `${prefix}${name} `, depth + 1);
      else if (known(one) && typeof one !== "object") add(`${prefix}${name}`.replaceAll("_", " "), one);
    }
  };
  flat(Object.fromEntries(["scene", "model", "task", "config", "versions", "code"].filter((key) => run[key]).map((key) => [key, run[key]])), "", 0);
  if (Object.keys(run).length) byId("manifest").textContent = JSON.stringify(run, null, 2);
  else document.querySelector("details").remove();
}
