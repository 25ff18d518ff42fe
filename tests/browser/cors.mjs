// Has a page of one origin call an API of another in headless Chromium, through the proxy, and checks
// that the browser lets it read what `cors` allows and nothing else.
//
//   node tests/browser/cors.mjs PROGRAM
//
// PROGRAM is pingora-proxy. CHROMIUM as for demo.mjs.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { openPage, report, runScenario, sleep, waitFor } from "./chromium.mjs";

const [program] = process.argv.slice(2);
if (!program) {
  console.error("usage: node cors.mjs PROGRAM");
  process.exit(2);
}

const listen = (server) => new Promise((resolve) => {
  server.listen(0, "127.0.0.1", () => resolve(server.address().port));
});

// The service behind the proxy: says which request came, with which cookie.
const seen = [];
const service = createServer((request, response) => {
  seen.push(`${request.method} ${request.url}`);
  response.setHeader("X-Total", "7");
  response.setHeader("Set-Cookie", "user=ann; SameSite=Lax");
  response.end(`${request.method} ${request.headers.cookie ?? "no cookie"}`);
});
// A page of another origin.
const pages = createServer((_, response) => response.setHeader("Content-Type", "text/html").end("<!doctype html><p>a page"));
const servicePort = await listen(service);
const pagePort = await listen(pages);
const spare = createServer();
const port = await listen(spare);
await new Promise((resolve) => spare.close(resolve));

const folder = mkdtempSync(join(tmpdir(), "cors-"));
writeFileSync(join(folder, "proxy.yaml"), `
listeners: ["127.0.0.1:${port}"]
admin: { address: off }
server: { pid_file: off, upgrade_sock: ${folder}/upgrade.sock }
routes:
  - match: { path: /api }
    cors: { origins: ["http://127.0.0.1:${pagePort}"], methods: [PUT], headers: [x-a], expose: [x-total], credentials: true }
    upstream: "127.0.0.1:${servicePort}"
  - match: { path: /down }
    cors: { origins: ["http://127.0.0.1:${pagePort}"], credentials: true }
    upstream: "127.0.0.1:1"
  - match: { path: /other }
    cors: { origins: ["https://app.example.com"] }
    upstream: "127.0.0.1:${servicePort}"
`);
const proxy = spawn(program, ["-c", join(folder, "proxy.yaml")], { stdio: "ignore" });
process.on("exit", () => {
  proxy.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

const api = `http://127.0.0.1:${port}`;
for (let tries = 0; tries < 200; tries += 1) {
  if (await fetch(api).then(() => true, () => false)) break;
  await sleep(25);
}

// What a fetch from the page comes to, as text.
const ask = (page, path, options) => page.evaluate(`fetch("${api}${path}", ${JSON.stringify(options)}).then(
  async (answer) => answer.status + " " + (await answer.text()).split("\\n")[0] + " " + answer.headers.get("x-total"),
  (error) => error.name)`);

const withCookies = { credentials: "include" };
const expectations = [
  ["a simple request", "/api/a", withCookies, "200 GET no cookie 7"],
  ["a preflighted one, with the cookie", "/api/b", { ...withCookies, method: "PUT", headers: { "x-a": "1" } }, "200 PUT user=ann 7"],
  ["a method that is not allowed", "/api/c", { ...withCookies, method: "DELETE" }, "TypeError"],
  ["a field that is not allowed", "/api/d", { ...withCookies, headers: { "x-b": "1" } }, "TypeError"],
  ["an origin that is not allowed", "/other", {}, "TypeError"],
  ["a preflight from an origin that is not allowed", "/other", { method: "PUT" }, "TypeError"],
];

await runScenario(async (connection) => {
  const page = await openPage(connection);
  await page.call("Page.navigate", { url: `http://127.0.0.1:${pagePort}/` });
  await waitFor(page, "document.readyState === 'complete' && location.port !== ''", Date.now() + 10_000);
  for (const [name, path, options, expected] of expectations) {
    const got = await ask(page, path, options);
    report(got === expected, `${name}: ${got}`);
  }
  const down = await ask(page, "/down", withCookies);
  report(/^50[23] /.test(down), `an error of the proxy's can be read: ${down}`);
  const expected = "GET /api/a, PUT /api/b, GET /other";
  report(seen.join(", ") === expected, `no preflight and nothing refused reached the service: ${seen.join(", ")}`);
});
