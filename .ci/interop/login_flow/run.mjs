// A person logs in: `runapi-mcp login` on a sandbox of its own, in a real browser.

import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { Program } from "../program.mjs";

const PATIENCE_MS = 15_000;
const AUTHORIZE = /(http:\/\/\S+\/cli\/authorize\S+)/;

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
  const sandbox = new Program(given.python, ["sandbox", "--port", "0"], {});
  const [, base] = await sandbox.says(/answers at (http:\S+)/);
  const browser = await require("playwright-core").chromium.launch({
    executablePath: given.chromium,
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });
  try {
    return await play({ browser, base, axe });
  } finally {
    await browser.close();
    sandbox.end();
  }
}

async function play(place) {
  let failed = 0;
  for (const [name, check] of Object.entries(checks)) {
    const problem = await problemOf(place, check);
    console.log(`${problem ? "FAILED" : "ok    "} ${name}`);
    if (problem) console.log(`    ${problem.replaceAll("\n", "\n    ")}`);
    failed += Boolean(problem);
  }
  console.log(`login: ${Object.keys(checks).length - failed} passed, ${failed} failed`);
  return failed;
}

async function problemOf(place, check) {
  const login = await Login.begin(place);
  try {
    await check(login);
    assert.deepEqual(login.errors, [], "the console has errors");
    return "";
  } catch (error) {
    return `${error.stack ?? error}\n${login.program.heard}`;
  } finally {
    await login.end();
  }
}

/** A login under way: the program that waits, and a page at its address. */
class Login {
  static async begin({ browser, base, axe }) {
    const home = await mkdtemp(path.join(tmpdir(), "login-"));
    const environment = { HOME: home, USERPROFILE: home, RUNAPI_BASE_URL: base };
    const program = new Program(given.python, ["login", "--no-browser"], environment);
    const [, address] = await program.says(AUTHORIZE);
    const [, code] = await program.says(/Code: (\S+)/);
    const context = await browser.newContext({ viewport: { width: 760, height: 640 } });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    const login = Object.assign(new Login(), { home, program, address, code, context, page, axe, base, errors: [] });
    page.on("console", (message) => login.note(message));
    page.on("pageerror", (error) => login.errors.push(String(error)));
    return login;
  }

  /** What the page does wrong; what the browser says of a status, or of whom it kept out, is none. */
  note(message) {
    const fine = /^Failed to load resource|CORS policy/.test(message.text());
    if (message.type() === "error" && !fine) this.errors.push(message.text());
  }

  get port() {
    return new URL(this.address).searchParams.get("redirect_port");
  }

  callback(query) {
    return `http://127.0.0.1:${this.port}/callback?${new URLSearchParams(query)}`;
  }

  async title() {
    return this.page.locator("h1").innerText();
  }

  /** A picture in light and in dark, and what axe says of both. */
  async shots(name) {
    for (const colorScheme of ["light", "dark"]) {
      await this.page.emulateMedia({ colorScheme });
      await this.page.screenshot({ path: path.join(given.output, `${name}-${colorScheme}.png`) });
      // The pages' own policy lets no script in; axe comes by the debugger.
      await this.page.evaluate(this.axe);
      const { violations } = await this.page.evaluate(() => window.axe.run(document));
      assert.deepEqual(violations.map((it) => it.id), [], `axe, ${name}, ${colorScheme}`);
    }
  }

  async saved() {
    const file = path.join(this.home, ".config", "runapi", "config.json");
    const text = await readFile(file, "utf8").catch(() => null);
    return text && { ...JSON.parse(text), mode: (await stat(file)).mode & 0o777 };
  }

  async end() {
    this.program.end();
    await this.context.close();
    await rm(this.home, { recursive: true, force: true });
  }
}

const checks = {
  async "approved: the code is shown, the key is saved, the page says so"(login) {
    await login.page.goto(login.address);
    assert.equal(await login.page.locator(".code").innerText(), login.code);
    await login.shots("authorize");
    await login.page.getByRole("button", { name: "Approve" }).click();
    await login.page.waitForURL("**/callback**");
    assert.equal(await login.title(), "You are logged in");
    await login.shots("logged-in");
    assert.equal(await login.program.exit(), 0);
    const { api_key: key, mode } = await login.saved();
    assert.match(key, /^sandbox-/);
    if (process.platform !== "win32") assert.equal(mode, 0o600);
    assert.ok(!login.program.heard.includes(key), "the key was printed");
  },

  async "denied: nothing is saved, and the page says so"(login) {
    await login.page.goto(login.address);
    await login.page.getByRole("button", { name: "Deny" }).click();
    await login.page.waitForURL("**/callback**");
    assert.equal(await login.title(), "Nothing was allowed");
    await login.shots("denied");
    assert.equal(await login.program.exit(), 2);
    assert.equal(await login.saved(), null);
  },

  async "a wrong code: the page says why"(login) {
    const { searchParams } = new URL(login.address);
    await login.page.goto(login.callback({ state: searchParams.get("state"), code: "injected" }));
    assert.equal(await login.title(), "The login did not work");
    await login.shots("failed");
    assert.equal(await login.program.exit(), 2);
    assert.equal(await login.saved(), null);
  },

  async "a forged state: told so, and the login goes on"(login) {
    await login.page.goto(login.callback({ state: "forged", code: "injected" }));
    assert.equal(await login.title(), "This is not the login that waits here");
    await login.shots("not-ours");
    await login.page.goto(login.address);
    await login.page.keyboard.press("Tab");
    await login.page.keyboard.press("Tab");
    await login.page.keyboard.press("Enter");
    await login.page.waitForURL("**/callback**");
    assert.equal(await login.title(), "You are logged in");
    assert.equal(await login.program.exit(), 0);
  },

  async "a page of another site can neither read nor end the login"(login) {
    await login.page.goto(`${login.base.replace("127.0.0.1", "localhost")}/api/v1/price_schedules`);
    const asked = login.callback({ state: "forged", error: "access_denied" });
    const read = await login.page.evaluate((url) => fetch(url).then((it) => it.status, () => "kept out"), asked);
    assert.equal(read, "kept out");
    await login.page.goto(login.address);
    assert.equal(await login.page.locator(".code").innerText(), login.code);
  },

  async "RunAPI's page may fetch in the place of a redirect"(login) {
    await login.page.goto(`${login.base}/api/v1/price_schedules`);
    const { searchParams } = new URL(login.address);
    const asked = login.callback({ state: searchParams.get("state"), error: "access_denied" });
    const status = await login.page.evaluate((url) => fetch(url).then((it) => it.status), asked);
    assert.equal(status, 200);
    assert.equal(await login.program.exit(), 2);
  },

  async "a hostname is text, whatever it holds"(login) {
    const evil = new URL(login.address);
    evil.searchParams.set("hostname", '"><img src=x onerror=alert(1)><b>$state');
    await login.page.goto(evil.href);
    assert.equal(await login.page.locator("strong").innerText(), '"><img src=x onerror=alert(1)><b>$state');
    assert.equal(await login.page.locator("img, b").count(), 0);
  },
};

process.exitCode = (await main()) ? 1 : 0;
