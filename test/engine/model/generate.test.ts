import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Model } from "../../../engine/model/model.ts";
import { at } from "../../../engine/sites/at.ts";
import { fault } from "../fault.ts";
import { SLOW } from "../folder.ts";

const m = await Model.load("tiny-scout");
const slow = await Model.random(SLOW);
after(() => {
  m.dispose();
  slow.dispose();
});
const PROMPT = "The capital of France is";

test("a stream gives whole pieces that add up to the reply, and then the run", async () => {
  const live = m.stream(PROMPT, { maxTokens: 24, temperature: 1.2, seed: 4 });
  let text = "";
  const rows: number[] = [];
  for await (const step of live) {
    text += step.text;
    rows.push(step.t);
  }
  const r = await live.run;
  assert.equal(text, r.reply);
  const again = await m.generate(PROMPT, { maxTokens: 24, temperature: 1.2, seed: 4 });
  assert.deepEqual(again.captured.tokens.ids, r.captured.tokens.ids);
  assert.equal(again.reply, text);
  assert.deepEqual(
    [...new Set(rows)],
    r.tokens
      .toArray()
      .filter((t) => t.phase === "decode")
      .map((t) => t.t),
  );
});

test("greedy is the default; seeds differ, topK 1 is greedy at any temperature", async () => {
  const ids = async (o: object) => [...(await m.generate("Once", { maxTokens: 12, ...o })).captured.tokens.ids].join();
  assert.equal(await ids({}), await ids({ seed: 3 }));
  assert.equal(await ids({ temperature: 5, topK: 1 }), await ids({}));
  assert.notEqual(await ids({ temperature: 3, seed: 1 }), await ids({ temperature: 3, seed: 2 }));
});

test("a stop string ends the run before the token that completes it", async () => {
  const full = await m.generate(PROMPT, { maxTokens: 20 });
  const at2 = full.reply.indexOf(".");
  assert.ok(at2 > 0, full.reply);
  const r = await m.generate(PROMPT, { maxTokens: 20, stop: "." });
  assert.equal(r.reply, full.reply.slice(0, at2));
  assert.equal(r.meta.reason, "stop");
  assert.ok(!r.text.includes("."));
  await fault(() => r.next, "capture", "stop string", "at.logits");
  const kept = await m.generate(PROMPT, { maxTokens: 20, stop: ".", capture: at.logits });
  assert.equal(kept.next.at(0).text, ".");
});

test("chat answers through the template; the reply has no control tokens, the rows have roles", async () => {
  const c = await m.chat([{ role: "user", content: "2+2?" }], { maxTokens: 16 });
  assert.ok(c.reply.length > 0 && !c.reply.includes("<|"));
  const roles = new Set(c.tokens.column("role"));
  assert.ok(roles.has("user") && roles.has("assistant"));
  assert.match(c.text, /^<\|header_start\|>user/);
});

test("leaving the loop ends the generation; the run holds what was made", async () => {
  const live = slow.stream({ ids: [1] }, { maxTokens: 5000 });
  let n = 0;
  for await (const _ of live) if (++n === 5) break;
  const r = await live.run;
  const made = r.captured.tokens.step.filter((s) => s >= 0).length;
  assert.ok(made >= 4 && made < 500, String(made));
  assert.equal(r.routing.length, r.tokens.length * 4);
});

test("an abort ends it within 100 ms, and the model can be used again", async () => {
  const stop = new AbortController();
  const running = slow.generate({ ids: [1] }, { maxTokens: 5000, signal: stop.signal });
  let t = 0;
  setTimeout(() => {
    t = performance.now();
    stop.abort();
  }, 30);
  await fault(() => running, "cancelled");
  assert.ok(performance.now() - t < 100, `${performance.now() - t} ms`);
  const live = slow.stream({ ids: [1] }, { maxTokens: 5000, signal: AbortSignal.timeout(30) });
  await fault(async () => {
    for await (const _ of live);
  }, "cancelled");
  await fault(() => live.run, "cancelled");
  assert.equal((await slow.generate({ ids: [1] }, { maxTokens: 3 })).tokens.length, 4);
});

test("progress is told, to the caller when asked", async () => {
  const seen: number[] = [];
  await slow.generate({ ids: [1] }, { maxTokens: 1200, onProgress: (p) => seen.push(p.done) });
  assert.ok(seen.length > 1 && seen.every((v, i) => i === 0 || v >= seen[i - 1]), seen.join());
  assert.equal(seen.at(-1), 1201);
});

const WRONG = [
  { maxTokens: 0 },
  { maxTokens: 1.5 },
  { temperature: -1 },
  { temperature: Number.NaN },
  { topP: 0 },
  { topP: 2 },
  { topK: -1 },
  { seed: -1 },
  { stop: "" },
];
for (const o of WRONG)
  test(`refused: ${JSON.stringify(o)}`, async () => {
    await fault(() => m.generate(PROMPT, o), "argument", Object.keys(o)[0]);
  });

test("several sequences cannot be continued at once", async () => {
  const b = await m.batch(["One", "Two words"]);
  await fault(() => m.generate(b), "argument", "2 sequences");
});
