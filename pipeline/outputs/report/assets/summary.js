// The page of several scenes.
const NAMES = { precision: "Precision", recall: "Recall", f1: "F1", ap50: "AP at IoU 0.5", mean_iou: "Mean IoU of matches",
  pixel_precision: "Pixel precision", pixel_recall: "Pixel recall", pixel_f1: "Pixel F1", pixel_iou: "Pixel IoU" };
const { scenes, systems, comparisons, failed, total } = DATA;
const several = systems.length > 1;

byId("title").textContent = several ? `${systems.length} predictions compared` : `${scenes.length} scenes`;
const shown = several ? systems[0] : total;
byId("lead").textContent = several
  ? `Both are drawn on the same blocks of ground, so that what is hard in a scene is hard for each and cancels. Above all, look at whether the interval of a difference holds zero.`
  : shown ? `${whole(shown.truths)} true outlines and ${whole(shown.predictions)} predictions in ${whole(shown.scenes)} scenes.` : "No scene could be scored.";
if (failed.length) {
  byId("notes").append(make("div", { class: "notes" }, make("ul", {}, ...failed.map((one) => make("li", {}, one)))));
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
    make("p", { class: "about" }, `First: ${one.first}. Second: ${one.second}.` + (one.reason ? ` No intervals: ${one.reason}.` : "")),
    table("", ["", "first", "second", "difference", "95 % interval", "verdict"], rows));
}

byId("scenes").append(table("", [...(several ? ["prediction"] : []), "scene", "truths", "predictions", "F1", "precision", "recall", "AP 50", "pixel IoU"],
  scenes.map((row) => [...(several ? [row.system] : []), make("a", { href: row.report.split("/").map(encodeURIComponent).join("/") }, row.scene),
    whole(row.truths), whole(row.predictions), ...["f1", "precision", "recall", "ap50", "pixel_iou"].map((key) => fixed(row.headline[key].value))])));
document.documentElement.dataset.ready = "yes";
