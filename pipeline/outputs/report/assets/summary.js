// The page of several scenes.
const NAMES = { precision: "Precision", recall: "Recall", f1: "F1", ap50: "AP at IoU 0.5", ap: "AP, mean over IoU 0.50 to 0.95", mean_iou: "IoU of matches",
  pixel_precision: "Pixel precision", pixel_recall: "Pixel recall", pixel_f1: "Pixel F1", pixel_iou: "Pixel IoU" };
const { scenes, systems, comparisons, failed, total } = DATA;
const several = systems.length > 1;

byId("title").textContent = several ? `${systems.length} predictions compared` : counted(scenes.length, "scene");
const shown = several ? systems[0] : total;
byId("lead").textContent = several
  ? `All are drawn on the same blocks of ground, so that what is hard in a scene is hard for each and cancels. Where the interval of a difference holds zero, neither is known to be better.`
  : shown ? `${counted(shown.references, "true outline")} and ${counted(shown.predictions, "prediction")} in ${counted(shown.scenes, "scene")}.` : "No scene could be scored.";
const told = [...failed, ...scenes.flatMap((row) => row.notes.map((note) => `${row.scene}: ${note}`))];
if (told.length) {
  byId("notes").append(make("div", { class: "notes" }, make("ul", {}, ...told.slice(0, 30).map((one) => make("li", {}, one)),
    told.length > 30 ? make("li", {}, `and ${told.length - 30} more; see summary.json`) : null)));
}
if (several) byId("figures").remove();
else if (shown) {
  byId("figures").append(...["f1", "precision", "recall", "ap50", "mean_iou", "pixel_iou"].map((key) => figureCard(NAMES[key], shown.figures[key])));
  byId("intervals").textContent = shown.reason ? `No intervals: ${shown.reason}.` : "";
}

const verdict = (row) => {
  const better = row.verdict === "undecided" ? "" : row.verdict.startsWith("second") ? "better" : "worse";
  return make("span", { class: better }, row.verdict);
};
for (const one of comparisons) {
  const rows = Object.entries(one.figures).map(([name, row]) => [NAMES[name], fixed(row.first), fixed(row.second),
    (row.difference.value > 0 ? "+" : "") + fixed(row.difference.value),
    known(row.difference.low) ? `${fixed(row.difference.low)} to ${fixed(row.difference.high)}` : null, verdict(row)]);
  byId("comparisons").append(make("h2", {}, "Second minus first"),
    make("p", { class: "about" }, `First: ${one.first}. Second: ${one.second}. ${one.note ? one.note + "." : ""}` + (one.reason ? ` ${rows.length ? "No intervals" : "Not compared"}: ${one.reason}.` : "")),
    !rows.length ? "" : table("", ["", "first", "second", "difference", "95 % interval", "verdict"], rows));
}

byId("scenes").append(table("", [...(several ? ["prediction"] : []), "scene", "references", "predictions", "F1", "precision", "recall", "AP 50", "pixel IoU"],
  scenes.map((row) => [...(several ? [row.system] : []), make("a", { href: row.report.split("/").map(encodeURIComponent).join("/") }, row.scene),
    whole(row.references), whole(row.predictions), ...["f1", "precision", "recall", "ap50", "pixel_iou"].map((key) => fixed(row.headline[key].value))])));

byId("together-title").textContent = several ? "Thresholds of each" : "All scenes together";
// What is chosen on all scenes together: of one prediction, or of each.
for (const one of shown ? (several ? systems : [total]) : []) {
  const { curves, calibration, operating_point: points, by_size: sizes } = one, place = byId("together");
  const best = points.objects.best_f1, pixel = points.pixels && points.pixels.best_f1, about = [];
  if (pixel && known(pixel.threshold)) about.push(`For pixels, a probability threshold of ${fixed(pixel.threshold)} gives the best F1, ${fixed(pixel.f1)}. `);
  if (known(best.threshold)) about.push(`Keeping objects with a confidence of at least ${fixed(best.threshold, 2)} gives the best F1, ${fixed(best.f1)}.`);
  if (several) place.append(make("h3", {}, one.name));
  place.append(make("p", { class: "about" }, about.join("") || `There is no operating point: ${best.reason}.`));
  const plots = make("div", { class: "plots" });
  if (curves.objects.length || (curves.pixels && curves.pixels.length)) {
    plots.append(plotted("Precision and recall", curveChart(curves, points), "Of objects in blue-green, of pixels in ochre. The dot marks the best F1."));
  }
  for (const [kind, title] of [["objects", "Is confidence honest?"], ["pixels", "Are probabilities honest?"]]) {
    if (!calibration[kind] || !known(calibration[kind].ece)) continue;
    plots.append(plotted(title, calibrationChart(calibration[kind]),
      `Expected calibration error of ${kind}: ${fixed(calibration[kind].ece)}. Bars show how many; hollow points stand for fewer than ten.`));
  }
  place.append(plots);
  if (sizes.length) {
    place.append(table("By size", [`size in ${sizes[0].unit.replace("m2", "m²")}`, "references", "detected", "recall", "predictions", "correct", "precision", "F1"],
      sizes.map((row) => [row.name, whole(row.references), whole(row.detected), fixed(row.recall), whole(row.predictions), whole(row.correct), fixed(row.precision), fixed(row.f1)])));
  }
}
document.documentElement.dataset.ready = "yes";
