// Drives the demo page in headless Chromium and checks that every card works.
//
//   node tests/browser/demo.mjs URL [screenshot-prefix]
//
// CHROMIUM            browser binary (default /usr/bin/chromium)
// DEMO_IGNORE_CERT=1  accept a self-signed certificate
// DEMO_EXPECT_PROXY=1 also require that the page saw forwarding headers
//
// Needs Node 20 and no packages.

import { DESKTOP, PHONE, openPage, report, runAll, runScenario, setWidth, takeScreenshot, waitFor } from "./chromium.mjs";

const CARDS = ["echo", "login", "static", "notes", "upload", "download", "sse", "ws"];

const [url, prefix] = process.argv.slice(2);
if (!url) {
  console.error("usage: node demo.mjs URL [screenshot-prefix]");
  process.exit(2);
}

async function scenario(connection) {
  const errors = [];
  connection.listen(({ method, params }) => {
    if (method === "Runtime.exceptionThrown") {
      errors.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    }
    // Whatever the console shows in red, failed requests included.
    if (method === "Log.entryAdded" && params.entry.level === "error") errors.push(`${params.entry.text} ${params.entry.url ?? ""}`);
    if (method === "Runtime.consoleAPICalled" && params.type === "error") errors.push(params.args.map((arg) => arg.value).join(" "));
  });
  const page = await openPage(connection);
  for (const domain of ["Page", "Runtime", "Log"]) await page.call(`${domain}.enable`);
  if (process.env.DEMO_DARK === "1") {
    await page.call("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: "dark" }] });
  }
  await setWidth(page, DESKTOP);
  const { errorText } = await page.call("Page.navigate", { url });
  const loaded = !errorText && (await waitFor(
    page, "document.readyState === 'complete' && !!document.querySelector('#run-all')", Date.now() + 15_000,
  ));
  report(loaded, `the page opens${errorText ? `: ${errorText}` : ""}`);
  if (!loaded) return;
  if (prefix) await takeScreenshot(page, `${prefix}-start.png`);

  await runAll(page);
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

  for (const width of [DESKTOP, PHONE]) {
    await setWidth(page, width);
    const overflow = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
    report(overflow === 0, `no sideways scrolling at ${width[1]} px`);
    const rows = await page.evaluate(`(() => {
      const wrap = document.querySelector("#echo-wrap");
      const rows = [...wrap.querySelectorAll("tbody tr")];
      const { bottom } = wrap.getBoundingClientRect();
      return { all: rows.length, hidden: rows.filter((row) => row.getBoundingClientRect().bottom > bottom + 1).length };
    })()`);
    report(rows.all > 5 && rows.hidden === 0, `${rows.all} header rows at ${width[1]} px, ${rows.hidden} of them hidden`);
    if (prefix) await takeScreenshot(page, `${prefix}-${width[0]}.png`);
  }
  report(errors.length === 0, `nothing red in the console${errors.length ? `: ${errors.join("; ")}` : ""}`);
}

await runScenario(scenario);
