// What the gallery must do. Each check has a host, a page and a server with a sandbox to itself.

import assert from "node:assert/strict";
import { until } from "./stage.mjs";

const DRAW = "flux_2_pro_text_to_image";
const PAID_CENTS = 5;
const FOX = { prompt: "a red fox in fresh snow, morning light", aspect_ratio: "3:2" };
const LATER = "2099-01-01 00:00 UTC";
const LONG_AGO = "2026-01-01 00:00 UTC";
const TASK = "5d2c1a3e-8f70-4b61-9a3d-2f6b7c8d9e0f";
const PATH = "/home/ada/Pictures/runapi/2026-11-21-red-fox.png";

/** A host's colours, as the specification names them. */
const PARCHMENT = {
  "--color-background-primary": "light-dark(#faf6ee, #1b1d22)",
  "--color-background-secondary": "light-dark(#f0e9db, #262932)",
  "--color-text-primary": "light-dark(#2b2620, #eceef4)",
  "--color-text-secondary": "light-dark(#655c4e, #aab0c0)",
  "--color-border-primary": "light-dark(#ddd3c0, #3a3f4c)",
  "--font-sans": "Georgia, serif",
  "--border-radius-lg": "4px",
  "--border-radius-md": "4px",
};

/** An answer of the server, made up; facts that are undefined are left out. */
function answer(facts, { preview, isError = false } = {}) {
  const structuredContent = {
    status: "completed",
    task_id: TASK,
    model: "flux-2-pro-text-to-image",
    image_urls: ["https://images.runapi.ai/fox.png"],
    image_sizes: ["1248x832"],
    cost_cents: 5,
    expires: LATER,
    next: "",
    ...facts,
  };
  const content = [{ type: "text", text: "status: completed" }];
  if (preview) content.push({ type: "image", mimeType: "image/png", data: preview });
  return { content, structuredContent: JSON.parse(JSON.stringify(structuredContent)), isError };
}

async function shown(stage, result, options = {}, tool = DRAW, args = FOX) {
  await stage.show(tool, options);
  await stage.send("input", args);
  await stage.send("result", result);
}

async function payAgain(stage) {
  await stage.button(/^Draw again/).first().click();
  const pay = stage.button("Pay $0.05");
  await pay.waitFor();
  // Longer than a double click: this is a person who has read the question.
  await stage.page.waitForTimeout(450);
  return pay;
}

const paidCalls = ({ calls }) => calls.filter(({ name }) => name.startsWith("flux_2_"));

export const checks = {
  async "a running picture is followed on the screen until it is finished"(stage) {
    const framed = await stage.show(DRAW);
    assert.ok(framed.csp.resourceDomains.includes("https://runapi.ai"));
    assert.deepEqual([framed.permissions, framed.prefersBorder], [{ clipboardWrite: {} }, true]);
    const call = stage.call(DRAW, { ...FOX, prompt: `${FOX.prompt} [[takes 4s]]` });
    await stage.see("Drawing");
    await stage.see(FOX.prompt);
    await until(async () => (await stage.app.getByRole("timer").textContent()) >= "0:02", "time goes by");
    await stage.shot("drawing-light");
    assert.deepEqual(await stage.violations(), []);
    const { structuredContent } = await call;
    assert.equal(structuredContent.status, "completed");
    assert.ok((await stage.fullImage())[0] >= 1000);
    await stage.see("$0.05");
    await stage.see(structuredContent.notice);
    await stage.button(/^Draw again · \$0\.05$/).waitFor();
    assert.deepEqual(await stage.violations(), []);
    await stage.shot("finished-light");
  },

  async "dark, narrow and in the host's colours"(stage) {
    await stage.show(DRAW, { theme: "dark", variables: PARCHMENT });
    const call = stage.call(DRAW, { prompt: "a lighthouse at dusk, long exposure [[takes 2s]]", aspect_ratio: "3:4" });
    await until(async () => (await stage.app.getByRole("timer").textContent()) >= "0:01", "time goes by");
    await stage.shot("drawing-dark-narrow");
    await call;
    await stage.fullImage();
    const style = await stage.app.locator("body").evaluate((body) => [getComputedStyle(body).backgroundColor, getComputedStyle(body).fontFamily]);
    assert.deepEqual(style, ["rgb(27, 29, 34)", "Georgia, serif"]);
    assert.deepEqual(await stage.violations(), []);
    await stage.shot("finished-dark-narrow");
    await stage.send("context", { theme: "light" });
    await until(async () => (await stage.app.locator("body").evaluate((body) => getComputedStyle(body).backgroundColor)) === "rgb(250, 246, 238)", "the theme follows");
    assert.deepEqual(await stage.violations(), []);
    await stage.shot("finished-host-colours-narrow");
  },

  async "dark and wide, in its own colours"(stage) {
    await stage.show(DRAW, { theme: "dark", variables: { "--color-background-primary": "#ffffff" } });
    await stage.call(DRAW, { prompt: "a quiet harbour in the fog [[takes 1s]]", aspect_ratio: "16:9" });
    await stage.fullImage();
    const ground = await stage.app.locator("body").evaluate((body) => getComputedStyle(body).backgroundColor);
    assert.equal(ground, "rgb(29, 28, 27)", "half a palette is no palette");
    await stage.shot("finished-dark-wide");
    assert.deepEqual(await stage.violations(), []);
  },

  async "a call that ended early is followed to its picture, and the model hears of it"(stage) {
    await stage.show(DRAW);
    const result = await stage.call(DRAW, { ...FOX, prompt: "a heron at dawn [[takes 3s]]", wait_seconds: 0 });
    assert.match(result.structuredContent.status, /pending|processing/);
    await stage.see("Drawing");
    await stage.fullImage();
    const { calls, contexts } = await stage.seen();
    const looks = calls.filter(({ name }) => name === "get_task");
    assert.ok(looks.length >= 1 && looks.length <= 2, `${looks.length} looks`);
    assert.equal(looks[0].arguments.task_id, result.structuredContent.task_id);
    assert.match(contexts.at(-1), new RegExp(`${result.structuredContent.task_id}, completed`));
    assert.equal(paidCalls({ calls }).length, 0);
  },

  async "the handshake era shows the same page"(stage) {
    await stage.show(DRAW);
    await stage.call(DRAW, { ...FOX, prompt: "an owl [[takes 1s]]" });
    await stage.fullImage();
  },

  async "get_task shows a picture with its prompt, to draw again and to remix"(stage) {
    const asked = { prompt: "a hare in the rain [[takes 1s]]", aspect_ratio: "16:9" };
    const drawn = await stage.host(([name, args]) => window.host.tool(name, args), [DRAW, asked]);
    await stage.show("get_task");
    await stage.call("get_task", { task_id: drawn.structuredContent.task_id });
    await stage.fullImage();
    await stage.see(asked.prompt);
    await stage.button("Remix this one").waitFor();
    await (await payAgain(stage)).click();
    await until(async () => paidCalls(await stage.seen()).length === 1, "it is paid once more");
    const [{ name, arguments: args }] = paidCalls(await stage.seen());
    assert.deepEqual([name, args.prompt, args.aspect_ratio], [DRAW, asked.prompt, asked.aspect_ratio]);
  },

  async "a failed one says why, that it cost nothing, and what drawing again costs"(stage) {
    await stage.show(DRAW);
    await stage.call(DRAW, { prompt: "a cat [[takes 1s]] [[fail: no cats today]]" });
    await stage.see("Not drawn");
    await stage.see("no cats today");
    await stage.see("Failed images are not charged.");
    await stage.button(/^Draw again · \$0\.05$/).waitFor();
    assert.equal(await stage.app.locator("img").count(), 0);
    assert.deepEqual(await stage.violations(), []);
    await stage.shot("failed-light");
  },

  async "a refused call shows the sentence of the refusal"(stage) {
    await stage.show(DRAW);
    const result = await stage.call(DRAW, { prompt: "a fox", seed: 3 });
    assert.ok(result.isError);
    await stage.see(/seed/);
    assert.equal(await stage.button(/^Draw again/).count(), 0, "it would be refused again");
    await stage.shot("refused-light");
    assert.deepEqual(await stage.violations(), []);
  },

  async "a blocked image leaves the preview and says so"(stage) {
    const { preview } = await drawn(stage);
    const url = "https://elsewhere.example/fox.png";
    await shown(stage, answer({ image_urls: [url], image_paths: [PATH] }, { preview }));
    await stage.see("This host blocks images from https://elsewhere.example. This is the preview.");
    await stage.see(`The full image is saved at ${PATH}`);
    assert.match(await stage.app.locator("img").getAttribute("src"), /^data:image\/png/);
    // The browser itself says that it blocks; nothing else may be said.
    assert.ok(stage.errors.length === 1 && /Content Security Policy/.test(stage.errors[0]), stage.errors.join());
    stage.errors.length = 0;
    assert.deepEqual(await stage.violations(), []);
    await stage.shot("blocked-with-preview-light");
  },

  async "the server's own preview stands where its images are blocked"(stage) {
    await stage.show(DRAW, { csp: { resourceDomains: [] } });
    await stage.call(DRAW, { ...FOX, prompt: "a stoat [[takes 1s]]" });
    await stage.see(/^This host blocks images from http:\/\/127\.0\.0\.1:\d+\. This is the preview\.$/);
    const natural = await stage.app.locator("img").evaluate((image) => [image.naturalWidth, image.src.slice(0, 11)]);
    assert.ok(natural[0] > 300 && natural[0] <= 512 && natural[1] === "data:image/", natural.join());
    stage.errors = stage.errors.filter((text) => !/Content Security Policy/.test(text));
  },

  async "a blocked image without a preview leaves its path or its link"(stage) {
    await shown(stage, answer({ image_urls: ["https://elsewhere.example/fox.png"] }));
    await stage.see("Its link: https://elsewhere.example/fox.png");
    stage.errors.length = 0;
    await stage.send("result", answer({ image_urls: ["https://elsewhere.example/fox.png"], image_paths: [PATH] }));
    await stage.see(`The full image is saved at ${PATH}`);
    stage.errors.length = 0;
    await stage.shot("blocked-without-preview-light");
    assert.deepEqual(await stage.violations(), []);
  },

  async "an expired image is not asked for: the preview stays, and when it ended is said"(stage) {
    const { preview } = await drawn(stage);
    await shown(stage, answer({ expires: LONG_AGO }));
    await stage.see(`The link expired on ${LONG_AGO}.`);
    assert.equal(await stage.app.locator("img").count(), 0);
    await stage.send("result", answer({ expires: LONG_AGO }, { preview }));
    await stage.see(`The link expired on ${LONG_AGO}. This is the preview.`);
    await stage.app.locator("img").waitFor();
    assert.equal((await stage.button("Copy link").count()) + (await stage.button("Open full size").count()), 0);
    assert.ok(!stage.requested.some((url) => url.includes("images.runapi.ai")));
    assert.deepEqual(await stage.violations(), []);
    await stage.shot("expired-light");
  },

  async "an image that cannot be reached leaves the preview"(stage) {
    const { preview, origin } = await drawn(stage);
    await shown(stage, answer({ image_urls: [`${origin}/images/gone.png`] }, { preview }));
    await stage.see(/cannot be reached.*This is the preview/);
    // The browser may say that it got none; nothing else may be said.
    await stage.page.waitForTimeout(200);
    assert.ok(stage.errors.every((text) => /^Failed to load resource/.test(text)), stage.errors.join());
    stage.errors.length = 0;
  },

  async "draw again asks once more, and pays exactly once on a double click"(stage) {
    await stage.show(DRAW);
    await stage.call(DRAW, { ...FOX, prompt: "two herons [[takes 1s]]" });
    await stage.fullImage();
    const before = await stage.spent();
    await stage.inner.evaluate(() => addEventListener("scroll", () => { document.title = "moved"; }));
    await stage.button(/^Draw again/).dblclick();
    await stage.see("Draw a new image from the same prompt? It costs $0.05.");
    assert.equal(await stage.inner.title(), "Flux 2 gallery", "a page that moves makes two clicks of a double click");
    await stage.page.waitForTimeout(600);
    assert.ok(await stage.button("Pay $0.05").isVisible());
    await stage.shot("confirm-light");
    assert.deepEqual(await stage.violations(), []);
    assert.deepEqual([await stage.spent(), paidCalls(await stage.seen()).length], [before, 0], "asking pays nothing");
    await stage.button("Cancel").click();
    assert.equal(await stage.button("Pay $0.05").count(), 0);
    await (await payAgain(stage)).dblclick();
    await stage.fullImage(1);
    await stage.page.waitForTimeout(300);
    const { contexts, ...seen } = await stage.seen();
    assert.equal(paidCalls(seen).length, 1);
    assert.equal(await stage.spent(), before + PAID_CENTS);
    assert.equal(await stage.cards.count(), 2);
    assert.match(contexts.at(-1), /Drawn again: task_id [0-9a-f-]{36}, completed/);
    assert.deepEqual(await stage.violations(), []);
    await stage.shot("drawn-again-light");
  },

  async "while a new one is drawn, its button is locked"(stage) {
    await stage.show(DRAW);
    await stage.call(DRAW, { ...FOX, prompt: "a kingfisher [[takes 2s]]" });
    await (await payAgain(stage)).click();
    await until(async () => (await stage.cards.count()) === 2, "the new card is there");
    assert.ok(await stage.button(/^Draw again/).first().isDisabled());
    assert.equal(await stage.cards.nth(1).evaluate((card) => card === document.activeElement), true);
    await stage.shot("drawing-again-light");
    await stage.fullImage(1);
    await until(() => stage.button(/^Draw again/).first().isEnabled(), "the lock opens");
  },

  async "a remix pays once, takes the task as its source, and the model hears of it"(stage) {
    await stage.show(DRAW, { theme: "dark" });
    const first = await stage.call(DRAW, { ...FOX, prompt: "a red fox by a stream [[takes 1s]]" });
    await stage.fullImage();
    const before = await stage.spent();
    await stage.button("Remix this one").click();
    const field = stage.app.getByLabel("What should change?");
    await field.fill("make it autumn, with falling leaves [[takes 1s]]");
    await stage.button("Remix · $0.05").waitFor();
    assert.deepEqual(await stage.violations(), []);
    await stage.shot("remix-form-dark");
    await stage.button("Remix · $0.05").click();
    await stage.see(/Remix this image: “make it autumn.*It costs \$0\.05\./);
    await stage.page.waitForTimeout(450);
    await stage.button("Pay $0.05").dblclick();
    await stage.fullImage(1);
    const seen = await stage.seen();
    const [call, ...more] = paidCalls(seen);
    assert.deepEqual([call.name, call.arguments, more], [
      "flux_2_pro_remix_image",
      {
        prompt: "make it autumn, with falling leaves [[takes 1s]]",
        source_image_urls: [first.structuredContent.task_id],
        aspect_ratio: "3:2",
        wait_seconds: 0,
      },
      [],
    ]);
    assert.equal(await stage.spent(), before + PAID_CENTS);
    assert.match(seen.contexts.at(-1), /Remix: task_id [0-9a-f-]{36}, completed, flux-2-pro-remix-image, cost \$0\.05/);
    assert.deepEqual(await stage.violations(), []);
    await stage.shot("remixed-dark");
  },

  async "a remix by max says its shape, also where only the image tells it"(stage) {
    const answers = { flux_2_max_remix_image: { isError: true, content: [{ type: "text", text: "Made up: nothing was paid." }] } };
    const facts = { model: "flux-2-max-text-to-image", image_urls: undefined, image_sizes: ["832x1248"], cost_cents: 30 };
    await shown(stage, answer(facts), { answers }, "get_task", { task_id: TASK });
    await stage.button("Remix this one").click();
    await stage.app.getByLabel("What should change?").fill("at night");
    await stage.button("Remix · $0.30").click();
    await stage.button("Pay $0.30").waitFor();
    await stage.page.waitForTimeout(450);
    await stage.button("Pay $0.30").click();
    await stage.see("Made up: nothing was paid.");
    const [call] = paidCalls(await stage.seen());
    assert.deepEqual(call.arguments, { prompt: "at night", source_image_urls: [TASK], aspect_ratio: "2:3", wait_seconds: 0 });
  },

  async "a paid call that the host does not carry out says so, and names list_tasks"(stage) {
    const answers = { [DRAW]: { refused: "The user declined." } };
    await shown(stage, answer({ image_urls: undefined, image_paths: [PATH] }), { answers });
    await (await payAgain(stage)).click();
    await stage.see(/The user declined\..*list_tasks/);
    assert.ok(await stage.button(/^Draw again/).first().isEnabled());
  },

  async "one of several is remixed by its own task, for the price of one"(stage) {
    const answers = { flux_2_pro_remix_image: { isError: true, content: [{ type: "text", text: "Made up: nothing was paid." }] } };
    const { result, ids } = await several(stage, 3);
    await shown(stage, result, { answers }, DRAW, { ...FOX, count: 3 });
    await stage.button("Remix").nth(2).click();
    await stage.app.getByLabel("What should change in image 3?").fill("at night");
    await stage.button("Remix · $0.05").click();
    await stage.button("Pay $0.05").waitFor();
    await stage.page.waitForTimeout(450);
    await stage.button("Pay $0.05").click();
    await stage.see("Made up: nothing was paid.");
    const [{ arguments: args }] = paidCalls(await stage.seen());
    assert.deepEqual(args, { prompt: "at night", source_image_urls: [ids[2]], aspect_ratio: "3:2", wait_seconds: 0 });
  },

  async "drawing several again asks with their sum, and says which are redrawn"(stage) {
    const { result, ids } = await several(stage, 3);
    const answers = { [DRAW]: { isError: true, content: [{ type: "text", text: "Made up: nothing was paid." }] } };
    await shown(stage, result, { answers }, DRAW, { ...FOX, count: 3 });
    await stage.button("Draw 3 again · $0.15").click();
    await stage.see("Draw 3 new images from the same prompt? It costs $0.15.");
    await stage.page.waitForTimeout(450);
    await stage.button("Pay $0.15").click();
    await stage.see("Made up: nothing was paid.");
    const [{ arguments: args }] = paidCalls(await stage.seen());
    assert.deepEqual(args, { ...FOX, count: 3, redraw: ids[0], wait_seconds: 0 });
  },

  async "a failed one of several is named, and the others keep their paths and tasks"(stage) {
    const { result, ids } = await several(stage, 3);
    const { image_paths: paths, image_urls: urls } = result.structuredContent;
    const failed = [`Image 2: task ${ids[1]}: no cats today`];
    const without = (all) => [all[0], all[2]];
    Object.assign(result.structuredContent, { image_urls: without(urls), image_paths: [paths[2]], failed, cost_cents: 10 });
    result.content = without(result.content.filter(({ type }) => type === "image"));
    await shown(stage, result, {}, DRAW, { ...FOX, count: 3 });
    await stage.fullImage(1);
    await stage.see("Not drawn: " + failed[0]);
    const captions = await stage.app.locator("figure .caption").allTextContents();
    assert.deepEqual(captions, ["1 · 1248 × 832", "3 · red-fox-3.png · 1248 × 832"]);
    assert.deepEqual(await stage.violations(), []);
    await stage.shot("several-failed");
  },

  async "several that still run are followed, each by its task, until all have ended"(stage) {
    const prompts = ["a stoat [[takes 1s]]", "a stoat [[takes 2s]] [[fail: no stoats]]", "a stoat [[takes 2s]]"];
    const ids = [];
    for (const prompt of prompts) {
      const { structuredContent } = await stage.host(([name, args]) => window.host.tool(name, args), [DRAW, { ...FOX, prompt, wait_seconds: 0 }]);
      ids.push(structuredContent.task_id);
    }
    const failed = ["Image 2: RunAPI says that there is no credit. Nothing was paid for it."];
    const running = { status: "processing", task_id: ids[0], task_ids: ids, failed, image_urls: undefined, image_sizes: undefined, cost_cents: undefined, price_cents: 15 };
    await shown(stage, answer(running), {}, DRAW, { ...FOX, count: 4 });
    await until(async () => (await stage.app.locator(".drawing").count()) === 3, "three are drawn");
    assert.deepEqual(await stage.violations(), []);
    await stage.shot("several-drawing");
    await stage.fullImage(1);
    assert.equal(await stage.app.locator("figure").count(), 2);
    await stage.see(`Not drawn: Image 3: task ${ids[1]}: RunAPI's sandbox says: "no stoats"`);
    await stage.see(`Not drawn: ${failed[0]}`);
    assert.deepEqual(await stage.app.locator("figure .caption").allTextContents(), ["1 · 1248 × 832", "4 · 1248 × 832"]);
    await stage.see("$0.10");
    await stage.see("2 images are ready. $0.10");
    const { contexts, calls } = await stage.seen();
    assert.match(contexts.at(-1), new RegExp(`task_ids ${ids.join(", ")}, completed`));
    assert.equal(paidCalls({ calls }).length, 0);
  },

  async "the path is copied"(stage) {
    await stage.page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await shown(stage, answer({ image_urls: undefined, image_paths: [PATH] }));
    await stage.button("Copy path").click();
    await stage.button("Copied").waitFor();
    assert.equal(await stage.host(() => navigator.clipboard.readText()), PATH);
    await stage.button("Copy path").waitFor();
  },

  async "where copying is blocked, the text is shown selected"(stage) {
    await shown(stage, answer({ image_urls: undefined, image_paths: [PATH] }), { clipboard: false });
    await stage.inner.evaluate(() => { document.execCommand = () => false; });
    await stage.button("Copy path").click();
    const field = stage.app.getByLabel("Copying is blocked here. Select and copy:");
    await field.waitFor();
    assert.deepEqual(await field.evaluate((node) => [node.value, node.selectionStart, node.selectionEnd]), [PATH, 0, PATH.length]);
    assert.deepEqual(await stage.violations(), []);
    await stage.shot("copy-blocked-light");
  },

  async "the full size opens through the host, and a refused link is offered by hand"(stage) {
    await stage.show(DRAW, { refuseLinks: true });
    const { structuredContent } = await stage.call(DRAW, { ...FOX, prompt: "a lynx [[takes 1s]]" });
    await stage.fullImage();
    await stage.button("Open full size").click();
    await stage.app.locator(".by-hand input").waitFor();
    assert.deepEqual((await stage.seen()).links, structuredContent.image_urls);
    assert.equal(await stage.app.locator(".by-hand input").inputValue(), structuredContent.image_urls[0]);
  },

  async "the keyboard alone draws again, and Escape goes back"(stage) {
    await stage.show(DRAW);
    await stage.call(DRAW, { ...FOX, prompt: "a badger [[takes 1s]]" });
    await stage.fullImage();
    const before = await stage.spent();
    const { keyboard } = stage.page;
    await tabTo(stage, /^Draw again/);
    await keyboard.press("Enter");
    await stage.see("Draw a new image from the same prompt?");
    await keyboard.press("Escape");
    assert.match(await focused(stage), /^Draw again/);
    await keyboard.press("Space");
    await stage.see("Draw a new image from the same prompt?");
    await tabTo(stage, /^Pay/);
    await stage.shot("focus-light");
    assert.notEqual(await stage.app.locator(":focus").evaluate((node) => getComputedStyle(node).outlineStyle), "none");
    await stage.page.waitForTimeout(450);
    await keyboard.press("Enter");
    await stage.fullImage(1);
    assert.equal(await stage.spent(), before + PAID_CENTS);
    await stage.see("The image is ready. $0.05");
  },

  async "without serverTools the assistant is asked, and it pays nothing by itself"(stage) {
    await stage.show(DRAW, { without: ["serverTools"] });
    await stage.call(DRAW, { ...FOX, prompt: "a stork [[takes 2s]]", wait_seconds: 0 });
    await stage.see("Still drawing");
    await stage.shot("no-server-tools-light");
    await stage.button("Ask the assistant for it").click();
    await until(async () => (await stage.seen()).messages.length === 1, "the message is sent");
    await stage.send("result", answer({ image_urls: undefined, image_paths: [PATH] }));
    await (await payAgain(stage)).click();
    await until(async () => (await stage.seen()).messages.length === 2, "the message is sent");
    const { calls, messages } = await stage.seen();
    assert.deepEqual(calls, []);
    assert.match(messages[0], /^Call get_task with task_id/);
    assert.match(messages[1], /^Call flux_2_pro_text_to_image once with \{"prompt":"a stork/);
  },

  async "a host that can nothing is shown a picture and no buttons that pay"(stage) {
    const { preview } = await drawn(stage);
    const without = ["serverTools", "message", "openLinks", "updateModelContext"];
    await shown(stage, answer({ image_paths: [PATH], image_urls: undefined }, { preview }), { without, toolInfo: false });
    await stage.app.locator("img").waitFor();
    assert.deepEqual(await stage.app.getByRole("button").allTextContents(), ["Copy path"]);
  },

  async "the prompt appears while it is written, and a cancelled call says so"(stage) {
    await stage.show(DRAW);
    await stage.send("partly", { prompt: "a red fo" });
    await stage.see("a red fo");
    await stage.shot("reading-light");
    await stage.send("partly", { prompt: "a red fox in the" });
    await stage.see("a red fox in the");
    await stage.send("input", FOX);
    await stage.see(FOX.prompt);
    await stage.send("cancelled", "the user pressed stop");
    await stage.see(/cancelled: the user pressed stop.*list_tasks/);
    assert.equal(await stage.app.getByRole("timer").count(), 0);
    assert.deepEqual(await stage.violations(), []);
  },

  async "what comes from afar stays text"(stage) {
    const evil = '<img src=x onerror="document.title=1"><b>bold</b>';
    const facts = { image_urls: ["javascript:document.title=1"], notice: evil, not_saved: evil, image_sizes: [evil], expires: evil };
    await shown(stage, answer(facts), {}, DRAW, { prompt: evil });
    await stage.see(evil);
    assert.equal(await stage.app.locator("img, b").count(), 0);
    await stage.send("result", answer({ status: "failed", error: evil }, { isError: true }));
    await stage.see(evil);
    assert.equal(await stage.app.locator("img, b").count(), 0);
    assert.equal(await stage.inner.evaluate(() => document.title), "Flux 2 gallery");
  },

  async "a long prompt is cut, and opens"(stage) {
    const prompt = "An old cartographer's desk, ".repeat(30).trim();
    await shown(stage, answer({ image_urls: undefined, image_paths: [PATH], joined: "This call paid nothing." }), {}, DRAW, { prompt });
    assert.equal(await stage.app.getByText(prompt).count(), 0);
    await stage.button("More").click();
    await stage.see(prompt);
    await stage.see("$0.05, paid earlier");
    await stage.button("Less").click();
    await stage.app.getByText("Details").click();
    await stage.shot("details-narrow-light");
    assert.deepEqual(await stage.violations(), []);
  },

  async "an opaque frame without an origin of its own will do"(stage) {
    await stage.show(DRAW, { sandbox: "allow-scripts" });
    await stage.call(DRAW, { ...FOX, prompt: "a marten [[takes 1s]]" });
    await stage.fullImage();
  },

  async "the frame is as tall as the page, and pings and a teardown are answered"(stage) {
    await stage.show(DRAW);
    const pending = stage.call(DRAW, { ...FOX, prompt: "a crane [[never]]", wait_seconds: 0 });
    await pending;
    await until(async () => (await stage.seen()).calls.some(({ name }) => name === "get_task"), "the page follows");
    const [told, tall] = [(await stage.seen()).heights.at(-1), await stage.inner.evaluate(() => document.documentElement.scrollHeight)];
    assert.ok(Math.abs(told - tall) <= 2, `${told} told, ${tall} tall`);
    assert.deepEqual(await stage.send("ping"), {});
    assert.deepEqual(await stage.send("teardown"), {});
    assert.equal((await stage.seen()).initialized, 1);
  },
};

/** Options of the stage for the checks that want others than a wide, light one. */
export const options = {
  "dark, narrow and in the host's colours": { width: 380, dark: true },
  "dark and wide, in its own colours": { width: 1000, dark: true },
  "the handshake era shows the same page": { era: "legacy" },
  "a long prompt is cut, and opens": { width: 380 },
};

const LOOKS = { "light": {}, "narrow and dark": { width: 320, dark: true }, "wide and dark": { width: 1200, dark: true } };

for (const count of [1, 2, 4, 5, 8]) {
  for (const [look, given] of Object.entries(LOOKS)) {
    const name = `${count} of a call hang in a grid, each with its path, its size and its remix, ${look}`;
    options[name] = given;
    checks[name] = (stage) => seeTogether(stage, count, given.dark ? "dark" : "light");
  }
}

async function seeTogether(stage, count, theme) {
  const { result, ids } = await several(stage, count);
  await shown(stage, result, { theme }, DRAW, { ...FOX, count });
  for (let nth = 0; nth < count; nth += 1) assert.equal((await stage.fullImage(nth))[0], 1248);
  assert.equal(await stage.app.locator("figure").count(), count);
  await stage.button(count > 1 ? `Draw ${count} again · ${dollars(count * PAID_CENTS)}` : /^Draw again · \$0\.05$/).waitFor();
  assert.equal(await stage.app.getByRole("button", { name: /^Remix/ }).count(), count);
  await stage.see(count > 1 ? `${count} · red-fox-${count}.png · 1248 × 832` : "1248 × 832");
  const { overflow, ratio } = await stage.inner.evaluate(() => {
    const root = document.documentElement;
    const { width, height } = document.querySelector(".frame").getBoundingClientRect();
    return { overflow: root.scrollWidth - root.clientWidth, ratio: width / height };
  });
  assert.equal(overflow, 0, "nothing sticks out at the side");
  assert.ok(Math.abs(ratio - 1.5) < 0.02, `${ratio}`);
  assert.deepEqual(await stage.violations(), []);
  await stage.shot(`together-${count}-${theme}-${stage.page.viewportSize().width}`);
  await stage.app.getByText("Details").click();
  for (const id of ids) await stage.see(id);
}

const dollars = (cents) => `$${(cents / 100).toFixed(2)}`;

let called = 0;

/** What a call of several answers, with paths as of a server on this machine. */
async function several(stage, count) {
  const args = { ...FOX, prompt: `${FOX.prompt}, call ${(called += 1)} [[takes 0s]]`, count };
  const result = await stage.host(([name, given]) => window.host.tool(name, given), [DRAW, args]);
  const facts = result.structuredContent;
  facts.image_paths = facts.image_urls.map((_, index) => `/home/ada/Pictures/runapi/red-fox${count > 1 ? `-${index + 1}` : ""}.png`);
  return { result, ids: facts.task_ids ?? [facts.task_id] };
}

/** A preview, made of a picture that the sandbox drew. */
async function drawn(stage) {
  const prompt = `${FOX.prompt} [[takes 1s]]`;
  const { structuredContent } = await stage.host(([name, args]) => window.host.tool(name, args), [DRAW, { ...FOX, prompt }]);
  const [url] = structuredContent.image_urls;
  const png = Buffer.from(await (await fetch(url)).arrayBuffer()).toString("base64");
  const preview = await stage.host(async (full) => {
    const image = Object.assign(new Image(), { src: `data:image/png;base64,${full}` });
    await image.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: 512, height: 341 });
    canvas.getContext("2d").drawImage(image, 0, 0, 512, 341);
    return canvas.toDataURL("image/png").split(",")[1];
  }, png);
  return { preview, origin: new URL(url).origin };
}

const focused = (stage) => stage.app.locator(":focus").evaluate((node) => node.textContent);

async function tabTo(stage, name) {
  if (!(await stage.app.locator(":focus").count())) await stage.app.locator("summary").focus();
  for (let presses = 0; presses < 20; presses += 1) {
    await stage.page.keyboard.press(presses % 2 === 0 && presses > 10 ? "Shift+Tab" : "Tab");
    if ((await stage.app.locator(":focus").count()) && name.test(await focused(stage))) return;
  }
  throw new Error(`Tab never reaches ${name}`);
}
