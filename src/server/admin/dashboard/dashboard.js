// The page: it asks each second while it is seen, keeps five minutes of history, and says so when nobody answers.

import { Refused, ask, lacksToken, token } from "./api.js";
import { $, el, fill } from "./dom.js";
import * as panels from "./panels.js";
import * as requests from "./requests.js";
import { upstreams } from "./servers.js";
import { GAP, added, sameProcess, since, text, total } from "./stats.js";

// Rates are those of the last 10 s; what is rare, and percentiles of routes, need a minute.
const [SHORT, LONG] = [10, 60];

const history = [];
// Of the last minute, the oldest first.
let looks = [];
const shown = { stats: undefined, reasons: undefined, next: undefined, paused: false, mayAsk: false, answered: undefined };
let tailing = new AbortController();

// Pauses end early when there is something new to ask with.
const sleepers = new Set();
const wait = (ms) => new Promise((resolve) => {
  const done = () => { sleepers.delete(done); resolve(); };
  sleepers.add(done);
  setTimeout(done, ms);
});
const wake = () => [...sleepers].forEach((done) => done());

function remember(one) {
  history.push(one);
  while (one.at - history[0].at > panels.SPAN) history.shift();
}

// Takes a look into the history.
function compare(stats, report) {
  const before = shown.stats;
  const seconds = before ? (stats.at_ms - before.at_ms) / 1000 : 0;
  if (before && (!sameProcess(stats, before) || seconds < 0)) {
    // An upgrade: everything is counted anew, and so are the requests of the tail.
    looks = [];
    if (seconds < 0) history.length = 0;
    remember({ at: stats.at_ms, replaced: true });
    shown.next = undefined;
    tailing.abort();
    tailing = new AbortController();
  } else if (seconds > 0 && seconds * 1000 <= GAP) {
    remember(panels.sample(stats.at_ms, added(stats.routes, before.routes), seconds, stats.bounds_ms));
  }
  looks = [...looks.filter((look) => stats.at_ms - look.at <= LONG * 1000 + 500), { at: stats.at_ms, stats, report }];
  shown.stats = stats;
}

async function look() {
  if (!shown.mayAsk && (await lacksToken())) throw new Refused(401, "a token is missing");
  const [stats, report] = await Promise.all([ask("stats"), ask("upstreams")]);
  shown.mayAsk = true;
  if (shown.stats && shown.stats.generation !== stats.generation) lookSeldom().catch(() => {});
  compare(stats, report);
  draw(stats, report);
}

function draw(stats, report) {
  const recent = (seconds) => {
    const from = since(looks, stats.at_ms, seconds);
    return from && { from, seconds: (stats.at_ms - from.at) / 1000, routes: added(stats.routes, from.stats.routes) };
  };
  const [short, long] = [recent(SHORT), recent(LONG)];
  const now = short && panels.sample(stats.at_ms, short.routes, short.seconds, stats.bounds_ms);
  panels.header(stats);
  $("empty").hidden = total(stats.routes, "requests") > 0;
  panels.figures(history, now);
  panels.routes(stats.routes, long?.routes, long?.seconds, stats.bounds_ms);
  panels.reasons(stats.reasons, long?.from.stats.reasons, shown.reasons);
  upstreams(report, long?.from.report, added(stats.upstreams, long?.from.stats.upstreams ?? stats.upstreams), stats.bounds_ms, look);
  requests.showFresh();
  offer("route-names", stats.routes.map((row) => row.name).filter((name) => name !== "_none"));
  offer("reason-words", stats.reasons.map((row) => row.reason));
  document.title = `${now?.errors > 1 ? `${text.percent(now.errors)} 5xx` : $("state").textContent} · pingora-proxy`;
}

// What a field of the filter suggests.
function offer(id, names) {
  if ([...$(id).children].map((option) => option.value).join() !== names.join()) fill($(id), ...names.map((name) => el("option", { value: name })));
}

async function lookSeldom() {
  if (!shown.mayAsk) return;
  if (!shown.reasons) {
    shown.reasons = await ask("reasons");
    requests.explain(shown.reasons.reasons);
  }
  panels.certificates(await ask("certificates"));
  panels.generations(await ask("generations"));
}

// Each part that runs on its own: again and again while the page is seen, more seldom while it fails.
async function repeat(work, every) {
  for (let failed = 0; ; ) {
    if (document.hidden) {
      await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
      continue;
    }
    let fault;
    try {
      await work();
    } catch (error) {
      if (error.name !== "AbortError") fault = error;
    }
    failed = fault ? failed + 1 : 0;
    const pause = failed ? Math.min(1000 * 2 ** (failed - 1), 15000) : every();
    if (work === look) connected(fault, pause);
    await wait(pause);
  }
}

function connected(fault, pause) {
  const wantsToken = fault instanceof Refused && fault.status === 401;
  document.body.classList.toggle("stale", !!fault);
  const isNew = wantsToken && $("token-form").hidden;
  $("token-form").hidden = !wantsToken;
  $("main").hidden = wantsToken;
  if (isNew) $("token").focus();
  $("banner").hidden = !fault || wantsToken;
  if (!fault) return void (shown.answered = new Date());
  if (wantsToken) {
    $("token-error").hidden = !token.get();
    shown.mayAsk = false;
    token.clear();
  }
  const [state, kind] = wantsToken ? ["token needed", "warn"] : fault instanceof Refused ? ["refused", "fail"] : ["no answer", "fail"];
  $("state").textContent = state;
  $("state").className = `pill ${kind}`;
  document.title = `${state} · pingora-proxy`;
  const since = shown.answered ? ` since ${shown.answered.toLocaleTimeString("en-GB")}; what is shown is from then` : "";
  $("banner").textContent = fault instanceof Refused ? `The process refuses to tell: ${fault.message}.`
    : `The process does not answer${since}. Asked again in ${Math.round(pause / 1000)} s.`;
}

// All values of a request, to look for text in.
const says = (one, words) => Object.values(one).some((value) => String(value).toLowerCase().includes(words));

async function follow() {
  if (shown.paused || !shown.mayAsk) return;
  const { text: words, ...wanted } = Object.fromEntries(new FormData($("filter")));
  const query = new URLSearchParams({ wait: "10s", limit: "500" });
  if (shown.next !== undefined) query.set("after", shown.next);
  for (const [name, value] of Object.entries(wanted)) if (value) query.set(name, value);
  const { signal } = tailing;
  let answer;
  try {
    answer = await ask(`requests?${query}`, { signal });
  } catch (error) {
    if (error instanceof Refused && error.status !== 401) requests.noTail(error.message);
    throw error;
  }
  // What came for another filter, or while the tail was paused, is asked for again.
  if (signal.aborted || shown.paused) return;
  shown.next = answer.next;
  requests.add(answer.requests.filter((one) => says(one, words.toLowerCase())), answer.lost);
}

function startOver() {
  tailing.abort();
  tailing = new AbortController();
  shown.next = undefined;
  requests.clear();
  wake();
}

$("pause").addEventListener("click", () => {
  shown.paused = !shown.paused;
  $("pause").setAttribute("aria-pressed", String(shown.paused));
  $("pause").textContent = shown.paused ? "Go on" : "Pause";
  if (!shown.paused) wake();
});
let typing;
$("filter").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(startOver, 250);
});
$("filter").addEventListener("submit", (event) => event.preventDefault());
$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token.set($("token").value.trim());
  $("token").value = "";
  startOver();
});

panels.figures([]);
requests.clear();
repeat(look, () => 1000);
repeat(lookSeldom, () => (shown.mayAsk ? 10000 : 300));
repeat(follow, () => (shown.paused || !shown.mayAsk ? 300 : 1000));
