// What a person does in a browser: opens a page of the proxy, logs in at the provider, comes back, uses the
// service, and logs out. Usage: node drive.mjs APP PROVIDER SERVICE_PORT.

import assert from "node:assert/strict";
import http from "node:http";

const [app, provider, servicePort] = process.argv.slice(2);

/** The service behind the proxy: it tells what it was told. */
const service = http.createServer((request, response) => {
  response.setHeader("Content-Type", "application/json");
  response.end(JSON.stringify(request.headers));
});
await new Promise((resolve) => service.listen(Number(servicePort), "127.0.0.1", resolve));

/** One request, with the fields that it is given: `fetch` would say of each that it is a script's. */
function send(url, { method = "GET", headers, body }) {
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method, headers, agent: false }, async (response) => {
      const chunks = [];
      for await (const chunk of response) chunks.push(chunk);
      const { statusCode: status, headers: { location, "set-cookie": cookies = [] } } = response;
      resolve({ status, location, cookies, text: Buffer.concat(chunks).toString() });
    });
    request.on("error", reject);
    request.end(body);
  });
}

/** Cookies by host and name, as browsers keep them: ports make no difference, paths do. */
class Browser {
  jar = new Map();

  async ask(url, init = {}) {
    const { hostname, pathname } = new URL(url);
    const mine = [...this.jar.values()].filter((c) => c.host === hostname && pathname.startsWith(c.path));
    const headers = { accept: "text/html", "sec-fetch-mode": "navigate", ...init.headers };
    if (mine.length) headers.cookie = mine.map((c) => `${c.name}=${c.value}`).join("; ");
    const response = await send(url, { ...init, headers });
    for (const line of response.cookies) {
      const [pair, ...attributes] = line.split(";").map((part) => part.trim());
      const at = pair.indexOf("=");
      const attribute = (name) => attributes.find((a) => a.toLowerCase().startsWith(`${name}=`))?.slice(name.length + 1);
      const cookie = { host: hostname, name: pair.slice(0, at), value: pair.slice(at + 1), path: attribute("path") ?? "/" };
      const key = `${hostname} ${cookie.path} ${cookie.name}`;
      const over = attribute("max-age") === "0" || new Date(attribute("expires") ?? "2999-01-01") < new Date();
      if (over) this.jar.delete(key);
      else this.jar.set(key, cookie);
    }
    return response;
  }

  /** Follows redirects up to a page. */
  async open(url, init) {
    for (let step = 0; step < 12; step++) {
      const { status, location, text } = await this.ask(url, init);
      if (!location) return { url, status, text };
      url = new URL(location, url).href;
      init = undefined;
    }
    throw new Error(`too many redirects: ${url}`);
  }

  /** Fills in the form of a page, and sends it. */
  async submit(page, fields) {
    const action = /<form[^>]*action="([^"]+)"/.exec(page.text)?.[1];
    assert.ok(action, `no form: ${page.status} ${page.url} ${page.text}`);
    const body = new URLSearchParams();
    for (const [input] of page.text.matchAll(/<input[^>]*type="hidden"[^>]*>/g)) {
      body.set(/name="([^"]+)"/.exec(input)[1], /value="([^"]*)"/.exec(input)?.[1] ?? "");
    }
    for (const [name, value] of Object.entries(fields)) body.set(name, value);
    return this.open(new URL(action, page.url).href, {
      method: "POST",
      headers: { "content-type": "application/x-www-form-urlencoded", origin: new URL(page.url).origin },
      body: body.toString(),
    });
  }
}

const browser = new Browser();

// Nobody is logged in.
const script = await browser.ask(`${app}/api`, { headers: { accept: "application/json", "sec-fetch-mode": "cors" } });
assert.equal(script.status, 401, "what fetches is told so");
let page = await browser.open(`${app}/orders?page=2`);
assert.ok(page.url.startsWith(`${provider}/interaction/`), page.url);

// The login, and what the provider asks of it.
page = await browser.submit(page, { login: "ann", password: "any" });
page = await browser.submit(page, {});
assert.equal(page.url, `${app}/orders?page=2`, page.text);
const told = JSON.parse(page.text);
assert.equal(told["x-user"], "ann");
assert.equal(told["x-email"], "ann@example.com", "a claim that only the endpoint for it tells");
assert.equal(told.cookie, undefined, "cookies of logins stay here");

// Who is logged in can do everything, and nobody can say who he is.
const forged = await browser.ask(`${app}/api`, {
  method: "POST",
  headers: { accept: "application/json", "x-user": "root", x_user: "root" },
  body: "{}",
});
assert.equal(JSON.parse(forged.text)["x-user"], "ann");
const session = [...browser.jar.values()].find((cookie) => cookie.name === "oidc_session");
const changed = new Browser();
changed.jar.set("x", { ...session, value: session.value.slice(0, -3) + "AAA" });
assert.equal((await changed.ask(`${app}/api`, { headers: { accept: "*/*", "sec-fetch-mode": "cors" } })).status, 401);

// The logout, here and at the provider.
page = await browser.open(`${app}/oauth2/logout`);
assert.ok(page.url.startsWith(`${provider}/session/end`), `${page.url} ${page.text}`);
page = await browser.submit(page, { logout: "yes" });
assert.ok(page.text.includes("You are logged out"), `${page.url} ${page.text}`);
assert.ok(page.url.startsWith(`${app}/oauth2/logout`), page.url);
page = await browser.open(`${app}/orders`);
assert.ok(page.url.startsWith(`${provider}/interaction/`) && page.text.includes("login"), "the provider asks again");

service.close();
console.log("a login, its claims, and a logout by a certified provider: ok");
