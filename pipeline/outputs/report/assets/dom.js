// Elements from text, never from markup.
const DATA = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function draw(tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

const known = (value) => value !== null && value !== undefined;
const fixed = (value, digits = 3) => (known(value) ? value.toFixed(digits) : "n/a");
const percent = (value) => (known(value) ? (100 * value).toFixed(value > 0.0995 ? 0 : 1) + "\u00a0%" : "n/a");
// "1 outline", "2 outlines".
const counted = (count, one, many = `${one}s`) => `${whole(count)} ${count === 1 ? one : many}`;
const whole = (value) => (known(value) ? value.toLocaleString("en") : "n/a");

// Rows are arrays of cells; a cell is text, null for "n/a", or an element.
function table(title, heads, rows, note) {
  const body = rows.map((row) =>
    make("tr", {}, ...row.map((cell) => {
      const missing = cell === null || cell === undefined || cell === "n/a";
      return make("td", missing ? { class: "none" } : {}, missing ? "n/a" : cell);
    })));
  const grid = make("table", {},
    make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col" }, head)))),
    make("tbody", {}, ...body));
  return make("div", {}, title ? make("h3", {}, title) : null,
    make("div", { class: "scroll" }, grid), note ? make("p", { class: "note" }, note) : null);
}

function figureCard(name, figure, digits = 3) {
  const card = make("div", { class: "figure" }, make("div", { class: "name" }, name));
  if (!figure || !known(figure.value)) {
    card.append(make("div", { class: "value none" }, "n/a"),
      make("div", { class: "range" }, figure ? figure.reason : ""));
    return card;
  }
  card.append(make("div", { class: "value" }, fixed(figure.value, digits)));
  if (known(figure.low)) {
    const band = make("i"), mark = make("b"), clip = (value) => Math.min(1, Math.max(0, value));
    band.style.left = 100 * clip(figure.low) + "%";
    band.style.right = 100 - 100 * clip(figure.high) + "%";
    mark.style.left = `calc(${100 * clip(figure.value)}% - 1px)`;
    card.append(make("div", { class: "track" }, band, mark),
      make("div", { class: "range" }, `${fixed(figure.low, digits)} to ${fixed(figure.high, digits)}`));
  }
  return card;
}
