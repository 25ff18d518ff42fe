// Drives the admin endpoint's dashboard in headless Chromium, with traffic through the proxy.
//
//   node tests/browser/dashboard.mjs PROGRAM
//
// CHROMIUM         browser binary (default /usr/bin/chromium)
// SCREENSHOTS=DIR  saves pictures of a busy, a failing and an empty proxy
//
// Needs Node 20 and no packages.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { openPage, report, runScenario, sleep, takeScreenshot, waitFor } from "./chromium.mjs";

const [program] = process.argv.slice(2);
if (!program) {
  console.error("usage: node dashboard.mjs PROGRAM");
  process.exit(2);
}

const TOKEN = "0123456789-abcdefghij";
const HOSTILE = "/api/%3Cimg%20src=x%20onerror=alert(1)%3E";
const SIZES = [["phone", 360, 780, true], ["desktop", 1440, 900, false]];

const folder = mkdtempSync(join(tmpdir(), "dashboard-"));
const children = [];
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

async function freePort() {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

async function service() {
  const server = http.createServer((request, response) => {
    response.statusCode = request.url.includes("missing") ? 404 : 200;
    response.end("x".repeat(1500));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return server.address().port;
}

const ask = (url, options = {}) => new Promise((resolve) => {
  const request = http.request(url, { agent: false, ...options }, (response) => {
    response.resume();
    response.on("end", () => resolve(response.statusCode));
  });
  request.on("error", () => resolve(0));
  request.end();
});

async function start(name, upstreams, routes) {
  const [port, admin] = [await freePort(), await freePort()];
  writeFileSync(join(folder, "token"), `${TOKEN}\n`);
  const file = join(folder, `${name}.yaml`);
  writeFileSync(file, `listeners: ["127.0.0.1:${port}"]
admin: { address: "127.0.0.1:${admin}", token_file: token }
server: { pid_file: ./${name}.pid, upgrade_sock: ./${name}.sock }
${upstreams}routes:
${routes}`);
  const child = spawn(program, ["-c", file], { stdio: "ignore" });
  children.push(child);
  for (let tries = 0; tries < 200 && (await ask(`http://127.0.0.1:${admin}/ready`)) !== 200; tries += 1) await sleep(50);
  return { proxy: `http://127.0.0.1:${port}`, admin: `http://127.0.0.1:${admin}/`, child };
}

// Goes on until it is stopped.
function traffic(base, paths) {
  const state = { on: true };
  state.over = (async () => {
    for (let i = 0; state.on; i += 1) {
      await ask(base + paths[i % paths.length]);
      await sleep(15);
    }
  })();
  return async () => { state.on = false; await state.over; };
}

async function pictures(page, name) {
  const directory = process.env.SCREENSHOTS;
  for (const [size, width, height, mobile] of SIZES) {
    await page.call("Emulation.setDeviceMetricsOverride", { width, height, mobile, deviceScaleFactor: 1 });
    await sleep(400);
    const wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
    report(wide === 0, `${name}: no sideways scrolling at ${width} px`);
    for (const theme of directory ? ["light", "dark"] : []) {
      await page.call("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: theme }] });
      await sleep(200);
      await takeScreenshot(page, join(directory, `${name}-${theme}-${size}.png`));
    }
  }
}

const press = async (page, key, code = key, text = undefined) => {
  await page.call("Input.dispatchKeyEvent", { type: text ? "keyDown" : "rawKeyDown", key, code, windowsVirtualKeyCode: { Enter: 13, Tab: 9, Escape: 27 }[key], text });
  await page.call("Input.dispatchKeyEvent", { type: "keyUp", key, code });
};

async function signIn(page, url) {
  await page.call("Page.navigate", { url });
  const asked = await waitFor(page, "document.querySelector('#token-form')?.hidden === false", Date.now() + 15_000);
  await page.evaluate(`document.querySelector("#token").value = ${JSON.stringify(TOKEN)}; document.querySelector("#token-form").requestSubmit()`);
  const shown = await waitFor(page, "document.querySelector('#state').textContent === 'ready' && document.querySelector('#token-form').hidden", Date.now() + 15_000);
  return asked && shown;
}

async function scenario(connection) {
  const [one, two] = [await service(), await service()];
  const gone = await freePort();
  const busy = await start("busy", `upstreams:\n  api: { servers: ["127.0.0.1:${one}", "127.0.0.1:${two}"] }\n`,
    `  - { name: api, match: { path: /api }, upstream: api }\n  - { name: hello, match: { path: { exact: / } }, respond: { status: 200, body: hi } }\n`);
  const errors = [];
  const strangers = [];
  connection.listen(({ method, params }) => {
    if (method === "Runtime.exceptionThrown") errors.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    // Violations of the page's policy are among them.
    if (method === "Log.entryAdded" && params.entry.level === "error") errors.push(`${params.entry.text} ${params.entry.url ?? ""}`);
    if (method === "Runtime.consoleAPICalled" && params.type === "error") errors.push(params.args.map((arg) => arg.value).join(" "));
    if (method === "Network.requestWillBeSent" && !/^(http:\/\/127\.0\.0\.1:|data:|about:)/.test(params.request.url)) strangers.push(params.request.url);
    if (method === "Page.javascriptDialogOpening") errors.push(`a dialog: ${params.message}`);
  });
  const page = await openPage(connection);
  for (const domain of ["Page", "Runtime", "Log", "Network"]) await page.call(`${domain}.enable`);
  const seen = (expression, what, time = 15_000) => waitFor(page, expression, Date.now() + time).then((ok) => report(ok, what));
  await page.call("Emulation.setDeviceMetricsOverride", { width: 1440, height: 900, mobile: false, deviceScaleFactor: 1 });

  report(await signIn(page, busy.admin), "the page asks for the token and takes it");
  await seen("!document.querySelector('#empty').hidden", "without a request it says that there was none");
  const stop = traffic(busy.proxy, ["/", "/api/users?id=7", "/api/missing", "/nothing", HOSTILE]);
  await seen("parseFloat(document.querySelector('#figures strong').textContent) > 0", "rates are shown");
  await seen("document.querySelectorAll('#tail tbody tr').length > 3", "requests are in the live tail");
  await seen(`[...document.querySelectorAll("#tail .cut button")].some((path) => path.textContent === ${JSON.stringify(HOSTILE)})`, "a hostile path is shown as text");
  report(await page.evaluate("document.querySelectorAll('#tail img, #details img').length") === 0, "and makes no element");
  await seen("document.querySelectorAll('#reasons tbody tr').length > 0 && /Ask/.test(document.querySelector('#reasons').textContent)", "failures are there with what they mean");

  await page.evaluate(`[...document.querySelectorAll("#routes th button")].find((button) => button.textContent === "Route").focus()`);
  await press(page, "Enter", "Enter", "\r");
  await seen("document.querySelector('#routes th[aria-sort]').textContent === 'Route' && document.querySelector('#routes tbody th').textContent === 'api'", "a column is sorted by keyboard");
  await sleep(1200);
  report(await page.evaluate("document.activeElement?.textContent") === "Route", "and the focus stays while figures change");

  await page.evaluate(`const status = document.querySelector("#filter select"); status.value = "4xx"; status.dispatchEvent(new Event("input", { bubbles: true }))`);
  await seen("(() => { const all = [...document.querySelectorAll('#tail tbody td:nth-child(2)')]; return all.length > 0 && all.every((cell) => cell.textContent === '404'); })()", "the tail is filtered by status");
  await page.evaluate(`document.querySelector("#pause").click()`);
  await page.evaluate(`document.querySelector("#tail .cut button").click()`);
  await seen("document.querySelector('#details').open && /request_id/.test(document.querySelector('#fields').textContent)", "a row opens its details");
  await press(page, "Escape");
  await seen("!document.querySelector('#details').open", "Escape closes them");
  await page.evaluate(`document.querySelector("#pause").click()`);

  await page.evaluate(`[...document.querySelectorAll("#upstreams button")].find((button) => button.textContent === "Drain").click()`);
  await seen("document.querySelector('#confirm').open", "a change is asked for first");
  await page.evaluate(`document.querySelector("#confirm button[value=no]").click()`);
  await sleep(300);
  report(await page.evaluate("document.querySelectorAll('#upstreams .tag.warn').length") === 0, "and not made where it is declined");
  await page.evaluate(`[...document.querySelectorAll("#upstreams button")].find((button) => button.textContent === "Drain").click()`);
  await page.evaluate(`document.querySelector("#confirm .act").click()`);
  await seen("[...document.querySelectorAll('#upstreams .tag')].some((tag) => tag.textContent === 'draining')", "a server is drained");
  await page.evaluate(`const any = document.querySelector("#filter select"); any.value = ""; any.dispatchEvent(new Event("input", { bubbles: true }))`);
  if (process.env.SCREENSHOTS) await sleep(20_000);
  await pictures(page, "busy");
  await stop();

  const failing = await start("failing", `upstreams:\n  api: { servers: ["127.0.0.1:${one}"] }\n  gone: { servers: ["127.0.0.1:${gone}"], health: { active: { tcp: true, interval: 200ms, unhealthy_after: 2 } } }\n`,
    `  - { name: api, match: { path: /api }, upstream: api }\n  - { name: gone, match: { path: /gone }, upstream: gone }\n`);
  report(await signIn(page, failing.admin), "the token is asked for by each endpoint");
  const stopFailing = traffic(failing.proxy, ["/api/users", "/gone/x", "/gone/y"]);
  await seen("document.querySelector('#figures .bad') !== null", "a high rate of 5xx stands out");
  await seen("[...document.querySelectorAll('#upstreams .tag.fail')].length > 0", "a server that is out stands out");
  if (process.env.SCREENSHOTS) await sleep(10_000);
  await pictures(page, "failing");
  await stopFailing();

  const empty = await start("empty", "", "  - { respond: { status: 200 } }\n");
  report(await signIn(page, empty.admin), "a proxy without traffic is shown");
  await seen("!document.querySelector('#empty').hidden && /has none/.test(document.querySelector('#upstreams').textContent)", "and what it has not is said");
  await pictures(page, "empty");
  report(errors.length === 0, `nothing red in the console${errors.length ? `: ${errors.join("; ")}` : ""}`);
  report(strangers.length === 0, `nothing asked of anybody else${strangers.length ? `: ${strangers.join("; ")}` : ""}`);

  empty.child.kill("SIGKILL");
  await seen("document.body.classList.contains('stale') && /does not answer/.test(document.querySelector('#banner').textContent)", "a process that is gone is told of");
}

await runScenario(scenario);
