// The upstreams with their servers, and the buttons that change them.

import { ask } from "./api.js";
import { $, el, fill, number, openDialog, table } from "./dom.js";
import { percentile, text } from "./stats.js";

const STATES = { up: "ok", draining: "warn", disabled: "warn", ejected: "fail", down: "fail" };
// With more servers than these, upstreams in which all is well are one line each.
const FEW = 12;
// What the operator has opened or closed, by name.
const opened = new Map();

const isTroubled = (upstream) => (upstream.unresolved ?? []).length > 0 || upstream.servers.some((server) => server.state !== "up");
const urgency = (upstream) => (upstream.available ? (isTroubled(upstream) ? 1 : 2) : 0);

// `before`: the report of a minute ago, if there is one; `stats`: the figures since then. `changed` is called after a change.
export function upstreams(report, before, stats, bounds, changed) {
  const list = report.upstreams;
  const servers = list.flatMap((upstream) => upstream.servers);
  const takes = list.reduce((sum, upstream) => sum + upstream.available, 0);
  $("upstreams-sum").textContent = servers.length ? `${takes} of ${servers.length} servers take requests` : "";
  if (!list.length) return fill($("upstreams"), el("p", { class: "nothing" }, "The configuration has none."));
  const figures = new Map(stats.map((row) => [row.name, row]));
  const failed = new Map((before?.upstreams ?? []).flatMap((upstream) => upstream.servers.map((server) => [`${upstream.name} ${server.address}`, server.failures])));
  const again = () => upstreams(report, before, stats, bounds, changed);
  const rows = [...list].sort((a, b) => urgency(a) - urgency(b)).flatMap((upstream) => {
    const isOpen = opened.get(upstream.name) ?? (servers.length <= FEW || isTroubled(upstream));
    const head = group(upstream, figures.get(upstream.name), bounds, isOpen, again);
    if (!isOpen) return [head];
    return [
      head,
      ...upstream.servers.map((server) => endpoint(upstream.name, server, failed.get(`${upstream.name} ${server.address}`), changed)),
      ...(upstream.unresolved ?? []).map((name) => el("tr", { class: "server" }, el("td", { class: "mono wrap" }, name.name),
        el("td", { class: "state wrap", colspan: 5 }, el("span", { class: "tag fail" }, "no address"), el("small", {}, name.reason)))),
    ];
  });
  return fill($("upstreams"), table("Upstreams and their servers",
    [{ head: "Server" }, { head: "State" }, { head: "Weight", n: true }, { head: "In flight", n: true }, { head: "Failed", n: true }, { head: "" }], rows));
}

function group(upstream, row, bounds, isOpen, again) {
  const p99 = row ? percentile(row.latency, bounds, 0.99) : null;
  const facts = [`${upstream.available} of ${upstream.servers.length} take requests`];
  if (upstream.queued) facts.push(`${upstream.queued} wait`);
  const minor = [row?.retries ? `${text.count(row.retries)} retries` : "", p99 === null ? "" : `first byte p99 ${text.millis(p99)}`].filter(Boolean);
  const kind = upstream.available ? "facts zero" : "facts hot";
  const toggle = () => {
    opened.set(upstream.name, !isOpen);
    again();
  };
  const button = el("button", { type: "button", class: "name", "data-key": `open ${upstream.name}`, "aria-expanded": String(isOpen), onclick: toggle }, upstream.name);
  return el("tr", { class: "group" }, el("th", { scope: "rowgroup", colspan: 6 }, button,
    el("span", { class: kind }, facts.join(" · ")), minor.length ? el("span", { class: "facts zero" }, minor.join(" · ")) : undefined));
}

function endpoint(upstream, server, failedBefore, changed) {
  const since = server.since ? `for ${text.age(Math.max(0, Date.now() / 1000 - server.since))}` : "";
  const notes = [server.reason, server.backup ? "backup" : "", server.warming === undefined ? "" : `warms up, at ${server.warming} % of its share`].filter(Boolean);
  const weight = server.configured_weight === undefined ? String(server.weight) : `${server.weight}, not ${server.configured_weight}`;
  const room = server.max_connections ? `${server.in_flight} of ${server.max_connections}` : text.count(server.in_flight);
  const isFresh = failedBefore !== undefined && server.failures > failedBefore;
  const button = (label, state) => el("button", {
    type: "button", "data-key": `${state} ${upstream} ${server.address}`, "aria-label": `${label} ${server.address} of ${upstream}`,
    onclick: () => change(upstream, server.address, label, state, changed),
  }, label);
  const buttons = server.state === "draining" || server.state === "disabled"
    ? [button("Enable", "enabled")] : [button("Drain", "draining"), " ", button("Disable", "disabled")];
  const labelled = (label, cell) => {
    cell.dataset.label = label;
    return cell;
  };
  return el("tr", { class: "server" },
    el("td", { class: "mono wrap" }, server.address),
    el("td", { class: "state wrap" }, el("span", { class: `tag ${STATES[server.state] ?? ""}` }, server.state), el("span", { class: "zero" }, since), notes.length ? el("small", {}, notes.join("; ")) : undefined),
    labelled("weight", el("td", { class: server.configured_weight === undefined ? "n zero" : "n" }, weight)),
    labelled("in flight", number(server.in_flight, room)),
    labelled("failed", number(server.failures, `${text.count(server.failures)} of ${text.count(server.requests)}`, isFresh)),
    el("td", { class: "do" }, ...buttons));
}

const MEANING = {
  enabled: "It gets requests again.",
  draining: "It gets no new requests but those of clients that stick to it; what is under way goes on.",
  disabled: "It gets no requests at all; what is under way goes on.",
};

// Asks first. What the process says against it is shown where the question was.
async function change(upstream, server, label, state, changed) {
  const dialog = $("confirm");
  const [act, error] = [dialog.querySelector(".act"), $("confirm-error")];
  $("confirm-title").textContent = `${label} ${server} of ${upstream}?`;
  $("confirm-text").textContent = MEANING[state];
  act.textContent = label;
  act.hidden = false;
  act.disabled = false;
  error.hidden = true;
  error.textContent = "";
  dialog.returnValue = "no";
  const onSubmit = async (event) => {
    if (event.submitter !== act) return;
    event.preventDefault();
    act.disabled = true;
    try {
      const path = `upstreams/${encodeURIComponent(upstream)}/servers/${encodeURIComponent(server)}`;
      const { message } = await ask(path, { method: "PATCH", body: { state } });
      await changed();
      $("note").textContent = message ?? "";
      dialog.close("yes");
    } catch (refused) {
      error.textContent = `Nothing was changed: ${refused.message}.`;
      error.hidden = false;
      act.hidden = true;
      dialog.querySelector("button[value=no]").focus();
    }
  };
  dialog.addEventListener("submit", onSubmit);
  await openDialog(dialog);
  dialog.removeEventListener("submit", onSubmit);
}
