// Where a check plays: a host's web server, a browser, a page with the app in it.

import { readFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import { createRequire } from "node:module";
import path from "node:path";

const HERE = import.meta.dirname;
const PATIENCE_MS = 15_000;

/** The web server of the host: its page, the frame's page with its policy, a way to the MCP server. */
export async function serveHost(packages, server) {
  const files = { "/": await read("host.html"), "/proxy.html": await read("proxy.html"), "/host.js": await bundle(packages) };
  const http = createServer((incoming, outgoing) => {
    const url = new URL(incoming.url, "http://host");
    if (url.pathname === "/mcp") return passOn(server, incoming, outgoing);
    const text = files[url.pathname];
    const type = url.pathname.endsWith(".js") ? "text/javascript" : "text/html";
    const csp = url.searchParams.get("csp");
    const policy = csp === null ? {} : { "Content-Security-Policy": policyOf(JSON.parse(csp)) };
    outgoing.writeHead(text === undefined ? 204 : 200, { "Content-Type": `${type}; charset=utf-8`, ...policy }).end(text);
  });
  await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${http.address().port}/`, close: () => http.close() };
}

const read = (name) => readFile(path.join(HERE, name), "utf8");

async function bundle(packages) {
  const { build } = requireFrom(packages)("esbuild");
  const { outputFiles } = await build({
    entryPoints: [path.join(HERE, "host.js")],
    nodePaths: [path.join(packages, "node_modules")],
    bundle: true,
    write: false,
    format: "iife",
    platform: "browser",
    logLevel: "error",
  });
  return outputFiles[0].text;
}

export const requireFrom = (packages) => createRequire(path.join(packages, "package.json"));

/** Hands a request of the browser's client on, as a host that is no browser would have sent it. */
function passOn(server, incoming, outgoing) {
  const { origin: _, host: __, referer: ___, ...headers } = incoming.headers;
  const onward = request(server, { method: incoming.method, headers }, (answer) => {
    outgoing.writeHead(answer.statusCode, answer.headers);
    answer.pipe(outgoing);
  });
  onward.on("error", () => outgoing.destroy());
  outgoing.on("close", () => onward.destroy());
  incoming.pipe(onward);
}

/** The policy that the specification has a host make of what a page declares: nothing else loads. */
function policyOf({ resourceDomains = [], connectDomains = [] }) {
  const from = resourceDomains.join(" ");
  return [
    "default-src 'none'",
    `script-src 'self' 'unsafe-inline' ${from}`,
    `style-src 'self' 'unsafe-inline' ${from}`,
    `img-src 'self' data: ${from}`,
    `font-src 'self' ${from}`,
    `media-src 'self' data: ${from}`,
    `connect-src ${connectDomains.join(" ") || "'none'"}`,
    "frame-src 'none'",
    "object-src 'none'",
    "base-uri 'none'",
  ].join("; ");
}

/** One check's stage: a browser context of its own, closed at its end. */
export class Stage {
  static async open(browser, { url, output, axe }, options = {}) {
    const { width = 760, dark = false, era = "auto" } = options;
    const context = await browser.newContext({
      viewport: { width, height: 640 },
      colorScheme: dark ? "dark" : "light",
      reducedMotion: "reduce",
      deviceScaleFactor: 2,
    });
    const stage = new Stage(await context.newPage(), output, axe);
    stage.page.setDefaultTimeout(PATIENCE_MS);
    await stage.page.goto(url);
    await stage.host((mode) => window.host.connect(mode), era);
    return stage;
  }

  constructor(page, output, axe) {
    Object.assign(this, { page, output, axe, errors: [], requested: [] });
    page.on("console", (message) => message.type() === "error" && this.errors.push(message.text()));
    page.on("pageerror", (error) => this.errors.push(String(error)));
    page.on("request", (request) => this.requested.push(request.url()));
    this.app = page.frameLocator("iframe").frameLocator("iframe");
  }

  host(script, ...args) {
    return this.page.evaluate(script, ...args);
  }

  show(tool, options = {}) {
    return this.host(([name, given]) => window.host.show(name, given), [tool, options]);
  }

  call(tool, args) {
    return this.host(([name, given]) => window.host.call(name, given), [tool, args]);
  }

  send(what, given) {
    return this.host(([name, value]) => window.host.send[name](value), [what, given]);
  }

  seen() {
    return this.host(() => window.host.seen);
  }

  spent() {
    return this.host(() => window.host.spent());
  }

  button(name) {
    return this.app.getByRole("button", { name });
  }

  get cards() {
    return this.app.getByRole("article");
  }

  get inner() {
    return this.page.frames().find((frame) => frame.parentFrame()?.parentFrame() === this.page.mainFrame());
  }

  async see(text) {
    await this.app.getByText(text).first().waitFor();
  }

  /** Waits until the full image, and no preview, is shown; gives its natural size. */
  async fullImage(nth = 0) {
    const image = this.app.locator("img").nth(nth);
    await image.waitFor();
    await until(async () => (await image.getAttribute("src")).startsWith("http"), "the full image is shown");
    await until(() => image.evaluate((node) => node.complete && node.naturalWidth > 0), "it is loaded");
    return image.evaluate((node) => [node.naturalWidth, node.naturalHeight]);
  }

  async violations() {
    await this.inner.evaluate(this.axe);
    const { violations } = await this.inner.evaluate(() => window.axe.run(document));
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`);
  }

  /** A picture of the whole page; the window grows for it, as what lies outside is not painted. */
  async shot(name) {
    const { width, height } = this.page.viewportSize();
    const page = Math.ceil((await this.page.locator("body").boundingBox()).height);
    await this.page.setViewportSize({ width, height: page });
    await this.page.waitForTimeout(250);
    await this.page.screenshot({ path: path.join(this.output, `${name}.png`) });
    await this.page.setViewportSize({ width, height });
  }

  close() {
    return this.page.context().close();
  }
}

/** Waits for something to become true. */
export async function until(holds, words) {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`in ${PATIENCE_MS / 1000} s it never came that ${words}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
