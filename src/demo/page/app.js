"use strict";

// Every feature is a card. A card's runner does the real work and throws when
// something is wrong; the card turns green only after its runner returned.

const $ = (id) => document.getElementById(id);
const url = (path) => new URL(path, document.baseURI).href;
const names = ["echo", "login", "static", "notes", "upload", "download", "sse", "ws"];
const lights = { idle: "Idle", running: "Running", ok: "Works", fail: "Failed" };

// How far requests get: what the last answer, or the lack of one, tells.
const routes = {
  unknown: { note: "Run the checks to see the route" },
  proxy: { note: "A saw forwarding headers: this came through B" },
  direct: { note: "No forwarding headers: talking to A directly" },
  "no-a": { lost: "B answers, but A does not", headline: "The proxy is there. Service A is not." },
  "no-b": { lost: "B does not answer", headline: "The proxy does not answer." },
  none: { lost: "A does not answer", headline: "Service A does not answer." },
};
let route = "unknown";
const lost = () => routes[route].lost;
const headline = $("headline").textContent;

const card = (name) => $(`card-${name}`);

function setStatus(name, status) {
  card(name).dataset.status = status;
  summarize();
}

function setRoute(to) {
  route = to;
  document.body.dataset.route = to;
  $("route-note").textContent = routes[to].note ?? routes[to].lost;
  $("headline").textContent = routes[to].headline ?? headline;
  summarize();
}

function summarize() {
  const states = names.map((name) => card(name).dataset.status);
  const count = (status) => states.filter((state) => state === status).length;
  const [ok, failed, running] = [count("ok"), count("fail"), count("running")];
  const total = names.length;
  let text = `${ok + failed} of ${total} checked`;
  if (ok) text = `${ok} of ${total} work`;
  if (failed) text = `${ok} of ${total} work, ${failed} failed`;
  if (ok === total) text += route === "proxy" ? " through the proxy" : ", without a proxy in between";
  if (lost()) text = ok ? `${lost()}; ${ok} of ${total} worked before` : lost();
  $("summary").textContent = text;
  document.body.dataset.status = running ? "running" : failed || lost() ? "fail" : ok === total ? "ok" : "idle";
  for (const name of names) {
    const { status } = card(name).dataset;
    card(name).querySelector("[data-light]").textContent = lost() && status === "ok" ? "Worked before" : lights[status];
  }
}

function check(name, passed, text) {
  const line = document.createElement("li");
  line.textContent = text;
  line.className = passed ? "" : "bad";
  card(name).querySelector("[data-checks]").append(line);
  if (!passed) {
    const error = new Error(text);
    error.shown = true;
    throw error;
  }
}

const active = new Set();

async function run(name, work) {
  if (active.has(name)) return;
  active.add(name);
  card(name).querySelector("[data-checks]").replaceChildren();
  setStatus(name, "running");
  try {
    await work();
    setStatus(name, "ok");
  } catch (error) {
    await look();
    if (!error.shown) {
      try { check(name, false, lost() || error.message || String(error)); } catch { /* now shown */ }
    }
    setStatus(name, "fail");
  } finally {
    active.delete(name);
  }
}

const json = (method, body) => ({
  method,
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});
const size = (bytes) =>
  bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.ceil(bytes / 1e3)} kB`;
const rate = (bytes, ms) => `${size((bytes / Math.max(ms, 1)) * 1000)}/s`;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const within = (ms, promise, what) =>
  Promise.race([promise, sleep(ms).then(() => { throw new Error(`${what} took more than ${ms / 1000} s`); })]);

// ---- What A received

const forwarding = /^(forwarded|via|x-forwarded-.*|x-real-ip|x-request-id|traceparent)$/;

// Shows by which way a request came to A; answers the forwarding header names.
function showRoute(seen) {
  const forwarded = seen.headers.map(([header]) => header).filter((header) => forwarding.test(header));
  setRoute(forwarded.length ? "proxy" : "direct");
  return forwarded;
}

// Shows a request as A reported it.
function showRequest(seen) {
  $("echo-line").textContent = `${seen.method} ${seen.path}${seen.query === null ? "" : `?${seen.query}`} ${seen.version}`;
  $("echo-line").hidden = false;
  $("echo-wrap").hidden = false;
  const special = ([header]) => forwarding.test(header) || header === "cookie";
  const sorted = [...seen.headers.filter(special), ...seen.headers.filter((entry) => !special(entry))];
  $("echo-headers").replaceChildren(...sorted.map((entry) => {
    const row = document.createElement("tr");
    if (special(entry)) row.className = "forwarded";
    for (const text of entry) row.insertCell().textContent = text;
    return row;
  }));
}

// Asks once more, and shows how far that got.
async function look() {
  try {
    const response = await fetch(url("api/echo"));
    if (response.ok) {
      const seen = await response.json();
      showRoute(seen);
      if (card("echo").dataset.status === "idle") showRequest(seen);
    }
    // An answer that B made by itself says so (RFC 9209).
    else if (response.headers.has("proxy-status")) setRoute("no-a");
  } catch {
    setRoute(route === "direct" || route === "none" ? "none" : "no-b");
  }
}

// A WebSocket is left open: when it closes, B or A may be gone, and the page says so at once.
function watch(pause = 500) {
  const line = new WebSocket(url("api/ws").replace(/^http/, "ws"));
  line.onopen = () => {
    if (lost()) look();
    pause = 500;
  };
  line.onclose = async () => {
    await look();
    await sleep(pause);
    watch(Math.min(pause * 2, 5000));
  };
}

async function echo() {
  const query = "from=page&text=a%2Fb%20c&empty=";
  const sent = "sixteen bytes ok";
  $("echo-line").hidden = true;
  $("echo-wrap").hidden = true;
  const response = await fetch(url(`api/echo?${query}`), {
    method: "POST",
    headers: { "content-type": "text/plain", "x-demo": "hello from the page" },
    body: sent,
  });
  if (!response.ok) throw new Error(`The answer is ${response.status}`);
  const seen = await response.json();
  const forwarded = showRoute(seen);
  showRequest(seen);
  const own = seen.headers.find(([header]) => header === "x-demo");
  check("echo", seen.method === "POST" && seen.query === query, "Method and query arrived unchanged");
  check("echo", seen.body_bytes === sent.length, `Body of ${sent.length} bytes arrived whole`);
  check("echo", own?.[1] === "hello from the page", "Custom header arrived");
  check("echo", true, forwarded.length ? `Forwarding headers: ${forwarded.join(", ")}` : "Direct connection, no proxy in between");
}

// ---- Notes

async function showNotes() {
  const { notes } = await (await fetch(url("api/notes"))).json();
  const rows = notes.map((note) => {
    const row = document.createElement("li");
    const text = document.createElement("span");
    const remove = document.createElement("button");
    text.textContent = note.text;
    remove.type = "button";
    remove.textContent = "Delete";
    remove.setAttribute("aria-label", `Delete note: ${note.text}`);
    remove.onclick = async () => {
      await fetch(url(`api/notes/${note.id}`), { method: "DELETE" });
      await showNotes();
    };
    row.append(text, remove);
    return row;
  });
  if (!rows.length) {
    const row = document.createElement("li");
    row.className = "empty";
    row.textContent = "No notes yet";
    rows.push(row);
  }
  $("notes-list").replaceChildren(...rows);
  return notes;
}

async function notes() {
  const made = await fetch(url("api/notes"), json("POST", { text: "Grüße über B" }));
  const note = await made.json();
  check("notes", made.status === 201 && made.headers.has("location"), `POST: ${made.status}, Location ${made.headers.get("location")}`);
  const one = url(`api/notes/${note.id}`);
  const read = await (await fetch(one)).json();
  check("notes", read.text === "Grüße über B", "GET: same text, UTF-8 intact");
  const put = await (await fetch(one, json("PUT", { text: "Changed over B" }))).json();
  check("notes", put.text === "Changed over B", "PUT: text replaced");
  const removed = await fetch(one, { method: "DELETE" });
  const left = await showNotes();
  check("notes", removed.status === 204 && left.every(({ id }) => id !== note.id), `DELETE: ${removed.status}, and it is gone`);
}

// ---- Login

async function me() {
  const response = await fetch(url("api/me"));
  const { user } = await response.json();
  $("login-result").textContent = user ? `Signed in as ${user}` : "Not signed in";
  return user;
}

async function signIn(user, password) {
  const response = await fetch(url("api/login"), json("POST", { user, password }));
  return response.status;
}

async function login() {
  const user = $("login-user").value.trim() || "Ada";
  const status = await signIn(user, "demo");
  check("login", status === 200, `Signed in: ${status}`);
  check("login", (await me()) === user, "Cookie came back, A knows who you are");
  const visible = document.cookie;
  check("login", visible.includes("demo_signed_in=yes") && !visible.includes("demo_session="), "Both cookies set, session hidden from scripts");
  await fetch(url("api/logout"), { method: "POST" });
  check("login", (await me()) === null, "Signed out again");
}

// ---- Static files

async function staticFiles() {
  const first = await fetch(url("style.css"), { cache: "no-store" });
  const tag = first.headers.get("etag");
  const type = first.headers.get("content-type") || "";
  const length = (await first.text()).length;
  check("static", first.status === 200 && type.startsWith("text/css"), `200, ${type}, ${size(length)}`);
  check("static", Boolean(tag), `ETag ${tag}`);
  const again = await fetch(url("style.css"), { cache: "no-store", headers: { "if-none-match": tag } });
  const body = (await again.arrayBuffer()).byteLength;
  check("static", again.status === 304 && body === 0, `If-None-Match: ${again.status}, ${body} bytes`);
}

// ---- Upload

const crcTable = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value >>> 0;
});

async function crc32(blob) {
  let sum = 0xffffffff;
  for (let start = 0; start < blob.size; start += 4e6) {
    const part = new Uint8Array(await blob.slice(start, start + 4e6).arrayBuffer());
    for (let index = 0; index < part.length; index += 1) sum = crcTable[(sum ^ part[index]) & 255] ^ (sum >>> 8);
  }
  return ((sum ^ 0xffffffff) >>> 0).toString(16).padStart(8, "0");
}

function send(body) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const started = performance.now();
    request.open("POST", url("api/upload"));
    request.responseType = "json";
    request.upload.onprogress = ({ loaded, total }) => {
      $("upload-progress").value = loaded / total;
      $("upload-result").textContent = `${size(loaded)} of ${size(total)} at ${rate(loaded, performance.now() - started)}`;
    };
    request.onload = () => {
      if (request.status === 200 && request.response) resolve({ ...request.response, ms: performance.now() - started });
      else reject(new Error(`The answer is ${request.status} ${request.response?.error ?? ""}`));
    };
    request.onerror = () => reject(new Error("The connection broke off"));
    $("upload-progress").value = 0;
    $("upload-result").textContent = "Nothing sent yet";
    request.send(body);
  });
}

async function sendChecked(blob, body) {
  const seen = await send(body);
  $("upload-progress").value = 1;
  $("upload-result").textContent = `${size(blob.size)} in ${(seen.ms / 1000).toFixed(2)} s, ${rate(blob.size, seen.ms)}`;
  check("upload", seen.bytes === blob.size, `${seen.kind}: A counted ${seen.bytes.toLocaleString("en")} bytes`);
  const sum = await crc32(blob);
  check("upload", seen.crc32 === sum, `CRC-32 ${seen.crc32} matches`);
}

function form(blob, name) {
  const data = new FormData();
  data.append("file", blob, name);
  return data;
}

function patterned(bytes) {
  const part = Uint8Array.from({ length: 1e6 }, (_, index) => (index * 7 + (index >> 8)) & 255);
  return new Blob(Array(Math.ceil(bytes / 1e6)).fill(part)).slice(0, bytes, "application/octet-stream");
}

const upload50 = async () => {
  const blob = patterned(50e6);
  await sendChecked(blob, blob);
};

async function upload() {
  const small = patterned(300_001);
  await sendChecked(small, form(small, "small.bin"));
  await upload50();
}

async function uploadFile() {
  const file = $("upload-file").files[0];
  if (!file) throw new Error("Choose a file first");
  await sendChecked(file, form(file, file.name));
}

// ---- Download

const PERIOD = 251;
const units = { MiB: 2 ** 20, GiB: 2 ** 30 };

async function download(chosen) {
  const expected = parseInt(chosen, 10) * units[chosen.slice(-3)];
  const target = url(`api/download?size=${chosen}`);
  const started = performance.now();
  $("download-progress").value = 0;
  $("download-result").textContent = "Nothing received yet";
  const response = await fetch(target, { cache: "no-store" });
  if (!response.ok) throw new Error(`The answer is ${response.status}`);
  const length = Number(response.headers.get("content-length"));
  const reader = response.body.getReader();
  let received = 0;
  let wrong = 0;
  let shown = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    for (let index = 0, want = received % PERIOD; index < value.length; index += 1) {
      if (value[index] !== want) wrong += 1;
      want = want === PERIOD - 1 ? 0 : want + 1;
    }
    received += value.length;
    const now = performance.now();
    if (now - shown > 60) {
      shown = now;
      $("download-progress").value = received / expected;
      $("download-result").textContent = `${size(received)} of ${size(expected)} at ${rate(received, now - started)}`;
    }
  }
  const ms = performance.now() - started;
  $("download-progress").value = received / expected;
  $("download-result").textContent = `${size(received)} in ${(ms / 1000).toFixed(2)} s, ${rate(received, ms)}`;
  check("download", length === expected, `Content-Length ${length.toLocaleString("en")}`);
  check("download", received === expected && wrong === 0, `${received.toLocaleString("en")} bytes, ${wrong} of them wrong`);
  const part = await fetch(target, { cache: "no-store", headers: { range: "bytes=1000-1999" } });
  const bytes = new Uint8Array(await part.arrayBuffer());
  const right = bytes.length === 1000 && bytes.every((byte, index) => byte === (1000 + index) % PERIOD);
  check("download", part.status === 206 && right, `Range: ${part.status}, ${part.headers.get("content-range")}`);
}

// ---- Server-sent events

let source = null;

function stopEvents() {
  source?.close();
  source = null;
}

async function events() {
  stopEvents();
  const started = performance.now();
  const arrivals = [];
  source = new EventSource(url("api/events"));
  $("sse-number").textContent = "–";
  $("sse-time").textContent = "waiting for the first event";
  await within(8000, new Promise((resolve, reject) => {
    source.onerror = () => { if (!arrivals.length) reject(new Error("The event stream could not be opened")); };
    source.onmessage = ({ data }) => {
      const { number, sent_ms: sent } = JSON.parse(data);
      arrivals.push(performance.now() - started);
      $("sse-number").textContent = number;
      $("sse-time").textContent = `sent ${new Date(sent).toLocaleTimeString("en-GB")}`;
      if (arrivals.length === 3) resolve();
    };
  }), "Three events");
  const gap = (arrivals[2] - arrivals[0]) / 2;
  check("sse", arrivals[0] < 900, `First event after ${Math.round(arrivals[0])} ms`);
  check("sse", gap > 500 && gap < 1500, `Then one every ${(gap / 1000).toFixed(2)} s`);
}

// ---- WebSocket

let socket = null;
const pending = [];

function log(text, ms) {
  const line = document.createElement("li");
  const said = document.createElement("span");
  const time = document.createElement("small");
  said.textContent = text;
  time.textContent = ms;
  line.append(said, time);
  $("ws-log").append(line);
  while ($("ws-log").children.length > 100) $("ws-log").firstChild.remove();
  $("ws-log").scrollTop = $("ws-log").scrollHeight;
}

function connect() {
  if (socket?.readyState === WebSocket.OPEN) return Promise.resolve();
  return within(8000, new Promise((resolve, reject) => {
    socket = new WebSocket(url("api/ws").replace(/^http/, "ws"));
    socket.binaryType = "arraybuffer";
    socket.onopen = resolve;
    socket.onmessage = ({ data }) => pending.shift()?.resolve(data);
    socket.onclose = () => {
      reject(new Error("The WebSocket could not be opened"));
      for (const waiting of pending.splice(0)) waiting.reject(new Error("The WebSocket closed"));
    };
  }), "Opening the WebSocket");
}

async function ask(message) {
  await connect();
  const started = performance.now();
  const answer = new Promise((resolve, reject) => pending.push({ resolve, reject }));
  socket.send(message);
  const data = await within(8000, answer, "The echo");
  return { data, ms: performance.now() - started };
}

async function say(text) {
  const { data, ms } = await ask(text);
  const { echo: heard, received_ms: at } = JSON.parse(data);
  log(heard, `${ms.toFixed(1)} ms, at A ${new Date(at).toLocaleTimeString("en-GB")}`);
  check("ws", heard === text, `Text echoed in ${ms.toFixed(1)} ms`);
}

async function webSocket() {
  await say("Grüße über B");
  const sent = Uint8Array.from({ length: 70_000 }, (_, index) => index % PERIOD);
  const { data, ms } = await ask(sent);
  const back = new Uint8Array(data, 8);
  log("70 kB of binary data", `${ms.toFixed(1)} ms`);
  check("ws", back.length === sent.length && back.every((byte, index) => byte === sent[index]), `Binary, ${sent.length.toLocaleString("en")} bytes, echoed in ${ms.toFixed(1)} ms`);
}

// ---- Buttons

async function runAll() {
  $("run-all").disabled = true;
  const ticking = run("sse", events);
  await run("echo", echo);
  await run("login", login);
  await run("static", staticFiles);
  await run("notes", notes);
  await run("ws", webSocket);
  await run("download", () => download($("download-size").value));
  await run("upload", upload);
  await ticking;
  $("run-all").disabled = false;
}

function onSubmit(id, work) {
  $(id).addEventListener("submit", (event) => {
    event.preventDefault();
    work();
  });
}
const onClick = (id, work) => $(id).addEventListener("click", work);

onClick("run-all", runAll);
onClick("echo-send", () => run("echo", echo));
onClick("static-run", () => run("static", staticFiles));
onClick("upload-50", () => run("upload", upload50));
onClick("upload-file-send", () => run("upload", uploadFile));
onClick("download-run", () => run("download", () => download($("download-size").value)));
onClick("sse-start", () => run("sse", events));
onClick("sse-stop", () => {
  stopEvents();
  $("sse-time").textContent = "stopped";
});
onClick("login-out", () => run("login", async () => {
  const response = await fetch(url("api/logout"), { method: "POST" });
  check("login", response.ok && (await me()) === null, "Signed out");
}));
onSubmit("login-form", () => run("login", async () => {
  const status = await signIn($("login-user").value, $("login-password").value);
  check("login", status === 200, status === 401 ? "Wrong password (it is demo)" : `Signed in: ${status}`);
  check("login", (await me()) !== null, "Cookie came back, A knows who you are");
}));
onSubmit("notes-form", () => run("notes", async () => {
  const response = await fetch(url("api/notes"), json("POST", { text: $("notes-text").value }));
  check("notes", response.status === 201, `POST: ${response.status}`);
  $("notes-text").value = "";
  await showNotes();
}));
onSubmit("ws-form", () => run("ws", async () => {
  const text = $("ws-text").value;
  $("ws-text").value = "";
  await say(text);
}));

summarize();
look();
watch();
showNotes().catch(() => {});
me().catch(() => {});
