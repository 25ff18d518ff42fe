// One function for each part of the page: data in, elements out.

import { $, chart, el, fill, number, svg, table } from "./dom.js";
import { percentile, sumBuckets, text, total } from "./stats.js";

const SAMPLES = 300;
// A page that was just opened shows its first minute large.
const FEWEST = 60;

export function header(stats) {
  const state = $("state");
  state.textContent = stats.ready ? "ready" : stats.phase;
  state.className = `pill ${stats.ready ? "ok" : "warn"}`;
  const facts = [
    ["version", stats.version], ["process", stats.pid], ["up", text.age(stats.uptime_s)], ["configuration", `no. ${stats.generation}`],
    ["connections", text.count(stats.connections.active)], ["in flight", text.count(stats.requests.in_flight)],
  ];
  if (stats.connections.refused) facts.push(["refused connections", text.count(stats.connections.refused)]);
  if (stats.lost_log_lines) facts.push(["lost log lines", text.count(stats.lost_log_lines)]);
  if (stats.panics) facts.push(["panics", stats.panics]);
  fill($("facts"), ...facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, String(value)))));
}

// What one interval says, for the series.
export function sample(routes, seconds, bounds) {
  const requests = total(routes, "requests");
  const buckets = sumBuckets(routes);
  const errors = routes.reduce((sum, route) => sum + route.status["5xx"], 0);
  return {
    rate: requests / seconds,
    errors: requests ? (100 * errors) / requests : null,
    percentiles: [0.5, 0.9, 0.99].map((part) => percentile(buckets, bounds, part)),
    in: total(routes, "bytes_in") / seconds,
    out: total(routes, "bytes_out") / seconds,
  };
}

export function figures(history) {
  const events = history.flatMap((one, i) => (one?.replaced ? [i] : []));
  const of = (value) => history.map((one) => (one && !one.replaced ? value(one) : null));
  const now = history.at(-1);
  const known = now && !now.replaced ? now : { rate: 0, errors: null, percentiles: [null, null, null], in: 0, out: 0 };
  const card = (name, value, more, series, bad) =>
    el("div", { class: bad ? "figure bad" : "figure" }, el("p", {}, name), el("strong", {}, value), el("small", {}, more), chart(series, Math.max(FEWEST, history.length), events));
  const [p50, p90, p99] = known.percentiles;
  fill(
    $("figures"),
    card("Requests a second", text.rate(known.rate), history.length > FEWEST ? `over ${Math.ceil(history.length / 60)} minutes` : "over a minute", [of((one) => one.rate)]),
    card("Answered with 5xx", text.percent(known.errors ?? 0), "of the last second", [of((one) => one.errors ?? 0)], known.errors > 1),
    card("Latency, p99", text.millis(p99), `p50 ${text.millis(p50)} · p90 ${text.millis(p90)}`, [2, 1, 0].map((i) => of((one) => one.percentiles[i]))),
    card("Bodies to clients", `${text.bytes(known.out)}/s`, `from clients ${text.bytes(known.in)}/s`, [of((one) => one.out), of((one) => one.in)]),
  );
}

const COLUMNS = [
  ["name", "Route", (row) => (row.name === "_none" ? "\uffff" : row.name)],
  ["rate", "per s", (row) => row.rate],
  ["2xx", "2xx", (row) => row.status["2xx"]], ["3xx", "3xx", (row) => row.status["3xx"]],
  ["4xx", "4xx", (row) => row.status["4xx"]], ["5xx", "5xx", (row) => row.status["5xx"]],
  ["p50", "p50", (row) => row.p[0]], ["p90", "p90", (row) => row.p[1]], ["p99", "p99", (row) => row.p[2]],
  ["out", "to clients", (row) => row.bytes_out],
];
const sort = { key: "rate", down: true };

// `recent`: the same rows over the last interval.
export function routes(rows, recent, seconds, bounds) {
  const rates = new Map(recent.map((row) => [row.name, row.requests / seconds]));
  const latest = new Map(recent.map((row) => [row.name, row]));
  const shown = rows.filter((row) => row.name !== "_none" || row.requests).map((row) => {
    const buckets = latest.get(row.name)?.requests ? latest.get(row.name).latency : row.latency;
    return { ...row, rate: rates.get(row.name) ?? 0, p: [0.5, 0.9, 0.99].map((part) => percentile(buckets, bounds, part)) };
  });
  const value = COLUMNS.find(([key]) => key === sort.key)[2];
  const rank = (row) => value(row) ?? -1;
  shown.sort((a, b) => (rank(a) < rank(b) ? -1 : rank(a) > rank(b) ? 1 : 0) * (sort.down ? -1 : 1));
  const again = (key) => () => {
    sort.down = sort.key === key ? !sort.down : key !== "name";
    sort.key = key;
    routes(rows, recent, seconds, bounds);
  };
  const columns = COLUMNS.map(([key, name]) => ({
    head: el("button", { type: "button", onclick: again(key), "data-key": `sort ${key}` }, name),
    n: key !== "name",
    sort: sort.key === key ? (sort.down ? "descending" : "ascending") : undefined,
  }));
  const body = shown.map((row) => el("tr", {},
    el("th", { scope: "row", class: "cut" }, row.name === "_none" ? "no route" : row.name),
    number(row.rate, text.rate(row.rate)),
    ...["2xx", "3xx", "4xx", "5xx"].map((kind) => number(row.status[kind], text.count(row.status[kind]), kind === "5xx")),
    ...row.p.map((millis) => el("td", { class: "n" }, text.millis(millis))),
    number(row.bytes_out, text.bytes(row.bytes_out))));
  fill($("routes"), table("Routes, since the process began; rates and percentiles of the last seconds", columns, body));
}

// Words between backticks are code.
const spelled = (words) => words.split("`").map((part, i) => (i % 2 ? el("code", {}, part) : part));

export function reasons(list, known) {
  if (!list.length) return fill($("reasons"), el("p", { class: "nothing" }, "Nothing so far."));
  const about = new Map((known?.reasons ?? []).map((reason) => [reason.reason, reason]));
  const body = [...list].sort((a, b) => b.count - a.count).map((row) => {
    const more = about.get(row.reason);
    return el("tr", {},
      el("th", { scope: "row", class: "mono" }, row.reason),
      el("td", { class: "n" }, text.count(row.count)),
      el("td", {}, row.source),
      el("td", { class: "why" }, ...(more ? spelled(`${more.cause[0].toUpperCase()}${more.cause.slice(1)}. ${more.cure}`) : [])));
  });
  fill($("reasons"), table("Failures by reason, since the process began",
    [{ head: "Reason" }, { head: "Count", n: true }, { head: "Whose" }, { head: "What it means, and what to do" }], body));
}

const STATES = { up: "ok", draining: "warn", disabled: "warn", ejected: "fail", down: "fail" };

export function upstreams(report, stats, bounds, change) {
  if (!report.upstreams.length) return fill($("upstreams"), el("p", { class: "nothing" }, "The configuration has none."));
  const figures = new Map(stats.map((row) => [row.name, row]));
  const rows = report.upstreams.flatMap((upstream) => {
    const row = figures.get(upstream.name);
    const p99 = row ? percentile(row.latency, bounds, 0.99) : null;
    const facts = [`${upstream.available} of ${upstream.servers.length} take requests`];
    if (upstream.queued) facts.push(`${upstream.queued} wait`);
    if (row?.retries) facts.push(`${text.count(row.retries)} retries`);
    if (p99 !== null) facts.push(`first byte p99 ${text.millis(p99)}`);
    const head = el("tr", { class: "group" }, el("th", { scope: "rowgroup", colspan: 6 }, upstream.name, el("span", { class: upstream.available ? "facts zero" : "facts hot" }, facts.join(" · "))));
    return [head, ...upstream.servers.map((server) => endpoint(upstream.name, server, change)),
      ...(upstream.unresolved ?? []).map((name) => el("tr", {}, el("td", { class: "mono" }, name.name), el("td", {}, el("span", { class: "tag fail" }, "no address")), el("td", { class: "why", colspan: 4 }, name.reason)))];
  });
  fill($("upstreams"), table("Upstreams and their servers",
    [{ head: "Server" }, { head: "State" }, { head: "Why" }, { head: "In flight", n: true }, { head: "Failed", n: true }, { head: "" }], rows));
}

function endpoint(upstream, server, change) {
  const since = server.since ? ` for ${text.age(Math.max(0, Date.now() / 1000 - server.since))}` : "";
  const weight = server.configured_weight === undefined ? "" : `weight ${server.weight} instead of ${server.configured_weight}`;
  const why = [server.reason, weight, server.backup ? "backup" : "", server.warming ? `warms up, ${server.warming} %` : ""];
  const button = (label, state) => el("button", { type: "button", "data-key": `${state} ${upstream} ${server.address}`, "aria-label": `${label} ${server.address} of ${upstream}`, onclick: () => change(upstream, server.address, label, state) }, label);
  const buttons = server.state === "draining" || server.state === "disabled"
    ? [button("Enable", "enabled")] : [button("Drain", "draining"), " ", button("Disable", "disabled")];
  return el("tr", { class: "server" },
    el("td", { class: "mono" }, server.address),
    el("td", { class: "state" }, el("span", { class: `tag ${STATES[server.state] ?? ""}` }, server.state), el("span", { class: "zero" }, since)),
    el("td", { class: "why" }, why.filter(Boolean).join("; ")),
    number(server.in_flight, text.count(server.in_flight)),
    number(server.failures, `${text.count(server.failures)} of ${text.count(server.requests)}`, true),
    el("td", { class: "do" }, ...buttons));
}

export function certificates({ certificates: list }) {
  if (!list.length) return fill($("certificates"), el("p", { class: "nothing" }, "No listener has TLS."));
  const body = [...list].sort((a, b) => a.expires_in_s - b.expires_in_s).map((one) => {
    const days = one.expires_in_s / 86400;
    const kind = days < 7 ? "fail" : days < 21 ? "warn" : "ok";
    return el("tr", {},
      el("td", { class: "why" }, one.names.join(", ")),
      el("td", {}, el("span", { class: `tag ${kind}` }, days < 0 ? "expired" : `${Math.floor(days)} days`)),
      el("td", { class: "mono" }, one.listener),
      el("td", { class: "why" }, one.error ?? one.file));
  });
  fill($("certificates"), table("Certificates by expiry", [{ head: "Names" }, { head: "Left" }, { head: "Listener" }, { head: "File" }], body));
}

const OUTCOMES = { in_force: ["ok", "in force"], replaced: ["", "replaced"], refused: ["fail", "refused"] };
let drawn = "";

export function generations({ generations: list }) {
  if (JSON.stringify(list) === drawn) return; // what is open stays open
  drawn = JSON.stringify(list);
  fill($("generations"), ...list.map((one, i) => {
    const [kind, words] = OUTCOMES[one.outcome] ?? ["", one.outcome];
    const summary = el("summary", {}, one.generation ? `No. ${one.generation} ` : "", el("span", { class: `tag ${kind}` }, words), ` ${one.at.slice(0, 19).replace("T", " ")} UTC, ${one.by}`);
    if (!one.changes.length && !one.message) return el("p", { class: "plain" }, ...summary.childNodes);
    const changes = one.changes.length ? el("ul", {}, ...one.changes.map((change) => el("li", {}, change))) : undefined;
    return el("details", { open: i === 0 }, summary, changes, one.message ? el("pre", { class: "mono" }, one.message) : undefined);
  }));
}

const PARTS = ["queue", "connect", "tls", "upstream", "transfer"];

export function details(one) {
  $("details-title").textContent = `${one.method} ${one.path}${one.query ? `?${one.query}` : ""}`;
  const before = (one.queue_ms ?? 0) + (one.connect_ms ?? 0) + (one.tls_ms ?? 0);
  const parts = [one.queue_ms ?? 0, one.connect_ms ?? 0, one.tls_ms ?? 0, Math.max(0, (one.ttfb_ms ?? one.duration_ms) - before), one.transfer_ms ?? 0];
  const all = parts.reduce((sum, part) => sum + part, 0) || 1;
  let x = 0;
  const bars = parts.map((part, i) => {
    const bar = svg("rect", { class: `t${i}`, x, y: 0, width: (100 * part) / all, height: 10 }, svg("title", {}, `${PARTS[i]} ${text.millis(part)}`));
    x += (100 * part) / all;
    return bar;
  });
  const label = parts.map((part, i) => (part ? `${PARTS[i]} ${text.millis(part)}` : "")).filter(Boolean).join(", ");
  fill($("timing"), svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", role: "img", "aria-label": label }, ...bars));
  const rows = [["time", label], ...Object.entries(one)].filter(([, value]) => value !== "");
  fill($("fields"), ...rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", { class: "mono" }, String(value))]));
  $("details").showModal();
}

export const noTail = (why) => fill($("tail"), el("p", { class: "nothing" }, `There is no live tail: ${why}`));

export function tail(list, filtered) {
  if (!list.length) return fill($("tail"), el("p", { class: "nothing" }, filtered ? "Nothing yet that fits." : "Nothing yet."));
  const body = list.map((one) => {
    const kind = one.status >= 500 || one.status === 0 ? "hot" : one.status >= 400 ? "" : "zero";
    const open = el("button", { type: "button", class: "mono", "data-key": String(one.seq) }, `${one.path}${one.query ? `?${one.query}` : ""}`);
    return el("tr", { class: "request", onclick: () => details(one) },
      el("td", { class: "mono zero" }, one.ts.slice(11, 23)), el("td", { class: kind }, String(one.status)), el("td", {}, one.method),
      el("td", { class: "cut" }, open), el("td", { class: "n" }, text.millis(one.duration_ms)),
      el("td", { class: "cut" }, one.route ?? ""), el("td", { class: "mono zero" }, one.upstream ?? ""), el("td", { class: "mono" }, one.reason ?? ""), el("td", { class: "mono zero" }, one.client_ip ?? ""));
  });
  fill($("tail"), table("Requests, newest first", [{ head: "Time" }, { head: "Status" }, { head: "Method" }, { head: "Path" }, { head: "Took", n: true }, { head: "Route" }, { head: "Server" }, { head: "Reason" }, { head: "Client" }], body));
}

export { SAMPLES };
