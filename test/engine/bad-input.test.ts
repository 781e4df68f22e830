/** Whatever a cell passes, a typed error says what is wrong: cells run though the types complain. Nothing is lost by it. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { at, attn, display, Model, MoescopeError, Run, route, Tensor } from "../../engine/index.ts";

const m = await Model.load("tiny-scout", { device: "cpu" });
const r = await m.run("The capital of France is", { capture: ["routing", "attention", at.layer(3).resid.post] });
const x = r.get(at.layer(3).resid.post);
const home = mkdtempSync(join(tmpdir(), "moescope-bad-"));
after(() => {
  r.dispose();
  m.dispose();
  rmSync(home, { recursive: true });
});

const BAD: readonly unknown[] = [
  null,
  true,
  -1.5,
  1e99,
  Number.NaN,
  10n,
  Symbol("symbol"),
  "no such thing",
  "",
  {},
  { a: { b: [1n] } },
  [],
  [null],
  [{}],
  [Symbol("within")],
  { toString: null, valueOf: null },
  () => 1,
  new Date(0),
  new Map([[1, 2]]),
  Object.create(null),
  x,
  r,
  m,
];

const option = (key: string, bad: unknown) => ({ [key]: bad }) as never;
const CALLS: Record<string, (bad: never) => unknown> = {
  load: (b) => Model.load(b, { device: "cpu" }),
  "load options": (b) => Model.load("tiny-scout", b),
  ...Object.fromEntries(
    ["weights", "device", "math", "rope", "threads", "group", "onProgress", "signal"].map((key) => [
      `load, ${key}`,
      (b: never) => Model.load("tiny-scout", { device: "cpu", ...(option(key, b) as object) }),
    ]),
  ),
  "random, seed": (b) => Model.random("tiny-scout", { device: "cpu", seed: b }),
  plan: (b) => Model.plan(b),
  "plan options": (b) => Model.plan("tiny-scout", b),
  "plan, context": (b) => Model.plan("tiny-scout", { context: b }),
  layer: (b) => m.layer(b),
  run: (b) => m.run(b),
  "run, ids": (b) => m.run({ ids: b }),
  "run, messages": (b) => m.run({ messages: b }),
  "run options": (b) => m.run("A", b),
  "run, capture": (b) => m.run("A", { capture: b }),
  "run, captures": (b) => m.run("A", { capture: [b] }),
  batch: (b) => m.batch(b),
  "batch of": (b) => m.batch([b]),
  "generate options": (b) => m.generate("A", b),
  ...Object.fromEntries(
    ["maxTokens", "temperature", "topP", "topK", "seed", "stop"].map((key) => [
      `generate, ${key}`,
      (b: never) => m.generate("A", { maxTokens: 1, ...(option(key, b) as object) }),
    ]),
  ),
  chat: (b) => m.chat(b),
  with: (b) => m.with(b),
  "plan of a run": (b) => m.plan(b),
  "plan of a run, maxTokens": (b) => m.plan("A", { maxTokens: b }),
  "plan of a run, capture": (b) => m.plan("A", { capture: b }),
  profile: (b) => m.profile(b, { maxTokens: 1, repeat: 1 }),
  "profile options": (b) => m.profile("A", { maxTokens: 1, repeat: 1, ...(b as object) }),
  encode: (b) => m.tokenizer.encode(b),
  decode: (b) => m.tokenizer.decode(b),
  bytes: (b) => m.tokenizer.bytes(b),
  offsets: (b) => m.tokenizer.offsets(b),
  get: (b) => r.get(b),
  logit: (b) => r.logit(b),
  "logit, t": (b) => r.logit(5, { t: b }),
  prob: (b) => r.prob(b),
  tokensOf: (b) => r.tokensOf(b),
  "tokensOf, layer": (b) => r.tokensOf({ layer: b, expert: 1 }),
  "vocabulary, expert": (b) => r.vocabulary({ layer: 1, expert: b }),
  seq: (b) => r.seq(b),
  compare: (b) => r.compare(b),
  "compare, align": (b) => r.compare(r, { align: b }),
  save: (b) =>
    typeof b === "string" && b !== "" ? Promise.reject(new MoescopeError("trace", "not tried")) : r.save(b),
  open: (b) => Run.open(b),
  "table at": (b) => r.routing.at(b),
  where: (b) => r.routing.where(b),
  ...Object.fromEntries(
    ["layer", "expert", "margin", "forced"].map((key) => [
      `where, ${key}`,
      (b: never) => r.routing.where(option(key, b)),
    ]),
  ),
  sort: (b) => r.routing.sort(b),
  "sort, order": (b) => r.routing.sort("margin", b),
  column: (b) => r.routing.column(b),
  slice: (b) => r.routing.slice(b),
  head: (b) => r.routing.head(b),
  sample: (b) => r.routing.sample(b),
  "sample, seed": (b) => r.routing.sample(2, { seed: b }),
  toCSV: (b) => (typeof b === "string" && b !== "" ? undefined : r.routing.toCSV(b)),
  toParquet: (b) => (typeof b === "string" && b !== "" ? undefined : r.routing.toParquet(b)),
  "tensor at": (b) => x.at(b),
  labels: (b) => x.labels(b),
  "tensor slice": (b) => x.slice(b),
  "tensor slice of d": (b) => x.slice({ d: b }),
  mean: (b) => x.mean(b),
  softmax: (b) => x.softmax(b),
  topk: (b) => x.topk(b),
  close: (b) => x.close(b),
  "tensor map": (b) => x.map(b),
  "tensor add": (b) => x.add(b),
  dot: (b) => x.dot(b, "d"),
  "dot, axis": (b) => x.dot(x, b),
  cosine: (b) => x.cosine(b, "d"),
  rename: (b) => x.rename(b),
  "Tensor.from": (b) => Tensor.from(b, "a"),
  "Tensor.from, axes": (b) => Tensor.from([1, 2], b),
  "Tensor.from, shape": (b) => Tensor.from([1, 2], "a", b),
  "Tensor.open": (b) => Tensor.open(b),
  toNpy: (b) => (typeof b === "string" && b !== "" ? undefined : x.toNpy(b)),
  "at.layer": (b) => at.layer(b),
  "at.layers": (b) => m.run("A", { capture: at.layers(b).router.logits }),
  only: (b) => at.layer(3).attn.pattern.only(b),
  "only, q": (b) => at.layer(3).attn.pattern.only({ q: b }),
  scale: (b) => at.layer(3).resid.post.scale(b),
  add: (b) => at.layer(3).resid.post.add(b),
  "add, amount": (b) => at.layer(3).resid.post.add(x, b),
  patch: (b) => at.layer(3).resid.post.patch(b),
  zero: (b) => at.layer(3).resid.post.zero(b),
  "zero, pos": (b) => at.layer(3).resid.post.zero({ pos: b }),
  "zero, text": (b) => m.with(at.layer(3).resid.post.zero({ text: b })).run("A"),
  ban: (b) => route.ban(b),
  "ban, filter": (b) => route.ban(1, b),
  "ban, layer": (b) => m.with(route.ban(1, { layer: b })).run("A"),
  "ban, t": (b) => m.with(route.ban(1, { t: b })).run("A"),
  "ban, told": (b) => String(route.ban(1, { layer: b })),
  "zero, told": (b) => String(at.layer(3).resid.post.zero({ text: b, pos: b })),
  "site, told": (b) => String(at.layers(b).attn.pattern.only({ q: b, head: b })),
  force: (b) => route.force(b),
  "force, score": (b) => route.force(1, { score: b }),
  bias: (b) => route.bias(b, 1),
  "bias, delta": (b) => route.bias(1, b),
  replay: (b) => route.replay(b),
  "attn.temperature": (b) => attn.temperature(b),
  "temperature, floor": (b) => attn.temperature({ floor: b }),
  loadMap: (b) => r.plot.loadMap(b),
  "loadMap, by": (b) => r.plot.loadMap({ by: b }),
  ribbon: (b) => r.plot.ribbon(b),
  "ribbon, layer": (b) => r.plot.ribbon({ layer: b }),
  "tokenMap, color": (b) => r.plot.tokenMap({ color: b }),
  router: (b) => r.plot.router(b),
  "confidence, by": (b) => r.plot.confidence({ by: b }),
  "attnTemperature, overlay": (b) => m.plot.attnTemperature({ overlay: b }),
  "attnEntropy, head": (b) => r.plot.attnEntropy({ head: b }),
  toPNG: (b) => (typeof b === "string" && b !== "" ? undefined : r.plot.loadMap().toPNG(b)),
  maxVio: (b) => r.metrics.maxVio(b),
  "maxVio, layer": (b) => r.metrics.maxVio({ layer: b }),
  "lift, by": (b) => r.metrics.lift({ by: b }),
  mutualInformation: (b) => r.metrics.mutualInformation(b),
  "mutualInformation, by": (b) => r.metrics.mutualInformation({ by: b }),
  "mutualInformation, shuffles": (b) => r.metrics.mutualInformation({ by: "text", shuffles: b }),
  "ribbon, t": (b) => r.plot.ribbon({ t: b }),
  "router, t": (b) => r.plot.router({ t: b, layer: 2 }),
  "attnTemperature, to": (b) => m.plot.attnTemperature({ to: b }),
  "random, std": (b) => Model.random("tiny-scout", { device: "cpu", std: b }),
  "random, a field": (b) => Model.random({ ...m.config.hf, hidden_size: b }, { device: "cpu" }),
  "random of": (b) => Model.random(b, { device: "cpu" }),
  stream: (b) => m.stream(b).run,
  "chat of": (b) => m.chat([b]),
  "encode options": (b) => m.tokenizer.encode("A", b),
  idsOf: (b) => m.tokenizer.idsOf(b),
  select: (b) => r.routing.select(b),
  display: (b) => display(b),
};

for (const [name, call] of Object.entries(CALLS))
  test(`${name}: what is refused is refused by a typed error`, async () => {
    for (const [i, bad] of BAD.entries()) {
      try {
        const value = await call(bad as never);
        if (value instanceof Model && /^(load|random)/.test(name)) value.dispose(); // views share their weights
      } catch (e) {
        assert.ok(
          e instanceof MoescopeError && e.code !== "internal",
          `${name}, value ${i} (${typeof bad}): ${e instanceof Error ? e.stack : String(e)}`,
        );
        assert.ok(e.message.length < 2000, `${name}, value ${i}: a message of ${e.message.length} characters`);
      }
    }
  });

test("and what was there goes on", async () => {
  assert.equal((await m.run("The capital of France is")).next.at(0).text, " Paris");
  assert.equal(r.next.at(0).text, " Paris");
});
