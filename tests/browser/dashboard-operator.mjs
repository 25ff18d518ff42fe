// Drives the admin dashboard in headless Chromium while requests go through the proxy.
//
//   ADMIN_URL=http://127.0.0.1:PORT PROXY_URL=http://127.0.0.1:PORT node tests/browser/dashboard-operator.mjs
//
// ADMIN_URL    the admin endpoint
// PROXY_URL    a listener of the same process
// ADMIN_TOKEN  what the page is to be given if it asks for a token
// SCREENSHOTS  a folder for screenshots
// CHROMIUM     as for demo.mjs
//
// Needs Node 20 and no packages. A server is drained and enabled again where the endpoint allows it.

import { request } from "node:http";
import { join } from "node:path";

import { openPage, report, runScenario, sleep, takeScreenshot, waitFor } from "./chromium.mjs";

const { ADMIN_URL, PROXY_URL, ADMIN_TOKEN, SCREENSHOTS } = process.env;
if (!ADMIN_URL || !PROXY_URL) {
  console.error("usage: ADMIN_URL=... PROXY_URL=... node dashboard-operator.mjs");
  process.exit(2);
}
const home = new URL("/", ADMIN_URL).href;
const soon = (ms = 15_000) => Date.now() + ms;

// What a stranger sends to be shown to an operator.
const HOSTILE_AGENT = "<img src=x onerror=window.hostile=1><script>window.hostile=1</script>";
const HOSTILE_PATH = "/<img/src=x/onerror=window.hostile=1>";
// The log may have it escaped.
const HOSTILE_SHOWN = [HOSTILE_PATH, HOSTILE_PATH.replace("<", "%3C").replace(">", "%3E")];

// Sends a request as it is written here: `fetch` would escape the path.
const send = (path, agent = "dashboard-test") => new Promise((resolve, reject) => {
  const { hostname, port } = new URL(PROXY_URL);
  const sent = request({ hostname, port, path, headers: { "user-agent": agent }, agent: false }, (response) => {
    response.resume();
    response.on("end", () => resolve(response.statusCode));
  });
  sent.on("error", reject);
  sent.end();
});

// Requests that go on until they are stopped.
function traffic() {
  let goes = true;
  let sent = 0;
  const done = (async () => {
    while (goes) {
      await send(`/dashboard-test/${sent}`);
      sent += 1;
      await sleep(60);
    }
  })();
  return { stop: () => { goes = false; return done; } };
}

const KEYS = { Enter: [13, "\r"], Escape: [27], Tab: [9] };
async function press(page, key) {
  const [code, text] = KEYS[key];
  const event = { key, code: key, windowsVirtualKeyCode: code, nativeVirtualKeyCode: code };
  await page.call("Input.dispatchKeyEvent", { type: "keyDown", ...event, ...(text && { text }) });
  await page.call("Input.dispatchKeyEvent", { type: "keyUp", ...event });
}

const set = (page, name, value) => page.evaluate(`(() => {
  const field = document.querySelector('#filter [name="${name}"]');
  field.value = ${JSON.stringify(value)};
  field.dispatchEvent(new Event("input", { bubbles: true }));
})()`);
const focus = (page, selector) => page.evaluate(`(() => {
  const node = document.querySelector(${JSON.stringify(selector)});
  node?.focus();
  return !!node && document.activeElement === node;
})()`);
const width = (page, pixels, height = 900) => page.call("Emulation.setDeviceMetricsOverride", {
  width: pixels, height, mobile: pixels < 600, deviceScaleFactor: 1,
});
const scheme = (page, value) => page.call("Emulation.setEmulatedMedia", {
  features: [{ name: "prefers-color-scheme", value }],
});
const photo = (page, name) => (SCREENSHOTS ? takeScreenshot(page, join(SCREENSHOTS, `${name}.png`)) : undefined);

// What the tail shows: status and text of each row.
const rows = (page) => page.evaluate(`[...document.querySelectorAll("#tail tbody tr")].map((row) => ({
  status: row.querySelector("[data-status]").textContent, text: row.textContent,
}))`);

async function opens(page) {
  await width(page, 1440);
  await page.call("Page.navigate", { url: home });
  await waitFor(page, `/ready|token/.test(document.querySelector("#state")?.textContent)`, soon());
  const asks = await page.evaluate(`!document.querySelector("#token-form").hidden`);
  if (asks) {
    report(!!ADMIN_TOKEN, "it asks for a token, and ADMIN_TOKEN is one");
    await page.evaluate(`document.querySelector("#token").value = ${JSON.stringify(ADMIN_TOKEN ?? "")}`);
    await focus(page, "#token");
    await press(page, "Enter");
  }
  const ready = await waitFor(page, `document.querySelector("#state").textContent === "ready"`, soon());
  report(ready, "the page opens and says that the process is ready");
  return ready;
}

// The functions that turn counts into figures, in the browser that runs them.
async function arithmetic(page) {
  const wrong = await page.evaluate(`import("./stats.js").then(({ added, percentile, sameProcess }) => {
    const wrong = [];
    const is = (what, found, wanted) => { if (JSON.stringify(found) !== JSON.stringify(wanted)) wrong.push(what + ": " + JSON.stringify(found)); };
    is("half of one bucket", percentile([0, 10, 0], [10, 20], 0.5), 15);
    is("the first bucket begins at 0", percentile([4, 0, 0], [10, 20], 0.5), 5);
    is("across buckets", percentile([5, 5, 0], [10, 20], 0.9), 18);
    is("above all bounds", percentile([0, 0, 3], [10, 20], 0.5), 20);
    is("no request", percentile([0, 0, 0], [10, 20], 0.99), null);
    const row = (name, requests) => ({ name, requests, latency: [requests, 0] });
    is("a difference", added([row("a", 7)], [row("a", 3)]), [row("a", 4)]);
    is("a route that is new", added([row("b", 2)], [row("a", 3)]), [row("b", 2)]);
    is("a count that went back", sameProcess({ pid: 1, routes: [row("a", 1)] }, { pid: 1, routes: [row("a", 3)] }), false);
    is("another process", sameProcess({ pid: 2, routes: [row("a", 9)] }, { pid: 1, routes: [row("a", 3)] }), false);
    return wrong;
  })`);
  report(wrong.length === 0, `differences and percentiles are right${wrong.length ? `: ${wrong.join("; ")}` : ""}`);
}

async function showsTraffic(page) {
  report(await waitFor(page, `parseFloat(document.querySelector("#figures strong").textContent) > 0`, soon()), "requests a second are above 0");
  report(await waitFor(page, `document.querySelectorAll("#routes tbody tr").length > 0`, soon()), "there are routes");
  const mark = `/dashboard-test/newest-${Date.now()}`;
  await send(mark);
  report(await waitFor(page, `document.querySelector("#tail").textContent.includes(${JSON.stringify(mark)})`, soon()), "a request comes to the tail");
  const times = await page.evaluate(`[...document.querySelectorAll("#tail tbody tr")].map((row) => Number(row.querySelector("[data-key]").dataset.key))`);
  report(times.length > 1 && times.every((seq, i) => i === 0 || seq < times[i - 1]), "the newest is on top");
  report(times.length <= 500, `${times.length} rows, at most 500`);
}

async function sortsByKeyboard(page) {
  const button = `#routes button[data-key="sort name"]`;
  const order = () => page.evaluate(`[...document.querySelectorAll("#routes tbody th")].map((cell) => cell.dataset.name)`);
  const direction = () => page.evaluate(`document.querySelector('#routes th:has(> [data-key="sort name"])').getAttribute("aria-sort")`);
  // What no route took is named after all of them.
  const rank = (name) => (name === "_none" ? "\uffff" : name);
  const compare = (a, b) => (rank(a) < rank(b) ? -1 : Number(rank(a) > rank(b)));
  report(await focus(page, button), "a column's name takes the focus");
  await press(page, "Enter");
  const up = await order();
  report((await direction()) === "ascending" && up.every((name, i) => i === 0 || compare(up[i - 1], name) <= 0), `Enter sorts by name: ${up.slice(0, 5).join(", ")}`);
  await sleep(1500);
  report(await page.evaluate(`document.activeElement?.dataset.key === "sort name"`), "the focus stays where it is when the figures change");
  await press(page, "Enter");
  const down = await order();
  report((await direction()) === "descending" && down.every((name, i) => i === 0 || compare(down[i - 1], name) >= 0), "Enter again turns the order round");
}

async function filters(page) {
  const mark = `/dashboard-test/filter-${Date.now()}`;
  await send(mark);
  await set(page, "path", mark);
  const only = `(() => { const rows = [...document.querySelectorAll("#tail tbody tr")]; return rows.length === 1 && rows[0].textContent.includes(${JSON.stringify(mark)}); })()`;
  report(await waitFor(page, only, soon()), "a path leaves one row");
  const [{ status }] = await rows(page);
  await set(page, "status", `${status[0]}xx`);
  report(await waitFor(page, only, soon()), `its class, ${status[0]}xx, leaves it`);
  await set(page, "status", status[0] === "2" ? "5xx" : "2xx");
  report(await waitFor(page, `!document.querySelector("#tail tbody tr")`, soon()), "another class leaves none");
  await set(page, "status", "");
  await set(page, "text", "dashboard-test");
  report(await waitFor(page, only, soon()), "a text of its user agent leaves it");
  await set(page, "text", "no-such-text-anywhere");
  report(await waitFor(page, `!document.querySelector("#tail tbody tr")`, soon()), "another text leaves none");
  for (const name of ["path", "text"]) await set(page, name, "");
  report(await waitFor(page, `document.querySelectorAll("#tail tbody tr").length > 1`, soon()), "without filters all are back");
}

async function pauses(page) {
  await focus(page, "#pause");
  await press(page, "Enter");
  const mark = `/dashboard-test/paused-${Date.now()}`;
  const shown = `document.querySelector("#tail").textContent.includes(${JSON.stringify(mark)})`;
  await send(mark);
  await sleep(2500);
  report(!(await page.evaluate(shown)), "nothing moves while the tail is paused");
  await press(page, "Enter");
  report(await waitFor(page, shown, soon()), "what came meanwhile is there afterwards");
}

async function hostileIsText(page) {
  await send(HOSTILE_PATH, HOSTILE_AGENT);
  await set(page, "text", "onerror=window.hostile");
  const found = await waitFor(page, `document.querySelectorAll("#tail tbody tr").length === 1 && ${JSON.stringify(HOSTILE_SHOWN)}.some((path) => document.querySelector("#tail").textContent.includes(path))`, soon());
  report(found, "a hostile request is in the tail");
  if (!found) return;
  report(await focus(page, "#tail tbody [data-key]"), "a row takes the focus");
  await press(page, "Enter");
  report(await waitFor(page, `document.querySelector("#details").open`, soon(3000)), "Enter opens its details");
  const details = await page.evaluate(`document.querySelector("#details").textContent`);
  report(details.includes(HOSTILE_AGENT), "its user agent is there as it was sent");
  report(HOSTILE_SHOWN.some((path) => details.includes(path)), "its path as well");
  report(await page.evaluate(`!!document.querySelector("#details svg[aria-label]")`), "a bar says where the time went");
  report(await page.evaluate(`window.hostile === undefined && !document.querySelector("main img, dialog img, dialog script, main script")`), "nothing of it became an element");
  await photo(page, "details");
  await press(page, "Escape");
  report(await waitFor(page, `!document.querySelector("#details").open && !!document.activeElement?.closest("#tail")`, soon(3000)), "Escape closes them, and the focus is back in the tail");
  await set(page, "text", "");
}

// The dialog before a change, and what the endpoint says to it.
async function drains(page) {
  // A server that others can stand in for, if there is one.
  const name = await page.evaluate(`(() => {
    document.querySelectorAll('#upstreams button[aria-expanded="false"]').forEach((button) => button.click());
    return document.querySelector('#upstreams [data-key^="draining "]')?.dataset.key;
  })()`);
  if (!name) return report(true, "no server could be drained here");
  const selector = (key) => `#upstreams [data-key=${JSON.stringify(key)}]`;
  const open = async (key) => {
    await focus(page, selector(key));
    await press(page, "Enter");
    return waitFor(page, `document.querySelector("#confirm").open && !!document.activeElement?.closest("#confirm")`, soon(3000));
  };
  report(await open(name), "Drain asks first, and the dialog has the focus");
  await photo(page, "confirm");
  await press(page, "Enter");
  report(await waitFor(page, `!document.querySelector("#confirm").open`, soon(3000)), "Enter alone changes nothing");
  report(await waitFor(page, `document.activeElement?.dataset.key === ${JSON.stringify(name)}`, soon(3000)), "the focus is back on its button");
  await open(name);
  await page.evaluate(`document.querySelector("#confirm .act").focus()`);
  await press(page, "Enter");
  const drained = name.replace("draining ", "enabled ");
  await waitFor(page, `!!document.querySelector(${JSON.stringify(selector(drained))}) || !document.querySelector("#confirm-error").hidden`, soon());
  const refused = await page.evaluate(`document.querySelector("#confirm-error").textContent`);
  if (refused) {
    report(/only tells/.test(refused), `the endpoint's refusal is shown: ${refused}`);
    await photo(page, "refused");
    await press(page, "Escape");
    return true;
  }
  report(await waitFor(page, `!!document.querySelector(${JSON.stringify(selector(drained))})`, soon()), "the server drains");
  await open(drained);
  await page.evaluate(`document.querySelector("#confirm .act").focus()`);
  await press(page, "Enter");
  report(await waitFor(page, `!!document.querySelector(${JSON.stringify(selector(name))})`, soon()), "and is enabled again");
  return false;
}

// A button stays the same while it is pressed, however often the figures around it change.
async function slowClick(page) {
  const at = await page.evaluate(`(() => {
    const button = document.querySelector('#routes button[data-key="sort rate"]');
    button.scrollIntoView({ block: "center" });
    const { left, top, width, height } = button.getBoundingClientRect();
    return { x: left + width / 2, y: top + height / 2 };
  })()`);
  const mouse = (type) => page.call("Input.dispatchMouseEvent", { type, ...at, button: "left", clickCount: 1 });
  await mouse("mousePressed");
  await sleep(2500);
  await mouse("mouseReleased");
  report(await waitFor(page, `document.querySelector('#routes th:has(> [data-key="sort rate"])').getAttribute("aria-sort") === "descending"`, soon(3000)), "a slow click counts");
}

async function fits(page) {
  for (const colours of ["light", "dark"]) {
    await scheme(page, colours);
    for (const pixels of [360, 768, 1440, 1920]) {
      await width(page, pixels);
      await sleep(300);
      const over = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
      report(over === 0, `no sideways scrolling at ${pixels} px, ${colours}`);
      const path = await page.evaluate(`document.querySelector("#tail .request td:nth-child(4)").getBoundingClientRect().width`);
      report(path >= 140, `paths have ${Math.round(path)} px there`);
      await photo(page, `${colours}-${pixels}`);
    }
  }
  await scheme(page, "light");
  await width(page, 1440);
}

async function restsWhileHidden(page, asked) {
  const hide = (hidden) => page.evaluate(`(() => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => ${hidden} });
    document.dispatchEvent(new Event("visibilitychange"));
  })()`);
  await hide(true);
  await sleep(2000); // what was under way ends
  const before = asked("/stats");
  await sleep(3000);
  report(asked("/stats") === before, "a tab that is not seen asks for nothing");
  await hide(false);
  const deadline = soon();
  while (asked("/stats") === before && Date.now() < deadline) await sleep(100);
  report(asked("/stats") > before, "it goes on when it is seen again");
}

async function saysWhenNobodyAnswers(page) {
  const offline = (is) => page.call("Network.emulateNetworkConditions", { offline: is, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });
  await offline(true);
  report(await waitFor(page, `!document.querySelector("#banner").hidden && document.querySelector("#state").textContent === "no answer"`, soon()), "it says when the process does not answer");
  report(await page.evaluate(`document.querySelectorAll("#routes tbody tr").length > 0`), "the last figures stay");
  await photo(page, "no-answer");
  await offline(false);
  report(await waitFor(page, `document.querySelector("#banner").hidden && document.querySelector("#state").textContent === "ready"`, soon(40_000)), "it goes on by itself");
}

async function scenario(connection) {
  const errors = [];
  const asked = [];
  connection.listen(({ method, params }) => {
    if (method === "Runtime.exceptionThrown") errors.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    // Violations of the content security policy come this way too.
    if (method === "Log.entryAdded" && params.entry.level === "error") errors.push(`${params.entry.text} ${params.entry.url ?? ""}`);
    if (method === "Runtime.consoleAPICalled" && params.type === "error") errors.push(params.args.map((arg) => arg.value).join(" "));
    if (method === "Network.requestWillBeSent") asked.push(params.request.url);
  });
  const policy = (await fetch(home)).headers.get("content-security-policy") ?? "";
  report(policy.includes("default-src 'none'") && !policy.includes("unsafe"), `content security policy: ${policy}`);

  const page = await openPage(connection);
  for (const domain of ["Page", "Runtime", "Log", "Network"]) await page.call(`${domain}.enable`);
  await send("/dashboard-test/first");
  if (!(await opens(page))) return;
  const requests = traffic();
  await arithmetic(page);
  await showsTraffic(page);
  await sortsByKeyboard(page);
  await filters(page);
  await pauses(page);
  await hostileIsText(page);
  await slowClick(page);
  await fits(page);
  const refused = await drains(page);
  await restsWhileHidden(page, (path) => asked.filter((url) => new URL(url).pathname.endsWith(path)).length);
  await requests.stop();

  // Browsers write every 403 into the console; the refused change is one.
  const red = errors.filter((text) => !(refused && text.includes("403") && text.includes("/servers/")));
  report(red.length === 0, `nothing red in the console${red.length ? `: ${red.join("; ")}` : ""}`);
  const outside = asked.filter((url) => !url.startsWith(home) && !url.startsWith("data:") && url !== "about:blank");
  report(outside.length === 0, `nothing was asked for elsewhere${outside.length ? `: ${outside.join(", ")}` : ""}`);
  await saysWhenNobodyAnswers(page);
}

await runScenario(scenario);
