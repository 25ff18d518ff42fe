// Elements from data. Text is only ever set as text: paths, names and reasons come from strangers.

export const $ = (id) => document.getElementById(id);

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== undefined && value !== false && value !== "") node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== undefined && child !== null));
  return node;
}

export function svg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// Replaces what is in an element, unless a control in it has the focus that would be lost: then what
// had it gets it again, by its key.
export function fill(parent, ...children) {
  const focused = parent.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const { scrollLeft, scrollTop } = parent;
  parent.replaceChildren(...children);
  parent.scrollLeft = scrollLeft;
  parent.scrollTop = scrollTop;
  if (focused) [...parent.querySelectorAll("[data-key]")].find((node) => node.dataset.key === focused)?.focus();
}

export function table(caption, columns, rows) {
  const head = columns.map((column) => el("th", { scope: "col", class: column.n && "n", "aria-sort": column.sort }, column.head));
  return el("table", {}, el("caption", {}, caption), el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows));
}

export const number = (value, shown, hot) => el("td", { class: value ? (hot ? "n hot" : "n") : "n zero" }, shown);

// Lines over time from samples, oldest first; null is a gap. `events` are indices at which something happened.
export function chart(series, most, events) {
  const [width, height] = [300, 44];
  const top = Math.max(...series.flat().filter((value) => value !== null), 1e-9);
  const x = (i) => ((i + most - series[0].length) / Math.max(1, most - 1)) * width;
  const path = (values) => {
    let drawn = "", pen = false;
    values.forEach((value, i) => {
      if (value !== null) drawn += `${pen ? "L" : "M"}${x(i).toFixed(1)} ${(height - 2 - (value / top) * (height - 6)).toFixed(1)}`;
      pen = value !== null;
    });
    return drawn;
  };
  const lines = series.map((values, i) => svg("path", { class: ["line", "line second", "line third"][i], d: path(values) }));
  const marks = events.map((i) => svg("path", { class: "event", d: `M${x(i).toFixed(1)} 0V${height}` }));
  const base = svg("path", { class: "base", d: `M0 ${height - 1}H${width}` });
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" }, base, ...marks, ...lines.reverse());
}
