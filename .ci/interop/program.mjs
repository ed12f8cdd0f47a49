// A `runapi-mcp` that runs: what it says, and how it ends.

import { spawn } from "node:child_process";

const PATIENCE_MS = 30_000;

export class Program {
  constructor(python, words, environment) {
    const { RUNAPI_API_KEY: _, RUNAPI_KEY: __, SSH_CONNECTION: ___, ...inherited } = process.env;
    const env = { ...inherited, PYTHONUNBUFFERED: "1", ...environment };
    this.heard = "";
    this.listeners = new Set();
    this.process = spawn(python, ["-m", "runapi_mcp", ...words], { env, stdio: ["ignore", "pipe", "pipe"] });
    this.ended = new Promise((resolve) => this.process.on("close", resolve));
    for (const pipe of [this.process.stdout, this.process.stderr]) {
      pipe.setEncoding("utf8").on("data", (text) => {
        this.heard += text;
        for (const listener of this.listeners) listener();
      });
    }
  }

  /** The match of a pattern in what it says, once it has said that. */
  says(pattern) {
    return this.#within(
      new Promise((resolve) => {
        const look = () => {
          const found = this.heard.match(pattern);
          if (!found) return;
          this.listeners.delete(look);
          resolve(found);
        };
        this.listeners.add(look);
        look();
      }),
      `no ${pattern} came`,
    );
  }

  /** Its exit status. */
  exit() {
    return this.#within(this.ended, "it did not end");
  }

  end() {
    this.process.kill("SIGKILL");
  }

  async #within(promise, complaint) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`${complaint}: ${this.heard}`)), PATIENCE_MS);
    });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
  }
}
