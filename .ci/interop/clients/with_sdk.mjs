// The TypeScript SDK, old (@modelcontextprotocol/sdk) and new (@modelcontextprotocol/client).
// Usage: PACKAGES GENERATION ENDPOINT, or PACKAGES GENERATION COMMAND...

import { createRequire } from "node:module";
import path from "node:path";

const [packages, generation, first, ...rest] = process.argv.slice(2);
const require = createRequire(path.join(packages, "package.json"));
const { Client, StdioClientTransport, StreamableHTTPClientTransport } = {
  old: () => ({
    ...require("@modelcontextprotocol/sdk/client/index.js"),
    ...require("@modelcontextprotocol/sdk/client/stdio.js"),
    ...require("@modelcontextprotocol/sdk/client/streamableHttp.js"),
  }),
  new: () => ({
    ...require("@modelcontextprotocol/client"),
    ...require("@modelcontextprotocol/client/stdio"),
  }),
}[generation]();

const client = new Client({ name: "sdk-check", version: "1" });
await client.connect(
  first.startsWith("http")
    ? new StreamableHTTPClientTransport(new URL(first))
    : new StdioClientTransport({ command: first, args: rest, env: process.env }),
);
const { tools } = await client.listTools();
const answers = [];
const sent = [];

async function call(name, args) {
  const result = await client.callTool({ name, arguments: args });
  answers.push(result.content[0].text);
  sent.push(result.content);
  return result;
}

const prompt = `fox number ${process.pid} [[takes 0s]]`;
const { structuredContent: drawn } = await call("flux_2_pro_text_to_image", { prompt });
const source = drawn.image_paths?.[0] ?? drawn.task_id;
await call("flux_2_pro_remix_image", { prompt, source_image_urls: [source] });
const refused = await call("flux_2_pro_text_to_image", { prompt, n: 2 });
if (!refused.isError) throw new Error("the call was not refused as an error");
await client.close();
console.log(JSON.stringify({ tools: tools.map((tool) => tool.name), answers, sent }));
