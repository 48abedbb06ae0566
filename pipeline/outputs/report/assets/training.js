// The pages of a training.
const NAMES = { loss: "Loss", iou: "IoU", dice: "Dice", precision: "Precision", recall: "Recall" };
const KINDS = { train: "training", validation: "validation" };
const live = DATA.page === "live", last = (points) => (points.length ? points[points.length - 1][1] : null);

// Steps below, values beside; shares have the whole of 0 to 1 for themselves.
function stepChart(name, kinds) {
  const all = [...kinds.train, ...kinds.validation], shares = name !== "loss";
  const low = shares ? 0 : Math.min(0, ...all.map((point) => point[1]));
  const high = shares ? 1 : Math.max(low + 1e-6, ...all.map((point) => point[1])) * 1.04;
  const width = 350, height = 220, pad = { left: 40, right: 10, top: 10, bottom: 40 };
  const x = (step) => pad.left + ((width - pad.left - pad.right) * step) / Math.max(1, DATA.steps);
  const y = (value) => pad.top + ((height - pad.top - pad.bottom) * (high - value)) / (high - low);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${NAMES[name]} by step` });
  for (let tick = 0; tick <= 4; tick++) {
    const value = low + ((high - low) * tick) / 4, step = Math.round((DATA.steps * tick) / 4);
    svg.append(draw("line", { class: "grid", x1: x(0), x2: x(DATA.steps), y1: y(value), y2: y(value) }),
      draw("text", { x: x(0) - 8, y: y(value) + 4, "text-anchor": "end" }, value.toFixed(2)),
      draw("text", { x: x(step), y: y(low) + 17, "text-anchor": tick === 4 ? "end" : "middle" }, whole(step)));
  }
  svg.append(draw("text", { x: x(DATA.steps / 2), y: y(low) + 36, "text-anchor": "middle", class: "strong" }, "step"));
  for (const kind of Object.keys(KINDS)) {
    const points = kinds[kind];
    if (!points.length) continue;
    svg.append(draw("path", { class: `line s-${kind}`, d: pathOf(points, x, y) }));
    const marked = kind === "validation" && points.length < 40 ? points : points.slice(-1);
    for (const [step, value] of marked) svg.append(draw("circle", { class: `f-${kind}`, r: 3, cx: x(step), cy: y(value) }));
  }
  const told = Object.keys(KINDS).filter((kind) => kinds[kind].length).map((kind) => `${KINDS[kind]} ${fixed(last(kinds[kind]))}`);
  return plotted(NAMES[name], svg, told.length ? `Last: ${told.join(", ")}.` : "Nothing yet.");
}

function thresholdChart(trials, chosen) {
  const plot = frameOf("Scores by threshold", "threshold", "score");
  for (const [name, kind] of [["precision", "precision"], ["recall", "recall"], ["iou", "pixels"], ["score", "objects"]]) {
    const line = trials.filter((row) => known(row[name])).map((row) => [row.threshold, row[name]]);
    if (line.length) plot.svg.append(draw("path", { class: `line s-${kind}`, d: pathOf(line, plot.x, plot.y) }));
    for (const [at, value] of line) plot.svg.append(draw("circle", { class: `f-${kind}`, r: 2.5, cx: plot.x(at), cy: plot.y(value) }));
  }
  plot.svg.append(draw("line", { class: "axis", id: "chosen", x1: plot.x(chosen), x2: plot.x(chosen), y1: plot.y(0), y2: plot.y(1) }),
    draw("text", { x: plot.x(chosen) + (chosen > 0.7 ? -6 : 6), y: plot.y(0.04), class: "strong halo", "text-anchor": chosen > 0.7 ? "end" : "start" }, `chosen ${chosen.toFixed(2)}`));
  return plot.svg;
}

function keyed(entries) {
  return entries.map(([label, paint]) => {
    const swatch = make("i");
    paint(swatch);
    return make("span", {}, swatch, label);
  });
}

function fillHead() {
  const { step, steps, curves } = DATA, iou = last(curves.iou.validation);
  byId("kicker").textContent = live ? (DATA.refresh_s ? "Training under way" : "Training") : "How good is the trained network?";
  byId("title").textContent = DATA.title;
  byId("lead").textContent = live
    ? `Step ${whole(step)} of ${whole(steps)} (${percent(step / Math.max(1, steps))}). ` + (known(iou) ? `Pixel IoU on validation: ${fixed(iou)}.` : "Nothing has been validated yet.")
    : `After ${whole(steps)} steps, on ${DATA.split === "test" ? "the test split, by which nothing was chosen" : "validation: there is no test split"}.`;
  const figures = live
    ? Object.keys(NAMES).map((name) => [NAMES[name], last(curves[name].validation)])
    : [["IoU", DATA.found.iou], ["Dice", known(DATA.found.iou) ? (2 * DATA.found.iou) / (1 + DATA.found.iou) : null],
      ["Precision", DATA.found.precision], ["Recall", DATA.found.recall], ["Threshold", DATA.found.threshold]];
  byId("figures").append(...figures.map(([name, value]) => figureCard(name, { value, reason: "not validated yet" })));
  byId("about-figures").textContent = (live ? "At the last validation" : `On ${DATA.split}`) + `, over pixels of ${DATA.classes.join(", ")}` +
    (known(DATA.threshold) ? `, at a probability of ${fixed(DATA.threshold, 2)}.` : ".");
}

function fillThreshold() {
  const { thresholds, found, wanted_precision: wanted } = DATA, missing = known(wanted) && thresholds.length &&
    !thresholds.some((row) => row.precision >= wanted);
  if (!thresholds.length) return;
  const best = known(wanted)
    ? missing ? `No threshold reaches the precision of ${wanted} that was asked for; the most precise one was taken. `
      : `Of the thresholds that reach a precision of ${wanted} the best was taken. `
    : `The threshold with the best score (${DATA.score}) was taken. `;
  byId("threshold").append(make("h2", {}, "Threshold"),
    make("p", { class: "about" }, `Chosen on validation: ${fixed(found.threshold, 2)}. ${best}`),
    make("div", { class: "plots wide" }, plotted("What each threshold gives on validation", thresholdChart(thresholds, found.threshold),
      "Precision in orange, recall in violet, IoU in ochre, the score in blue-green.")));
}

function fillCurves() {
  byId("about-curves").textContent = `Training: means over the steps since the last point, on augmented crops, weighed as in learning. ` +
    `Validation: averaged weights on all that is labelled; its loss on the fixed crops below, unweighed. ` +
    `The last validation is taken at the chosen threshold, all others at 0.5.`;
  byId("curve-key").append(...keyed(Object.keys(KINDS).map((kind) => [KINDS[kind], (swatch) => swatch.classList.add(`k-${kind}`)])));
  byId("curves").append(...Object.keys(NAMES).map((name) => stepChart(name, DATA.curves[name])));
}

function fillCrops() {
  if (!DATA.crops) return;
  const { colours } = DATA, place = byId("crops");
  const named = [["found", "found"], ["made up", "made_up"], ["missed", "missed"]];
  place.append(make("h2", {}, "Prediction over labels"),
    make("p", { class: "about" }, "Left the image, right the same with what was predicted. Colours were chosen to differ most from this imagery and from each other; ground that is not labelled is dark."),
    make("div", { class: "key" }, ...keyed(named.map(([label, key]) => [`${label} (${colours[key]})`, (swatch) => { swatch.style.background = colours[key]; }]))));
  for (const [group, title, none] of [["fixed", live ? "The same crops each time" : "Crops", "There is nothing to show."],
    ["best", "The best", "No crop has objects."], ["worst", "The worst", "There is no other crop."]]) {
    const crops = DATA.crops[group];
    place.append(make("h3", {}, crops.length ? title : none), make("div", { class: "pairs", "data-group": group }, ...crops.map((crop) =>
      make("figure", { class: "pair" },
        make("div", { class: "two" }, make("img", { src: crop.image, alt: "image" }), make("img", { src: crop.overlay, alt: "prediction over truth" })),
        make("figcaption", {}, `${crop.name}, row ${crop.row}, column ${crop.col}: IoU ${fixed(crop.iou)}`)))));
  }
}

fillHead();
if (!live) fillThreshold();
fillCurves();
fillCrops();
if (DATA.refresh_s) setTimeout(() => location.reload(), 1000 * DATA.refresh_s);
document.documentElement.dataset.ready = "yes";
