// The page: it asks each second while it is seen, keeps five minutes of history, and says so when nobody answers.

import { Refused, ask, lacksToken, token } from "./api.js";
import { $ } from "./dom.js";
import * as panels from "./panels.js";
import { added, sameProcess, total } from "./stats.js";

const history = [];
const requests = [];
const shown = { stats: undefined, reasons: undefined, next: undefined, paused: false, mayAsk: false };
let tailing = new AbortController();

// Pauses end early when there is something new to ask with.
const sleepers = new Set();
const wait = (ms) => new Promise((resolve) => {
  const done = () => { sleepers.delete(done); resolve(); };
  sleepers.add(done);
  setTimeout(done, ms);
});
const wake = () => [...sleepers].forEach((done) => done());

function remember(sample) {
  history.push(sample);
  if (history.length > panels.SAMPLES) history.shift();
}

async function look() {
  if (await lacksToken()) throw new Refused(401, "a token is missing");
  shown.mayAsk = true;
  const stats = await ask("stats");
  const before = shown.stats;
  shown.stats = stats;
  const seconds = before ? (stats.at_ms - before.at_ms) / 1000 : 0;
  panels.header(stats);
  $("empty").hidden = total(stats.routes, "requests") > 0;
  if (before && !sameProcess(stats, before)) {
    remember({ replaced: true });
  } else if (before && seconds > 5) {
    remember(null); // it was not looked at for a while
  } else if (before && seconds > 0) {
    const recent = added(stats.routes, before.routes);
    remember(panels.sample(recent, seconds, stats.bounds_ms));
    panels.routes(stats.routes, recent, seconds, stats.bounds_ms);
  } else {
    panels.routes(stats.routes, [], 1, stats.bounds_ms);
  }
  panels.figures(history.length ? history : [null]);
  panels.reasons(stats.reasons, shown.reasons);
  panels.upstreams(await ask("upstreams"), stats.upstreams, stats.bounds_ms, change);
}

async function lookSeldom() {
  if (!shown.mayAsk) return;
  shown.reasons ??= await ask("reasons");
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
    try {
      await work();
      failed = 0;
      if (work === look) connected(true);
    } catch (error) {
      if (error.name !== "AbortError") {
        failed += 1;
        if (work === look) connected(false, error);
      }
    }
    await wait(failed ? Math.min(1000 * 2 ** failed, 15000) : every());
  }
}

function connected(is, error) {
  document.body.classList.toggle("stale", !is);
  const wantsToken = error instanceof Refused && error.status === 401;
  const isNew = wantsToken && $("token-form").hidden;
  $("token-form").hidden = !wantsToken;
  $("main").hidden = wantsToken;
  if (isNew) $("token").focus();
  $("banner").hidden = is || wantsToken;
  if (!is && wantsToken) {
    shown.mayAsk = false;
    token.clear();
    $("state").textContent = "token needed";
    $("state").className = "pill warn";
  } else if (!is) {
    $("state").textContent = "no answer";
    $("state").className = "pill fail";
    $("banner").textContent = `The process does not answer (${error.message}). The figures are the last ones; it is asked again.`;
  }
}

const isFiltered = () => [...new FormData($("filter")).values()].some(Boolean);

async function follow() {
  if (shown.paused || !shown.mayAsk) return wait(200);
  const query = new URLSearchParams({ wait: "10s", limit: "200" });
  if (shown.next !== undefined) query.set("after", shown.next);
  for (const [name, value] of new FormData($("filter"))) if (value) query.set(name, value);
  let answer;
  try {
    answer = await ask(`requests?${query}`, { signal: tailing.signal });
  } catch (error) {
    if (error instanceof Refused && error.status !== 401) panels.noTail(error.message);
    throw error;
  }
  shown.next = answer.next;
  requests.unshift(...answer.requests.reverse());
  requests.length = Math.min(requests.length, 500);
  if (!shown.paused) panels.tail(requests.slice(0, 200), isFiltered());
}

function startOver() {
  tailing.abort();
  tailing = new AbortController();
  shown.next = undefined;
  requests.length = 0;
  panels.tail(requests, isFiltered());
}

async function change(upstream, server, label, state) {
  const dialog = $("confirm");
  $("confirm-title").textContent = `${label} ${server} of ${upstream}?`;
  $("confirm-text").textContent = {
    enabled: "It gets requests again.",
    draining: "It gets no new requests but those of clients that stick to it; what is under way goes on.",
    disabled: "It gets no requests at all; what is under way goes on.",
  }[state];
  dialog.querySelector(".act").textContent = label;
  dialog.returnValue = "no";
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  if (dialog.returnValue !== "yes") return;
  try {
    await ask(`upstreams/${encodeURIComponent(upstream)}/servers/${encodeURIComponent(server)}`, { method: "PATCH", body: { state } });
    await look();
  } catch (error) {
    $("banner").hidden = false;
    $("banner").textContent = `Nothing was changed: ${error.message}`;
    setTimeout(() => { $("banner").hidden = true; }, 12000);
  }
}

$("pause").addEventListener("click", () => {
  shown.paused = !shown.paused;
  $("pause").setAttribute("aria-pressed", String(shown.paused));
  $("pause").textContent = shown.paused ? "Go on" : "Pause";
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
  wake();
});

panels.figures([null]);
panels.tail([]);
repeat(look, () => 1000);
repeat(lookSeldom, () => (shown.reasons ? 10000 : 300));
repeat(follow, () => 100);
