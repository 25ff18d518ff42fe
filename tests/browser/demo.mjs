// Drives the demo page in headless Chromium and checks that every card works.
//
//   node tests/browser/demo.mjs URL [screenshot-prefix]
//
// CHROMIUM            browser binary (default /usr/bin/chromium)
// DEMO_IGNORE_CERT=1  accept a self-signed certificate
// DEMO_EXPECT_PROXY=1 also require that the page saw forwarding headers
//
// Needs Node 20 and no packages: it speaks the DevTools protocol over pipes.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const CARDS = ["echo", "login", "static", "notes", "upload", "download", "sse", "ws"];
const DEADLINE_MS = 60_000;
const WIDTHS = [
  ["desktop", 1280, 900, false],
  ["phone", 390, 844, true],
];

const [url, prefix] = process.argv.slice(2);
if (!url) {
  console.error("usage: node demo.mjs URL [screenshot-prefix]");
  process.exit(2);
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let passed = 0;
let failed = 0;
function report(ok, what) {
  if (ok) passed += 1;
  else failed += 1;
  console.log(`${ok ? "ok  " : "FAIL"} ${what}`);
}

function startBrowser(profile) {
  const flags = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars",
    "--remote-debugging-pipe", `--user-data-dir=${profile}`,
  ];
  if (process.env.DEMO_IGNORE_CERT === "1") flags.push("--ignore-certificate-errors");
  const binary = process.env.CHROMIUM ?? "/usr/bin/chromium";
  // A process group of its own, so that its helpers end with it.
  return spawn(binary, [...flags, "about:blank"], {
    stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
    detached: true,
  });
}

// One DevTools connection: JSON messages, each ended by a zero byte.
function devtools(browser) {
  const [, , , toBrowser, fromBrowser] = browser.stdio;
  const waiting = new Map();
  const listeners = [];
  let lastId = 0;
  let pieces = [];
  const end = (error) => {
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  browser.on("error", end);
  browser.on("exit", () => end(new Error("the browser ended")));
  toBrowser.on("error", end);
  fromBrowser.on("data", (data) => {
    let rest = data;
    for (let zero = rest.indexOf(0); zero >= 0; zero = rest.indexOf(0)) {
      const message = JSON.parse(Buffer.concat([...pieces, rest.subarray(0, zero)]).toString());
      pieces = [];
      rest = rest.subarray(zero + 1);
      const call = waiting.get(message.id);
      if (!call) {
        for (const listener of listeners) listener(message);
        continue;
      }
      waiting.delete(message.id);
      if (message.error) call.reject(new Error(message.error.message));
      else call.resolve(message.result);
    }
    if (rest.length) pieces.push(rest);
  });
  const send = (method, params = {}, sessionId = undefined) =>
    new Promise((resolve, reject) => {
      lastId += 1;
      const id = lastId;
      const late = setTimeout(() => {
        waiting.delete(id);
        reject(new Error(`${method} was not answered within 20 s`));
      }, 20_000);
      const settle = (then) => (value) => {
        clearTimeout(late);
        then(value);
      };
      waiting.set(id, { resolve: settle(resolve), reject: settle(reject) });
      toBrowser.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  return { send, listen: (listener) => listeners.push(listener) };
}

async function openPage(connection) {
  const { targetId } = await connection.send("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await connection.send("Target.attachToTarget", { targetId, flatten: true });
  const call = (method, params) => connection.send(method, params, sessionId);
  const evaluate = async (expression) => {
    const { result, exceptionDetails } = await call("Runtime.evaluate", {
      expression, returnByValue: true, awaitPromise: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  };
  return { call, evaluate };
}

async function waitFor(page, expression, deadline, pause = 150) {
  while (Date.now() < deadline) {
    if (await page.evaluate(expression)) return true;
    await sleep(pause);
  }
  return false;
}

async function setWidth(page, [, width, height, mobile]) {
  await page.call("Emulation.setDeviceMetricsOverride", { width, height, mobile, deviceScaleFactor: 1 });
  await sleep(300);
}

async function takeScreenshot(page, name) {
  const { data } = await page.call("Page.captureScreenshot", { format: "png", captureBeyondViewport: true });
  writeFileSync(`${prefix}-${name}.png`, Buffer.from(data, "base64"));
}

async function scenario(connection) {
  const errors = [];
  connection.listen(({ method, params }) => {
    if (method === "Runtime.exceptionThrown") {
      errors.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    }
    if (method === "Log.entryAdded" && params.entry.source === "security") errors.push(params.entry.text);
  });
  const page = await openPage(connection);
  for (const domain of ["Page", "Runtime", "Log"]) await page.call(`${domain}.enable`);
  if (process.env.DEMO_DARK === "1") {
    await page.call("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: "dark" }] });
  }
  await setWidth(page, WIDTHS[0]);
  const { errorText } = await page.call("Page.navigate", { url });
  const loaded = !errorText && (await waitFor(
    page, "document.readyState === 'complete' && !!document.querySelector('#run-all')", Date.now() + 15_000,
  ));
  report(loaded, `the page opens${errorText ? `: ${errorText}` : ""}`);
  if (!loaded) return;
  if (prefix) await takeScreenshot(page, "start");

  await page.evaluate("document.querySelector('#run-all').click()");
  await waitFor(
    page,
    "[...document.querySelectorAll('[data-card]')].every((card) => ['ok', 'fail'].includes(card.dataset.status))",
    Date.now() + DEADLINE_MS,
  );
  const cards = await page.evaluate(`Object.fromEntries([...document.querySelectorAll('[data-card]')].map((card) => [
    card.dataset.card,
    { status: card.dataset.status, checks: [...card.querySelectorAll('.checks li')].map((line) => line.textContent) },
  ]))`);
  for (const name of CARDS) {
    const { status, checks } = cards[name] ?? { status: "missing", checks: [] };
    report(status === "ok", `card ${name}: ${status} (${checks.join("; ")})`);
  }
  const summary = await page.evaluate("document.querySelector('#summary').textContent");
  const wanted = process.env.DEMO_EXPECT_PROXY === "1" ? /^8 of 8 work through the proxy$/ : /^8 of 8 work/;
  report(wanted.test(summary), `summary line: ${summary}`);

  for (const width of WIDTHS) {
    await setWidth(page, width);
    const overflow = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
    report(overflow === 0, `no sideways scrolling at ${width[1]} px`);
    if (prefix) await takeScreenshot(page, width[0]);
  }
  report(errors.length === 0, `no script or security errors${errors.length ? `: ${errors.join("; ")}` : ""}`);
}

const profile = mkdtempSync(join(tmpdir(), "demo-browser-"));
const browser = startBrowser(profile);
const exited = new Promise((resolve) => {
  browser.on("exit", resolve);
  browser.on("error", resolve);
});

function killBrowser() {
  if (!browser.pid || browser.exitCode !== null || browser.signalCode !== null) return;
  try {
    process.kill(-browser.pid, "SIGKILL");
  } catch {
    browser.kill("SIGKILL");
  }
}
process.on("exit", killBrowser);
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(130));

try {
  const connection = devtools(browser);
  await scenario(connection);
  await connection.send("Browser.close").catch(() => {});
} catch (error) {
  report(false, error.message);
}
await Promise.race([exited, sleep(5_000)]);
killBrowser();
await Promise.race([exited, sleep(2_000)]);
try {
  rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
} catch (error) {
  console.error(`could not remove ${profile}: ${error.message}`);
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
