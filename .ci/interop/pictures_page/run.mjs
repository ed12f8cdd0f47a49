// A person looks through their pictures: `runapi-mcp pictures`, in a real browser.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { appendFile, chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs, promisify } from "node:util";
import { Program } from "../program.mjs";

const PATIENCE_MS = 15_000;
const ADDRESS = /(http:\/\/127\.0\.0\.1:\d+\/\S+token=\S+)/;
const PICTURES = 6;

const { values: given } = parseArgs({
  options: {
    packages: { type: "string" },
    python: { type: "string" },
    chromium: { type: "string" },
    output: { type: "string" },
  },
});
const require = createRequire(path.join(given.packages, "package.json"));

async function main() {
  const axe = await readFile(require.resolve("axe-core/axe.min.js"), "utf8");
  await mkdir(given.output, { recursive: true });
  const home = await mkdtemp(path.join(tmpdir(), "pictures-"));
  const sandbox = new Program(given.python, ["sandbox", "--port", "0", "--draw-seconds", "0"], { HOME: home });
  const browser = await require("playwright-core").chromium.launch({
    executablePath: given.chromium,
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });
  try {
    const [, base] = await sandbox.says(/answers at (http:\S+)/);
    return await play({ browser, base, axe, home });
  } finally {
    await browser.close();
    sandbox.end();
    await rm(home, { recursive: true, force: true });
  }
}

async function play(place) {
  const environment = await drawn(place);
  let failed = 0;
  for (const [name, check] of Object.entries(checks)) {
    const problem = await problemOf(place, environment, check);
    console.log(`${problem ? "FAILED" : "ok    "} ${name}`);
    if (problem) console.log(`    ${problem.replaceAll("\n", "\n    ")}`);
    failed += Boolean(problem);
  }
  console.log(`pictures: ${Object.keys(checks).length - failed} passed, ${failed} failed`);
  return failed;
}

/** The environment of who has some pictures, and a system whose opener notes what it is to open. */
async function drawn({ base, home }) {
  const programs = path.join(home, "bin");
  await mkdir(programs);
  const opener = path.join(programs, "xdg-open");
  await writeFile(opener, `#!/bin/sh\necho "$1" >> "${home}/opened"\n`);
  await chmod(opener, 0o755);
  const environment = {
    HOME: home,
    PATH: `${programs}:${process.env.PATH}`,
    DISPLAY: ":99",
    DBUS_SESSION_BUS_ADDRESS: "unix:path=/nowhere",
    RUNAPI_BASE_URL: base,
    RUNAPI_API_KEY: "sandbox-key-without-money",
  };
  const draw = path.join(import.meta.dirname, "draw.py");
  await promisify(execFile)(given.python, [draw], { env: { ...process.env, ...environment }, cwd: home });
  return environment;
}

async function problemOf(place, environment, check) {
  const visit = await Visit.begin(place, environment, check.options);
  try {
    await check(visit);
    assert.deepEqual(visit.errors, [], "the console has errors");
    return "";
  } catch (error) {
    await visit.page.screenshot({ path: path.join(given.output, "failed-check.png") }).catch(() => {});
    return `${error.stack ?? error}\n${visit.program.heard}`;
  } finally {
    await visit.end();
  }
}

/** A program that shows pictures, and a browser that was given its address. */
class Visit {
  static async begin({ browser, axe, home, base }, environment, { width = 1200, empty = false, elsewhere = false } = {}) {
    const own = empty ? { HOME: path.join(home, "nobody") } : {};
    const program = new Program(given.python, ["pictures", "--no-browser"], { ...environment, ...own });
    const [, address] = await program.says(ADDRESS);
    const context = await browser.newContext({ viewport: { width, height: 800 }, locale: "en-GB" });
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    const visit = Object.assign(new Visit(), { program, address, context, page, browser, axe, home, base, errors: [] });
    page.on("console", (message) => visit.note(message));
    page.on("pageerror", (error) => visit.errors.push(String(error)));
    if (elsewhere) {
      await page.goto(`${base.replace("127.0.0.1", "localhost")}/api/v1/price_schedules`);
      await page.evaluate((url) => location.assign(url), address);
    } else {
      await page.goto(address);
    }
    await page.waitForURL(visit.place);
    return visit;
  }

  /** What the page does wrong; what the browser says of a status, or of whom it kept out, is none. */
  note(message) {
    const fine = /^Failed to load resource|CORS policy|ERR_CONNECTION_REFUSED/.test(message.text());
    if (message.type() === "error" && !fine) this.errors.push(message.text());
  }

  get place() {
    return new RegExp(`^${this.address.replace(/\?.*/, "")}(#.*)?$`);
  }

  get cards() {
    return this.page.locator(".card");
  }

  card(text) {
    return this.page.locator(".card", { hasText: text });
  }

  async see(count) {
    await until(async () => (await this.cards.count()) === count, `there are ${count} pictures`);
    const loaded = () => {
      const inSight = [...document.images].filter((it) => it.getBoundingClientRect().top < innerHeight);
      return inSight.every((it) => it.complete && it.naturalWidth > 0);
    };
    await until(() => this.page.evaluate(loaded), "the pictures are loaded");
  }

  async search(text) {
    await this.page.getByRole("searchbox").fill(text);
  }

  copied() {
    return this.page.evaluate(() => navigator.clipboard.readText());
  }

  async opened() {
    return (await readFile(path.join(this.home, "opened"), "utf8")).trim().split("\n").at(-1);
  }

  /** A picture in light and in dark, and what axe says of both. */
  async shots(name) {
    for (const colorScheme of ["light", "dark"]) {
      await this.page.emulateMedia({ colorScheme });
      const file = `${name}-${colorScheme}-${this.page.viewportSize().width}.png`;
      await this.page.screenshot({ path: path.join(given.output, file) });
      await this.page.evaluate(this.axe);
      const { violations } = await this.page.evaluate(() => window.axe.run(document));
      assert.deepEqual(violations.map((it) => `${it.id} ${it.nodes[0].html}`), [], `axe, ${name}, ${colorScheme}`);
    }
    const wide = await this.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.equal(wide, 0, "nothing sticks out at the side");
  }

  async end() {
    this.program.end();
    await this.context.close();
  }
}

async function until(holds, words) {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`it never came that ${words}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function seeAll(visit) {
  await visit.see(PICTURES);
  const prompts = await visit.page.locator(".prompt").allInnerTexts();
  assert.deepEqual([prompts[0], prompts[5]], ["夜の灯台", "a red fox in the snow"], "the newest first");
  const facts = await visit.card("a red fox").locator(".facts").innerText();
  assert.match(facts, /^Flux 2 Pro: text to image\n\$0\.05 in pretend money\n\d+ \w+ \d{4}, \d\d:\d\d$/);
  await visit.shots("pictures");
}

async function seeOnce(visit) {
  await visit.see(PICTURES);
  const [cookie, ...others] = await visit.context.cookies();
  assert.deepEqual([cookie.httpOnly, cookie.sameSite, others.length], [true, "Strict", 0]);
  await visit.page.reload();
  await visit.see(PICTURES);
  const other = await visit.browser.newContext();
  const page = await other.newPage();
  await page.goto(visit.address);
  assert.equal(await page.locator("h1").innerText(), "This address was opened before");
  await page.screenshot({ path: path.join(given.output, "opened-before.png") });
  await page.goto(visit.page.url());
  assert.equal(await page.locator("h1").innerText(), "This page is for another browser");
  await other.close();
}

const checks = {
  "the newest come first, with prompt, variant, price and date": seeAll,
  "a narrow window": Object.assign((visit) => seeAll(visit), { options: { width: 320 } }),
  "a wide window": Object.assign((visit) => seeAll(visit), { options: { width: 1800 } }),

  "no pictures yet": Object.assign(
    async (visit) => {
      await visit.page.getByRole("heading", { name: "No pictures yet" }).waitFor();
      await visit.shots("empty");
    },
    { options: { empty: true } },
  ),

  "the address works once, from another site too, for a cookie that no script gets; a reload works": Object.assign(seeOnce, { options: { elsewhere: true } }),

  async "a page on another port of this machine can neither see nor do anything"(visit) {
    const picture = new URL(await visit.page.locator("img").first().getAttribute("src"), visit.page.url()).href;
    await visit.page.goto(`${visit.base}/api/v1/price_schedules`);
    const answers = await visit.page.evaluate(async (url) => {
      const told = [];
      for (const [to, options] of [[url, {}], [`${url}/open`, { method: "POST" }]]) {
        const asked = { ...options, mode: "no-cors", credentials: "include" };
        told.push(await fetch(to, asked).then((it) => it.type, () => "kept out"));
      }
      const image = new Image();
      told.push(await new Promise((tell) => Object.assign(image, { onload: () => tell("seen"), onerror: () => tell("not seen"), src: url })));
      return told;
    }, picture);
    assert.deepEqual(answers, ["kept out", "kept out", "not seen"]);
    await assert.rejects(visit.opened(), "nothing was opened");
  },

  async "words find pictures, and a search outlives a reload"(visit) {
    await visit.search("owl SKETCHED");
    await visit.see(1);
    await visit.page.reload();
    await visit.see(1);
    await visit.search("灯台");
    await visit.see(2);
    await visit.search("no such picture");
    await visit.page.getByRole("heading", { name: "Nothing has “no such picture”" }).waitFor();
    await visit.shots("no-hit");
    await visit.page.getByRole("button", { name: "Show all pictures" }).click();
    await visit.see(PICTURES);
  },

  async "by keyboard: found, opened, shown, copied"(visit) {
    await visit.see(PICTURES);
    const keys = visit.page.keyboard;
    await keys.press("/");
    await keys.type("fox");
    await visit.see(1);
    await keys.press("Escape");
    await visit.see(PICTURES);
    for (const key of ["ArrowDown", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowUp", "ArrowDown", "ArrowRight", "ArrowDown"]) await keys.press(key);
    const focused = await visit.page.locator(":focus").getAttribute("aria-label");
    assert.equal(focused, "Open: a red fox in the snow");
    await visit.shots("focused");
    await keys.press("c");
    await visit.page.getByText("The path is copied.").waitFor();
    const file = await visit.copied();
    assert.match(file, /Pictures\/runapi\/\S+-red-fox-in-the-snow-\w+\.png$/);
    await keys.press("Enter");
    await visit.page.getByText("Opened.").waitFor();
    assert.equal(await visit.opened(), file);
    await keys.press("f");
    await visit.page.getByText("Shown in its folder.").waitFor();
    assert.equal(await visit.opened(), path.dirname(file));
    await keys.press("r");
    await visit.page.getByText("The call is copied").waitFor();
    assert.match(await visit.copied(), /^flux_2_pro_remix_image \{"prompt": "a red fox in the snow", "source_image_urls": \["[0-9a-f-]{36}"\], "aspect_ratio": "3:2"\}$/);
    await visit.shots("done");
  },

  async "files that are gone or changed are shown as such"(visit) {
    await visit.see(PICTURES);
    for (const [text, spoil] of [["a lighthouse at night", rm], ["an OWL", (file) => appendFile(file, "more")]]) {
      await visit.card(text).getByRole("button", { name: "Copy path" }).click();
      await visit.card(text).getByText("The path is copied.").waitFor();
      await spoil(await visit.copied());
    }
    await visit.card("an OWL").locator(".frame").click();
    await visit.page.getByText("was changed since it was saved").waitFor();
    await visit.page.reload();
    await visit.card("a lighthouse").getByText("is gone").waitFor();
    await visit.card("an OWL").getByText("was changed since it was saved").waitFor();
    assert.equal(await visit.card("a lighthouse").getByRole("button", { name: "Copy path" }).count(), 0);
    await visit.shots("missing");
  },

  async "Ctrl-C ends it, and the page says so"(visit) {
    await visit.see(PICTURES);
    visit.program.process.kill("SIGINT");
    assert.equal(await visit.program.exit(), 0);
    await visit.search("fox");
    await visit.page.getByRole("heading", { name: "The pictures cannot be listed" }).waitFor();
    await visit.shots("ended");
  },
};

process.exitCode = (await main()) ? 1 : 0;
