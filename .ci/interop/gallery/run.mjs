// Plays every check in a real browser; says how each went, and exits 1 when one failed.

import { mkdir, readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { checks, options } from "./checks.mjs";
import { Stage, requireFrom, serveHost } from "./stage.mjs";

const LIMIT_MS = 45_000;

const { values } = parseArgs({
  options: {
    packages: { type: "string" },
    server: { type: "string" },
    chromium: { type: "string" },
    output: { type: "string" },
    only: { type: "string", default: "" },
  },
});

async function main() {
  const require = requireFrom(values.packages);
  const axe = await readFile(require.resolve("axe-core/axe.min.js"), "utf8");
  await mkdir(values.output, { recursive: true });
  const host = await serveHost(values.packages, values.server);
  const browser = await require("playwright-core").chromium.launch({
    executablePath: values.chromium,
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });
  try {
    return await play(browser, { url: host.url, output: values.output, axe });
  } finally {
    await browser.close();
    host.close();
  }
}

async function play(browser, place) {
  const names = Object.keys(checks).filter((name) => name.includes(values.only));
  let failed = 0;
  for (const name of names) {
    const started = performance.now();
    const problem = await problemOf(browser, place, name);
    console.log(`${problem ? "FAILED" : "ok    "} ${name} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
    if (problem) console.log(`    ${problem.replaceAll("\n", "\n    ")}`);
    failed += Boolean(problem);
  }
  console.log(`gallery: ${names.length - failed} passed, ${failed} failed`);
  return failed;
}

async function problemOf(browser, place, name) {
  const stage = await Stage.open(browser, place, options[name]);
  try {
    await bounded(checks[name](stage));
    return stage.errors.length ? `the console has errors: ${stage.errors.join("; ")}` : "";
  } catch (error) {
    await stage.shot("failed-check").catch(() => {});
    return [error.stack ?? String(error), ...stage.errors].join("\n");
  } finally {
    await stage.close();
  }
}

/** The outcome, or the error that it took too long: a page that never begins would hold all else up. */
async function bounded(check) {
  const late = new Promise((_, refuse) => setTimeout(() => refuse(new Error(`not done in ${LIMIT_MS / 1000} s`)), LIMIT_MS));
  await Promise.race([check, late]);
}

process.exit((await main()) ? 1 : 0);
