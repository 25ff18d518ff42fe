// A headless Chromium and its DevTools, over pipes: what the browser tests share.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

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

export async function openPage(connection) {
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

export async function waitFor(page, expression, deadline, pause = 150) {
  while (Date.now() < deadline) {
    if (await page.evaluate(expression)) return true;
    await sleep(pause);
  }
  return false;
}

export const DESKTOP = ["desktop", 1280, 900, false];
export const PHONE = ["phone", 390, 844, true];

export async function setWidth(page, [, width, height, mobile]) {
  await page.call("Emulation.setDeviceMetricsOverride", { width, height, mobile, deviceScaleFactor: 1 });
  await sleep(300);
}

export async function takeScreenshot(page, file) {
  const { data } = await page.call("Page.captureScreenshot", { format: "png", captureBeyondViewport: true });
  writeFileSync(file, Buffer.from(data, "base64"));
}

// Presses "Run all" and waits until every card has its result.
export async function runAll(page, deadlineMs = 60_000) {
  await page.evaluate("document.querySelector('#run-all').click()");
  await waitFor(page, "document.querySelector('#run-all').disabled === false", Date.now() + deadlineMs);
}

let passed = 0;
let failed = 0;
export function report(ok, what) {
  if (ok) passed += 1;
  else failed += 1;
  console.log(`${ok ? "ok  " : "FAIL"} ${what}`);
}

// Runs a scenario in a browser of its own, and ends this process with its result.
export async function runScenario(scenario) {
  const profile = mkdtempSync(join(tmpdir(), "demo-browser-"));
  const browser = startBrowser(profile);
  const exited = new Promise((resolve) => {
    browser.on("exit", resolve);
    browser.on("error", resolve);
  });
  const killBrowser = () => {
    if (!browser.pid || browser.exitCode !== null || browser.signalCode !== null) return;
    try {
      process.kill(-browser.pid, "SIGKILL");
    } catch {
      browser.kill("SIGKILL");
    }
  };
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
}
