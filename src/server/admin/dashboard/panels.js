// The parts of the page that only tell: data in, elements out.

import { $, chart, el, fill, number, spelled, table } from "./dom.js";
import { percentile, sumBuckets, text, total } from "./stats.js";

// The series reach back so far. A page that was just opened shows its first minute large.
export const SPAN = 300_000;
const LEAST_SPAN = 60_000;

export function header(stats) {
  const state = $("state");
  state.textContent = stats.ready ? "ready" : stats.phase;
  state.className = `pill ${stats.ready ? "ok" : "warn"}`;
  const facts = [
    ["version", stats.version], ["process", stats.pid], ["up", text.age(stats.uptime_s)], ["configuration", `no. ${stats.generation}`],
    ["connections", text.count(stats.connections.active)], ["in flight", text.count(stats.requests.in_flight)],
  ];
  const troubles = [["refused connections", stats.connections.refused], ["lost log lines", stats.lost_log_lines], ["panics", stats.panics]]
    .filter(([, count]) => count).map(([name, count]) => [name, text.count(count), "fail"]);
  fill($("facts"), ...[...facts, ...troubles].map(([name, value, kind]) => el("div", { class: kind }, el("dt", {}, name), el("dd", {}, String(value)))));
}

// What an interval says.
export function sample(at, routes, seconds, bounds) {
  const requests = total(routes, "requests");
  const buckets = sumBuckets(routes);
  const errors = routes.reduce((sum, route) => sum + route.status["5xx"], 0);
  return {
    at,
    rate: requests / seconds,
    errors: requests ? (100 * errors) / requests : null,
    percentiles: [0.5, 0.9, 0.99].map((part) => percentile(buckets, bounds, part)),
    in: total(routes, "bytes_in") / seconds,
    out: total(routes, "bytes_out") / seconds,
  };
}

const NOTHING = { rate: 0, errors: null, percentiles: [null, null, null], in: 0, out: 0 };

// `now`: the last seconds; `history`: each second.
export function figures(history, now = NOTHING) {
  const times = history.map((one) => one.at);
  const span = Math.min(Math.max(LEAST_SPAN, (times.at(-1) ?? 0) - (times[0] ?? 0)), SPAN);
  const marks = history.filter((one) => one.replaced).map((one) => one.at);
  const of = (value) => history.map((one) => (one.replaced ? null : value(one)));
  const most = (values) => Math.max(0, ...values.filter((value) => value !== null));
  const card = (name, value, more, lines, bad) => el("div", { class: bad ? "figure bad" : "figure" },
    el("p", {}, name), el("strong", {}, value), el("small", {}, ...more), chart(lines, times, span, marks));
  const [rates, errors, out] = [of((one) => one.rate), of((one) => one.errors), of((one) => one.out)];
  const [p50, p90, p99] = now.percentiles;
  const key = (i, words) => el("span", { class: `key key${i}` }, words);
  fill(
    $("figures"),
    card("Requests a second", text.rate(now.rate), [`highest ${text.rate(most(rates))}`], [rates]),
    card("Answered with 5xx", now.errors === null ? "–" : text.percent(now.errors), [`highest ${text.percent(most(errors))}`], [errors], now.errors > 1),
    card("Latency, p99", text.millis(p99), [key(1, `p90 ${text.millis(p90)}`), " ", key(2, `p50 ${text.millis(p50)}`)], [2, 1, 0].map((i) => of((one) => one.percentiles[i]))),
    card("Bytes to clients", `${text.bytes(now.out)}/s`, [key(1, `from clients ${text.bytes(now.in)}/s`)], [out, of((one) => one.in)]),
  );
  const marked = marks.length ? "; a dashed line: another process took over" : "";
  $("figures-note").textContent = `Figures: the last 10 s. Lines: the last ${span > LEAST_SPAN ? `${Math.ceil(span / 60_000)} min` : "minute"}${marked}.`;
}

const COLUMNS = [
  ["name", "Route", (row) => (row.name === "_none" ? "\uffff" : row.name)],
  ["rate", "per s", (row) => row.rate],
  ["2xx", "2xx", (row) => row.status["2xx"]], ["3xx", "3xx", (row) => row.status["3xx"]],
  ["4xx", "4xx", (row) => row.status["4xx"]], ["5xx", "5xx", (row) => row.status["5xx"]],
  ["p50", "p50", (row) => row.p[0]], ["p90", "p90", (row) => row.p[1]], ["p99", "p99", (row) => row.p[2]],
  ["in", "from clients", (row) => row.bytes_in], ["out", "to clients", (row) => row.bytes_out],
];
const FEW = 12;
const sort = { key: "rate", down: true, all: false };

// `recent`: what the same rows got in the last `seconds`, once that is known.
export function routes(rows, recent, seconds, bounds) {
  const latest = new Map((recent ?? []).map((row) => [row.name, row]));
  const told = rows.filter((row) => row.name !== "_none" || row.requests).map((row) => {
    const now = latest.get(row.name);
    return {
      ...row,
      rate: now ? now.requests / seconds : null,
      fresh: now?.status["5xx"] > 0,
      p: [0.5, 0.9, 0.99].map((part) => (now ? percentile(now.latency, bounds, part) : null)),
    };
  });
  if (!told.length) return fill($("routes"), el("p", { class: "nothing" }, "The configuration has none."));
  const value = COLUMNS.find(([key]) => key === sort.key)[2];
  const rank = (row) => value(row) ?? -1;
  told.sort((a, b) => (rank(a) < rank(b) ? -1 : rank(a) > rank(b) ? 1 : 0) * (sort.down ? -1 : 1));
  const again = (change) => () => {
    change();
    routes(rows, recent, seconds, bounds);
  };
  const by = (key) => again(() => {
    sort.down = sort.key === key ? !sort.down : key !== "name";
    sort.key = key;
  });
  const columns = COLUMNS.map(([key, name]) => ({
    head: el("button", { type: "button", onclick: by(key), "data-key": `sort ${key}` }, name),
    n: key !== "name",
    sort: sort.key === key ? (sort.down ? "descending" : "ascending") : undefined,
  }));
  const figure = (shown) => el("td", { class: shown === "–" || shown === "0" ? "n zero" : "n" }, shown);
  const body = told.slice(0, sort.all ? undefined : FEW).map((row) => el("tr", {},
    el("th", { scope: "row", class: "cut", "data-name": row.name, title: row.name }, row.name === "_none" ? "no route" : row.name),
    figure(row.rate === null ? "–" : text.rate(row.rate)),
    ...["2xx", "3xx", "4xx", "5xx"].map((kind) => number(row.status[kind], text.count(row.status[kind]), kind === "5xx" && row.fresh)),
    ...row.p.map((millis) => figure(text.millis(millis))),
    number(row.bytes_in, text.bytes(row.bytes_in)), number(row.bytes_out, text.bytes(row.bytes_out))));
  const more = told.length > FEW && el("button", {
    type: "button", class: "more", "data-key": "all", "aria-expanded": String(sort.all), onclick: again(() => { sort.all = !sort.all; }),
  }, sort.all ? `Only the first ${FEW}` : `All ${told.length} routes`);
  fill($("routes"), table("Routes", columns, body), more || "");
}

// `before`: the same list a minute ago, if that is known.
export function reasons(list, before, known) {
  if (!list.length) return fill($("reasons"), el("p", { class: "nothing" }, "Nothing so far."));
  const about = new Map((known?.reasons ?? []).map((reason) => [reason.reason, reason]));
  const was = new Map((before ?? []).map((row) => [row.reason, row.count]));
  const told = list.map((row) => ({ ...row, fresh: before ? row.count - (was.get(row.reason) ?? 0) : null }));
  const body = told.sort((a, b) => b.fresh - a.fresh || b.count - a.count).map((row) => {
    const more = about.get(row.reason);
    return el("tr", {},
      el("th", { scope: "row", class: "wrap" }, el("span", { class: "mono" }, row.reason),
        more && el("small", {}, ...spelled(`${more.cause[0].toUpperCase()}${more.cause.slice(1)}. ${more.cure}`))),
      el("td", {}, row.source),
      el("td", { class: row.fresh ? (row.source === "client" ? "n" : "n hot") : "n zero" }, row.fresh === null ? "–" : text.count(row.fresh)),
      el("td", { class: "n zero" }, text.count(row.count)));
  });
  return fill($("reasons"), table("Failures by reason",
    [{ head: "Reason, and what to do" }, { head: "Whose" }, { head: "Last min", n: true }, { head: "All", n: true }], body));
}

export function certificates({ certificates: list }) {
  if (!list.length) return fill($("certificates"), el("p", { class: "nothing" }, "No listener has TLS."));
  const body = [...list].sort((a, b) => a.expires_in_s - b.expires_in_s).map((one) => {
    const days = one.expires_in_s / 86400;
    const kind = days < 7 ? "fail" : days < 21 ? "warn" : "ok";
    return el("tr", {},
      el("td", { class: "wrap" }, one.names.join(", "), el("small", {}, `${one.listener} · ${one.file}`), one.error ? el("small", { class: "hot" }, one.error) : undefined),
      el("td", { class: "n" }, el("span", { class: `tag ${kind}` }, days < 0 ? "expired" : days < 1 ? "today" : `${Math.floor(days)} days`), el("small", {}, one.not_after.slice(0, 10))));
  });
  return fill($("certificates"), table("Certificates by expiry", [{ head: "Names, listener and file" }, { head: "Expires", n: true }], body));
}

const OUTCOMES = { in_force: ["ok", "in force"], replaced: ["", "replaced"], refused: ["fail", "refused"] };
let drawn = "";

export function generations({ generations: list }) {
  if (JSON.stringify(list) === drawn) return; // what is open stays open
  const parts = list.map((one, i) => {
    const [kind, words] = OUTCOMES[one.outcome] ?? ["", one.outcome];
    const summary = el("summary", {}, one.generation ? `No. ${one.generation} ` : "", el("span", { class: `tag ${kind}` }, words), ` ${one.at.slice(0, 19).replace("T", " ")} UTC, ${one.by}`);
    if (!one.changes.length && !one.message) return el("p", { class: "plain" }, ...summary.childNodes);
    const changes = one.changes.length ? el("ul", {}, ...one.changes.map((change) => el("li", {}, ...spelled(change)))) : undefined;
    return el("details", { open: i === 0 }, summary, changes, one.message ? el("pre", { class: "mono" }, one.message) : undefined);
  });
  if (fill($("generations"), ...parts)) drawn = JSON.stringify(list);
}
