// Elements from data. Text is only ever set as text: paths, names and reasons come from strangers.

import { GAP } from "./stats.js";

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

// A part stays as it is while a pointer is pressed on it, so that a slow click counts, and while text in it
// is selected, so that it can be copied.
let pressed = null;
addEventListener("pointerdown", (event) => { pressed = event.target; }, true);
for (const name of ["pointerup", "pointercancel"]) addEventListener(name, () => setTimeout(() => { pressed = null; }, 50), true);
addEventListener("click", () => { pressed = null; }, true);

export function isHeld(parent) {
  const selection = getSelection();
  return (pressed !== null && parent.contains(pressed)) || (!selection.isCollapsed && parent.contains(selection.anchorNode));
}

const byKey = (parent, key) => [...parent.querySelectorAll("[data-key]")].find((node) => node.dataset.key === key);

// Replaces what is in an element, unless it is held; whether it did. A control that had the focus has it
// again, by its key.
export function fill(parent, ...children) {
  if (isHeld(parent)) return false;
  const focused = parent.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const { scrollLeft, scrollTop } = parent;
  parent.replaceChildren(...children);
  parent.scrollLeft = scrollLeft;
  parent.scrollTop = scrollTop;
  if (focused) byKey(parent, focused)?.focus({ preventScroll: true });
  return true;
}

// Opens a dialog. What was pressed may have been replaced when it closes: then what has its key gets the focus,
// or else the part that it was in.
export function openDialog(dialog) {
  const opener = document.activeElement;
  const part = opener?.closest(".scroll");
  const { key } = opener?.dataset ?? {};
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => {
    if (part) ((key && byKey(part, key)) || part).focus({ preventScroll: true });
    resolve(dialog.returnValue);
  }, { once: true }));
}

export function table(caption, columns, rows) {
  const head = columns.map((column) => el("th", { scope: "col", class: column.n && "n", "aria-sort": column.sort }, column.head));
  return el("table", {}, el("caption", {}, caption), el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows));
}

export const number = (value, shown, hot) => el("td", { class: value ? (hot ? "n hot" : "n") : "n zero" }, shown);

// Lines over the last `span` milliseconds: a value of each line for each time. Where a value is null, or
// times are too far apart, there is a gap. `marks` are times at which something happened.
export function chart(lines, times, span, marks) {
  const [width, height] = [300, 44];
  const last = times.at(-1) ?? 0;
  const top = Math.max(...lines.flat().filter((value) => value !== null), 1e-9);
  const x = (time) => (width * (1 - (last - time) / span)).toFixed(1);
  const path = (values) => {
    let drawn = "", pen = false;
    values.forEach((value, i) => {
      pen &&= times[i] - times[i - 1] <= GAP;
      if (value !== null) drawn += `${pen ? "L" : "M"}${x(times[i])} ${(height - 2 - (value / top) * (height - 6)).toFixed(1)}${pen ? "" : "h0"}`;
      pen = value !== null;
    });
    return drawn;
  };
  const drawn = lines.map((values, i) => svg("path", { class: `line line${i}`, d: path(values) }));
  const marked = marks.map((time) => svg("path", { class: "event", d: `M${x(time)} 0V${height}` }));
  const base = svg("path", { class: "base", d: `M0 ${height - 1}H${width}` });
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" }, base, ...marked, ...drawn.reverse());
}

// Words between backticks are code.
export const spelled = (words) => words.split("`").map((part, i) => (i % 2 ? el("code", {}, part) : part));
