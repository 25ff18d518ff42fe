// Ends the proxy B, the service A and both under the open demo page, in headless Chromium, and
// checks that the page says which of them is gone.
//
//   node tests/browser/states.mjs PROGRAM [screenshot-prefix]
//
// PROGRAM is pingora-proxy. CHROMIUM as for demo.mjs.

import { spawn } from "node:child_process";
import { createServer } from "node:net";

import { DESKTOP, PHONE, openPage, report, runAll, runScenario, setWidth, sleep, takeScreenshot, waitFor } from "./chromium.mjs";

const [program, prefix] = process.argv.slice(2);
if (!program) {
  console.error("usage: node states.mjs PROGRAM [screenshot-prefix]");
  process.exit(2);
}

const freePort = () => new Promise((resolve) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));

function start(...args) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  running.add(child);
  child.said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => { child.said += data; });
  child.on("exit", () => running.delete(child));
  return child;
}

const end = (child) => new Promise((resolve, reject) => {
  if (!running.has(child)) reject(new Error(`a process had ended before: ${child.said}`));
  child.on("exit", resolve);
  child.kill("SIGKILL");
});

async function until(what, done) {
  for (const deadline = Date.now() + 15_000; Date.now() < deadline; await sleep(50)) {
    const found = await done();
    if (found) return found;
  }
  throw new Error(`waited too long: ${what}`);
}

const answers = (url) => until(url, () => fetch(url).then((response) => response.ok, () => false));

async function scenario(connection) {
  // A runs in the process of `demo`; the proxy in front of it that matters here is another one.
  const a = start("demo", "--listen", `127.0.0.1:${await freePort()}`);
  const service = await until("service A", () => /service A listens on (\S+)/.exec(a.said)?.[1]);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/`;
  const startB = async () => {
    const b = start("proxy", "--from", `127.0.0.1:${port}`, "--to", service);
    await answers(url);
    return b;
  };
  let b = await startB();

  const page = await openPage(connection);
  await page.call("Page.enable");
  await setWidth(page, DESKTOP);
  await page.call("Page.navigate", { url });
  await waitFor(page, "document.readyState === 'complete' && !!document.querySelector('#run-all')", Date.now() + 15_000);

  const shown = () => page.evaluate(`({
    note: document.querySelector("#route-note").textContent,
    headline: document.querySelector("#headline").textContent,
    summary: document.querySelector("#summary").textContent,
    status: document.body.dataset.status,
    works: [...document.querySelectorAll("[data-light]")].filter((light) => light.textContent === "Works").length,
  })`);
  const expect = async (what, route, wanted, photo) => {
    await waitFor(page, `document.body.dataset.route === "${route}"`, Date.now() + 15_000);
    const is = await shown();
    const right = Object.entries(wanted).every(([key, value]) => (value instanceof RegExp ? value.test(is[key]) : is[key] === value));
    report(right, `${what}: ${JSON.stringify(is)}`);
    if (prefix) {
      await takeScreenshot(page, `${prefix}-${photo}.png`);
      await setWidth(page, PHONE);
      await takeScreenshot(page, `${prefix}-${photo}-phone.png`);
      await setWidth(page, DESKTOP);
    }
  };

  await runAll(page);
  const through = { note: /came through B$/, headline: /^Everything still works/ };
  await expect("all is well", "proxy", { ...through, summary: "8 of 8 work through the proxy", status: "ok", works: 8 }, "all-green");

  const bGone = { note: "B does not answer", headline: "The proxy does not answer.", status: "fail", works: 0 };
  await end(b);
  await expect("B is dead", "no-b", { ...bGone, summary: "B does not answer; 8 of 8 worked before" }, "b-dead");
  b = await startB();
  await expect("B is back", "proxy", { ...through, status: "ok", works: 8 }, "b-back");

  await end(a);
  const aGone = { note: "B answers, but A does not", headline: "The proxy is there. Service A is not.", status: "fail", works: 0 };
  await expect("A is dead", "no-a", { ...aGone, summary: "B answers, but A does not; 8 of 8 worked before" }, "a-dead");
  await runAll(page);
  await expect("A is dead and all is run", "no-a", { ...aGone, summary: "B answers, but A does not" }, "a-dead-run");

  await end(b);
  await expect("both are dead", "no-b", { ...bGone, summary: "B does not answer" }, "both-dead");
  await runAll(page);
  await expect("both are dead and all is run", "no-b", { ...bGone, summary: "B does not answer" }, "both-dead-run");
}

await runScenario(scenario);
