// The page of a region: scenes by state, failures, changes, history.
const { region, written, next, scenes, map, runs, changes, failures, notes } = DATA;
const STATES = [...new Set(scenes.map((one) => one.state))].sort();
const KINDS = ["added", "removed", "changed"];
const kindOf = (state) => (["done", "failed", "waiting"].includes(state) ? state : "other");
const count = (state) => scenes.filter((one) => one.state === state).length;
const plural = (number, word) => `${whole(number)} ${word}${number === 1 ? "" : "s"}`;
// Small areas in square metres: a few houses would be 0.000 square kilometres.
const squared = (m2) => (!known(m2) ? "n/a" : m2 < 1e5 ? `${whole(Math.round(m2))} m\u00b2` : `${(m2 / 1e6).toFixed(m2 < 1e7 ? 3 : 1)} km\u00b2`);

byId("title").textContent = region;
const last = runs[runs.length - 1];
byId("lead").textContent = `${plural(scenes.length, "scene")}, ${plural(runs.length, "run")}. ` +
  (last ? `The last run began ${last.began} and is ${last.state}.` : "There has been no run yet.") + (next ? ` The next is due ${next}.` : "") + ` Written ${written}.`;
if (notes.length) {
  byId("notes").append(make("div", { class: "notes" }, make("ul", {}, ...notes.map((one) => make("li", {}, one)))));
}

function numberCard(name, value, below) {
  return make("div", { class: "figure" }, make("div", { class: "name" }, name),
    make("div", { class: known(value) ? "value" : "value none" }, known(value) ? whole(value) : "n/a"),
    make("div", { class: "range" }, below));
}
const latest = (key) => { const row = runs.filter((run) => known(run[key])).pop(); return row ? row[key] : null; };
byId("figures").append(
  numberCard("Footprints", latest("footprints"), "in the current layer"),
  numberCard("Scenes mapped", count("done"), `of ${whole(scenes.length)}; ${squared(1e6 * scenes.reduce((sum, one) => sum + (one.km2 || 0), 0))}, each by itself`),
  numberCard("Scenes failed", count("failed"), count("failed") ? "listed below" : "none"),
  numberCard("Added", changes ? changes.added.count : null, changes ? "since the run before" : "no earlier run to compare with"),
  numberCard("Removed", changes ? changes.removed.count : null, changes ? "since the run before" : "no earlier run to compare with"),
  numberCard("Changed", changes ? changes.changed.count : null, changes ? "of outline or size" : "no earlier run to compare with"));

// The map: one SVG whose view box moves.
const view = { x: 0, y: 0, width: map.width, height: map.height };
const svg = draw("svg", { id: "map", class: "region-map", preserveAspectRatio: "xMidYMid meet", role: "img",
  "aria-label": `Map of ${plural(scenes.length, "scene")}` });
const scale = { name: make("span"), bar: make("i") };
byId("map-box").append(make("div", { class: "scale" }, scale.name, scale.bar));
function look() {
  svg.setAttribute("viewBox", `${view.x} ${view.y} ${view.width} ${view.height}`);
  // Dots keep their size on the screen.
  const pixel = Math.max(view.width / (svg.clientWidth || map.width), view.height / (svg.clientHeight || map.height));
  for (const dot of svg.querySelectorAll("circle")) dot.setAttribute("r", 3.5 * pixel);
  // A round length of at most 140 pixels.
  const most = 140 * pixel * map.metres, power = 10 ** Math.floor(Math.log10(most));
  const metres = Math.max(...[1, 2, 5].map((step) => step * power).filter((length) => length <= most));
  scale.bar.style.width = `${metres / (pixel * map.metres)}px`;
  scale.name.textContent = metres >= 1000 ? `${whole(metres / 1000)} km` : `${metres} m`;
}
new ResizeObserver(() => look()).observe(svg);
function zoom(factor, x = view.x + view.width / 2, y = view.y + view.height / 2) {
  if (view.width * factor > 4 * map.width || view.width * factor < map.width / 500) return;
  view.x = x - (x - view.x) * factor;
  view.y = y - (y - view.y) * factor;
  view.width *= factor;
  view.height *= factor;
  look();
}
function told(element, ...words) {
  for (const one of svg.querySelectorAll(".chosen")) one.classList.remove("chosen");
  element.classList.add("chosen");
  byId("picked").replaceChildren(...words);
}
const groups = {};
for (const state of STATES) groups[state] = draw("g", {});
scenes.forEach((scene) => {
  if (!scene.rings.length) return;
  const path = draw("path", { class: `scene s-${kindOf(scene.state)}`,
    d: scene.rings.map((ring) => "M" + ring.map((point) => point.join(" ")).join("L") + "Z").join("") });
  path.append(draw("title", {}, scene.key));
  const words = [scene.state, scene.datetime ? `taken ${scene.datetime}` : "no date", scene.reason].filter(known);
  path.addEventListener("click", () => told(path, make("strong", {}, scene.key), ` ${words.join("; ")}`));
  groups[scene.state].append(path);
});
for (const kind of KINDS) groups[`is ${kind}`] = draw("g", {});
for (const [kind, x, y, id, area] of map.changes) {
  const dot = draw("circle", { class: `change k-${kind}`, cx: x, cy: y });
  dot.append(draw("title", {}, `${kind}: ${id}`));
  dot.addEventListener("click", () => told(dot, make("strong", {}, id), ` ${kind}, ${whole(Math.round(area))} m\u00b2`));
  groups[`is ${kind}`].append(dot);
}
svg.append(...Object.values(groups));
byId("map-box").prepend(svg);
look();

function toggle(label, group, swatch) {
  const button = make("button", { class: `toggle ${swatch}`, type: "button", "aria-pressed": "true" },
    make("span", { class: "swatch filled" }), label);
  button.addEventListener("click", () => {
    const shown = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(shown));
    group.setAttribute("display", shown ? "inline" : "none");
  });
  return button;
}
byId("bar").append(
  ...STATES.map((state) => toggle(`${state} (${whole(count(state))})`, groups[state], `r-${kindOf(state)}`)),
  ...(changes ? KINDS.map((kind) => toggle(`${kind} (${whole(changes[kind].count)})`, groups[`is ${kind}`], `r-${kind}`)) : []));
const zooms = make("span", { class: "zooms" });
for (const [sign, name, act] of [["+", "Zoom in", () => zoom(0.7)], ["\u2212", "Zoom out", () => zoom(1 / 0.7)],
  ["All", "Show all", () => { Object.assign(view, { x: 0, y: 0, width: map.width, height: map.height }); look(); }]]) {
  const button = make("button", { class: "button", type: "button", "aria-label": name }, sign);
  button.addEventListener("click", act);
  zooms.append(button);
}
byId("bar").append(zooms);
function placeOf(event) {
  return new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
}
svg.addEventListener("wheel", (event) => {
  event.preventDefault();
  const place = placeOf(event);
  zoom(Math.exp((event.deltaMode === 1 ? 16 : 1) * event.deltaY * 0.0016), place.x, place.y);
}, { passive: false });
let held = null;
svg.addEventListener("pointerdown", (event) => { held = [event.clientX, event.clientY]; });
addEventListener("pointerup", () => { held = null; svg.classList.remove("dragging"); });
addEventListener("pointermove", (event) => {
  if (!held) return;
  const step = 1 / svg.getScreenCTM().a;
  view.x -= (event.clientX - held[0]) * step;
  view.y -= (event.clientY - held[1]) * step;
  held = [event.clientX, event.clientY];
  svg.classList.add("dragging");
  look();
});
byId("map-note").textContent = map.note;

byId("failures").append(failures.length
  ? table("", ["scene", "tried", "why"], failures.map((one) => [make("span", { class: "wrap" }, one.key), one.attempts ? plural(one.attempts, "time") : "each run", make("span", { class: "wrap" }, one.reason || "n/a")]))
  : make("p", {}, "No scene has failed."));

if (changes) {
  byId("changes-about").textContent = `Between run ${changes.before} and run ${changes.after}, on ground that both have mapped. ` +
    `A footprint is unchanged where outlines overlap by an IoU of ${changes.iou} or more and areas differ by ${percent(changes.area)} or less.`;
  const names = { added: "added", removed: "removed", changed: "changed", unchanged: "unchanged",
    unseen_before: "on ground not mapped before", unseen_after: "on ground not mapped since" };
  byId("changes").append(table("", ["footprints", "count", "area"],
    Object.entries(names).map(([key, name]) => [name, whole(changes[key].count), squared(changes[key].area_m2)])));
} else byId("changes-about").textContent = "There is no earlier run to compare with.";

// Bars from zero upwards, or downwards where a series says so.
function bars(title, series, caption) {
  const wide = 340, high = 190, left = 62, rows = runs.slice(-60);
  const up = Math.max(1, ...rows.map((run) => series.filter((one) => !one.down).reduce((sum, one) => sum + (run[one.key] || 0), 0)));
  const down = Math.max(0, ...rows.map((run) => series.filter((one) => one.down).reduce((sum, one) => sum + (run[one.key] || 0), 0)));
  const y = (value) => 10 + ((up - value) / (up + down)) * high, step = wide / Math.max(rows.length, 1);
  const chart = draw("svg", { viewBox: `0 0 ${left + wide + 10} ${high + 44}`, role: "img", "aria-label": title });
  for (const tick of down ? [up, 0, -down] : [up, 0]) {
    chart.append(draw("line", { class: "grid", x1: left, x2: left + wide, y1: y(tick), y2: y(tick) }),
      draw("text", { x: left - 8, y: y(tick) + 4, "text-anchor": "end" }, whole(Math.abs(tick))));
  }
  rows.forEach((run, at) => {
    let above = 0, below = 0;
    for (const one of series) {
      const value = run[one.key] || 0, from = one.down ? -below : above + value;
      const bar = draw("rect", { class: `b-${one.kind}`, x: left + at * step + step * 0.15, width: step * 0.7,
        y: y(from), height: Math.max(0, y(from - value) - y(from)) });
      bar.append(draw("title", {}, `run ${run.run}: ${whole(value)} ${one.name}`));
      chart.append(bar);
      if (one.down) below += value; else above += value;
    }
  });
  if (rows.length) {
    chart.append(draw("text", { x: left, y: high + 32 }, `run ${rows[0].run}`));
    if (rows.length > 1) chart.append(draw("text", { x: left + wide, y: high + 32, "text-anchor": "end" }, `run ${rows[rows.length - 1].run}`));
  }
  return plotted(title, chart, caption);
}
byId("history").append(
  bars("Footprints in the layer", [{ key: "footprints", kind: "done", name: "footprints" }], "At the end of each run."),
  bars("Scenes tried", [{ key: "mapped", kind: "done", name: "mapped" }, { key: "failed", kind: "failed", name: "failed" }], "Mapped, and above them failed."),
  bars("Changes", [{ key: "added", kind: "added", name: "added" }, { key: "removed", kind: "removed", name: "removed", down: true }], "Added upwards, removed downwards."));
const shown = runs.slice(-60).reverse();
if (shown.length < runs.length) byId("runs").append(make("p", { class: "about" }, `The last ${shown.length} of ${whole(runs.length)} runs.`));
byId("runs").append(table("", ["run", "began", "state", "mapped", "failed", "footprints", "added", "removed", "changed"],
  shown.map((run) => [run.run, run.began, make("span", { class: "wrap short" }, run.state), ...["mapped", "failed", "footprints", "added", "removed", "changed"].map((key) => whole(run[key]))])));
document.documentElement.dataset.ready = "yes";
