// A host of MCP Apps: the official client and the official bridge, and a frame between two origins.

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import {
  AppBridge,
  PostMessageTransport,
  RESOURCE_MIME_TYPE,
  buildAllowAttribute,
  getToolUiResourceUri,
} from "@modelcontextprotocol/ext-apps/app-bridge";

const INFO = { name: "gallery-check", version: "1.0.0" };
const CAN = {
  openLinks: {},
  serverTools: {},
  serverResources: {},
  message: { text: {} },
  updateModelContext: { text: {} },
};

/** What the page asked of the host. */
const seen = { calls: [], links: [], messages: [], contexts: [], heights: [], initialized: 0 };
let client;
let bridge;
let frame;

window.host = {
  seen,

  /** Connects to the server, speaking of MCP Apps as a host does. */
  async connect(mode = "auto") {
    client = new Client(INFO, {
      capabilities: { extensions: { "io.modelcontextprotocol/ui": { mimeTypes: [RESOURCE_MIME_TYPE] } } },
      versionNegotiation: { mode },
    });
    await client.connect(new StreamableHTTPClientTransport(new URL("/mcp", location.href)));
  },

  /** Shows the page bound to a tool, as this tool is about to be called. */
  async show(name, options = {}) {
    const { tools } = await client.listTools();
    const tool = tools.find((one) => one.name === name);
    const page = await resource(getToolUiResourceUri(tool));
    document.documentElement.dataset.theme = options.theme ?? "light";
    frame = document.body.appendChild(document.createElement("iframe"));
    frame.title = "App";
    const csp = options.csp ?? page.ui.csp;
    const allow = options.clipboard === false ? "" : buildAllowAttribute(page.ui.permissions);
    await loadProxy(csp, allow);
    bridge = new AppBridge(client, INFO, capabilities(options.without), { hostContext: context(tool, options) });
    const initialized = listen(options);
    await bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow));
    interpose(options);
    await bridge.sendSandboxResourceReady({ html: page.html, csp, permissions: { allow }, sandbox: options.sandbox });
    await initialized;
    return { csp: page.ui.csp, permissions: page.ui.permissions, prefersBorder: page.ui.prefersBorder };
  },

  /** Calls the tool for the model, and hands the page what goes in and what comes out. */
  async call(name, args) {
    await bridge.sendToolInput({ arguments: args });
    const result = await client.callTool({ name, arguments: args });
    await bridge.sendToolResult(result);
    return result;
  },

  send: {
    input: (args) => bridge.sendToolInput({ arguments: args }),
    partly: (args) => bridge.sendToolInputPartial({ arguments: args }),
    result: (result) => bridge.sendToolResult(result),
    cancelled: (reason) => bridge.sendToolCancelled({ reason }),
    context: (changed) => bridge.sendHostContextChange(changed),
    teardown: () => bridge.teardownResource({}),
    ping: () => bridge.request({ method: "ping" }),
  },

  /** What the account has paid so far, in cents. */
  async spent() {
    const { structuredContent } = await client.callTool({ name: "check_balance", arguments: {} });
    return structuredContent.spent_total_cents ?? 0;
  },

  tool: (name, args) => client.callTool({ name, arguments: args }),
};

async function resource(uri) {
  const { contents } = await client.readResource({ uri });
  if (contents.length !== 1 || contents[0].mimeType !== RESOURCE_MIME_TYPE) throw new Error(`no page at ${uri}`);
  return { html: contents[0].text, ui: contents[0]._meta.ui };
}

/** The frame of another origin that the specification asks web hosts for; its header is the policy. */
function loadProxy(csp, allow) {
  frame.setAttribute("sandbox", "allow-scripts allow-same-origin allow-forms");
  frame.setAttribute("allow", allow);
  const ready = new Promise((resolve) => {
    addEventListener("message", function listener({ source, data }) {
      if (source !== frame.contentWindow || data?.method !== "ui/notifications/sandbox-proxy-ready") return;
      removeEventListener("message", listener);
      resolve();
    });
  });
  const { protocol, port } = location;
  frame.src = `${protocol}//localhost:${port}/proxy.html?csp=${encodeURIComponent(JSON.stringify(csp))}`;
  return ready;
}

function capabilities(without = []) {
  return Object.fromEntries(Object.entries(CAN).filter(([name]) => !without.includes(name)));
}

function context(tool, { theme = "light", variables, toolInfo = true, fonts }) {
  const styles = variables && { variables, css: { fonts } };
  return { theme, displayMode: "inline", ...(toolInfo && { toolInfo: { id: 1, tool } }), ...(styles && { styles }) };
}

function listen({ refuseLinks = false }) {
  bridge.onopenlink = async ({ url }) => {
    seen.links.push(url);
    return refuseLinks ? { isError: true } : {};
  };
  bridge.onmessage = async ({ content }) => {
    seen.messages.push(content[0].text);
    return {};
  };
  bridge.onupdatemodelcontext = async ({ content }) => {
    seen.contexts.push(content[0].text);
    return {};
  };
  bridge.onsizechange = ({ height }) => {
    seen.heights.push(height);
    frame.style.height = `${height + 2}px`;
  };
  return new Promise((resolve) => {
    bridge.oninitialized = () => {
      seen.initialized += 1;
      resolve();
    };
  });
}

/** Notes the page's calls, and answers those that a check answers itself. */
function interpose({ answers = {} }) {
  const forward = bridge.oncalltool;
  bridge.oncalltool = async (params, extra) => {
    seen.calls.push(params);
    const answer = answers[params.name];
    if (answer?.refused) throw new Error(answer.refused);
    return answer ?? forward(params, extra);
  };
}
