// The live tail, and the details of one request.

import { $, el, fill, isHeld, openDialog, spelled, svg, table } from "./dom.js";
import { text } from "./stats.js";

const MOST = 500;
const COLUMNS = [{ head: "Time, UTC" }, { head: "Status" }, { head: "Method" }, { head: "Path" }, { head: "Took", n: true }, { head: "Route" }, { head: "Server" }, { head: "Reason" }, { head: "Client" }];

// The newest first. `fresh` came while somebody read, and are not shown yet.
const kept = { shown: [], fresh: [], lost: 0 };

// Nobody can read, point at or tab to a row that moves.
function isRead() {
  const part = $("tail");
  const rows = part.querySelector("tbody");
  return isHeld(part) || (rows !== null && (rows.contains(document.activeElement) || (matchMedia("(hover: hover)").matches && rows.matches(":hover"))));
}

// `list`: the oldest first; `lost`: how many were left out before them.
export function add(list, lost) {
  kept.lost += lost;
  kept.fresh.unshift(...list.reverse());
  kept.fresh.length = Math.min(kept.fresh.length, MOST);
  showFresh();
}

export function clear() {
  Object.assign(kept, { shown: [], fresh: [], lost: 0 });
  draw([]);
}

// Shows what has come, unless somebody reads.
export function showFresh() {
  const waits = kept.fresh.length > 0 && isRead();
  const left = kept.lost ? `${text.count(kept.lost)} came too fast and were left out` : "";
  $("tail-note").textContent = [waits ? `held while you are in it: ${text.count(kept.fresh.length)} new` : "", left].filter(Boolean).join(" · ");
  if (waits || !kept.fresh.length) return;
  const rows = kept.fresh.map(row);
  kept.shown = [...kept.fresh, ...kept.shown].slice(0, MOST);
  kept.fresh = [];
  const body = $("tail").querySelector("tbody");
  if (!body) return void draw(rows);
  body.prepend(...rows);
  while (body.rows.length > MOST) body.lastChild.remove();
}

function draw(rows) {
  const isFiltered = [...new FormData($("filter")).values()].some(Boolean);
  fill($("tail"), rows.length ? table("Requests, newest first", COLUMNS, rows)
    : el("p", { class: "nothing" }, isFiltered ? "No request yet that fits the filter." : "No request yet."));
}

export const noTail = (why) => fill($("tail"), el("p", { class: "nothing" }, `There is no live tail: ${why}`));

// What the explanations of reasons are read from, once they are known.
let explanations = new Map();
export const explain = (list) => { explanations = new Map(list.map((reason) => [reason.reason, reason])); };

function row(one) {
  const kind = one.status >= 500 || one.status === 0 ? "hot" : one.status >= 400 ? "" : "zero";
  const path = `${one.path}${one.query ? `?${one.query}` : ""}`;
  const open = el("button", { type: "button", class: "mono", "data-key": String(one.seq), title: path }, path);
  const cut = (words, more = "") => el("td", { class: `cut ${more}`, title: words }, words ?? "");
  return el("tr", { class: "request", onclick: () => { open.focus({ preventScroll: true }); details(one); } },
    el("td", { class: "mono zero" }, one.ts.slice(11, 23)), el("td", { class: kind, "data-status": true }, String(one.status)), el("td", {}, one.method),
    el("td", { class: "cut" }, open), el("td", { class: "n" }, text.millis(one.duration_ms)),
    cut(one.route), cut(one.upstream, "mono zero"), cut(one.reason, "mono"), cut(one.client_ip, "mono zero"));
}

// Where the time went, as the log has it. Without an answer of a server, it is the proxy's own.
function timing(one) {
  const before = (one.queue_ms ?? 0) + (one.connect_ms ?? 0) + (one.tls_ms ?? 0);
  const until = one.ttfb_ms ?? one.duration_ms;
  return [
    ["queue", one.queue_ms], ["connect", one.connect_ms], ["tls", one.tls_ms],
    [one.upstream ? "first byte" : "answered here", Math.max(0, until - before)], ["transfer", one.transfer_ms ?? one.duration_ms - until],
  ].map(([name, millis], i) => ({ name, i, millis: millis ?? 0 })).filter(({ millis }) => millis > 0);
}

function details(one) {
  $("details-title").textContent = `${one.method} ${one.path}${one.query ? `?${one.query}` : ""}`;
  const parts = timing(one);
  const all = parts.reduce((sum, { millis }) => sum + millis, 0) || 1;
  let x = 0;
  const bars = parts.map(({ i, millis }) => {
    const bar = svg("rect", { class: `t${i}`, x, y: 0, width: (100 * millis) / all, height: 10 });
    x += (100 * millis) / all;
    return bar;
  });
  const words = parts.map(({ name, millis }) => `${name} ${text.millis(millis)}`);
  fill($("timing"), svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", role: "img", "aria-label": `where the time went: ${words.join(", ")}` }, ...bars));
  fill($("timing-key"), ...parts.map(({ i }, at) => {
    const patch = svg("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" }, svg("rect", { class: `t${i}`, width: 10, height: 10, rx: 2 }));
    return el("li", {}, patch, words[at]);
  }));
  const more = explanations.get(one.reason);
  $("details-cure").hidden = !more;
  fill($("details-cure"), ...(more ? [el("strong", {}, one.reason), ": ", ...spelled(`${more.cause}. ${more.cure}`)] : []));
  const fields = Object.entries(one).filter(([, value]) => value !== "");
  fill($("fields"), ...fields.flatMap(([name, value]) => [el("dt", {}, name), el("dd", { class: "mono" }, String(value))]));
  openDialog($("details"));
}
