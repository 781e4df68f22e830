import assert from "node:assert/strict";
import { after, test } from "node:test";
import { inspect } from "node:util";
import { route } from "../../../engine/edits/route.ts";
import { DISPLAY } from "../../../engine/host.ts";
import { Model } from "../../../engine/model/model.ts";
import { profilePlots } from "../../../engine/plots/profile-bars.ts";
import type { Profile } from "../../../engine/run/profile.ts";
import { at } from "../../../engine/sites/at.ts";
import { fault } from "../fault.ts";
import { SLOW } from "../folder.ts";

const m = await Model.load("tiny-scout", { device: "cpu" });
after(() => m.dispose());
const ids = (n: number) => Int32Array.from({ length: n }, (_, i) => (i * 37) % 400);
const QUICK = { maxTokens: 3, repeat: 1 };

/** What must hold of any profile. */
function sound(p: Profile, prompt: number, made: number): void {
  for (const phase of ["prefill", "decode"] as const) {
    const t = p[phase];
    const rows = p.table.where({ phase }).toArray();
    const sum = rows.reduce((n, r) => n + r.share, t.unaccounted);
    assert.ok(Math.abs(sum - 1) < 1e-6, `${phase}: shares add up to ${sum}`);
    assert.equal(t.tokens, phase === "prefill" ? prompt : made);
    assert.ok(
      Math.abs(t.msPerToken * t.tokens - t.ms) < 1e-6 && Math.abs(t.tokensPerSecond * t.msPerToken - 1000) < 1e-6,
    );
    for (const r of rows) {
      assert.ok(r.ms > 0 && r.bytes > 0, inspect(r));
      assert.ok(Math.abs(r.gbs - r.bytes / r.ms / 1e6) < 1e-6 * r.gbs);
      assert.ok(Math.abs(r.limit_share - r.gbs / p.limit) < 1e-6 * r.limit_share);
    }
  }
}

test("a row a phase and verb, with the work that the shape asks for", async () => {
  const p = await m.profile({ ids: ids(70) }, QUICK);
  sound(p, 70, 3);
  assert.deepEqual(p.table.column("verb"), [
    ...["embed", "qkv", "attend", "out", "route_ffn", "ffn_down", "head"],
    ...["embed", "qkv", "attend", "out", "route_ffn", "ffn_down", "head", "sample"],
  ]);
  const row = (phase: "prefill" | "decode", verb: string) =>
    p.table.toArray().find((r) => r.phase === phase && r.verb === verb)!;
  // 8 layers of width 256; 8 heads of 32, 2 for keys and values; vocabulary 4,096; bf16.
  assert.equal(row("prefill", "qkv").flops, 70 * 8 * 2 * 256 * (256 + 2 * 64));
  assert.equal(row("decode", "qkv").calls, 3 * 8);
  assert.equal(row("decode", "qkv").bytes, 3 * 8 * (256 * 4 + 256 * (256 + 2 * 64) * 2 + (256 + 256 + 2 * 64) * 4));
  assert.equal(row("decode", "head").flops, 3 * 2 * 256 * 4096);
  // Chunks of 64: row t of the first 64 sees t + 1 keys, the others begin anew; two layers in eight see all.
  const pairs = (n: number) => (n * (n + 1)) / 2;
  assert.equal(row("prefill", "attend").flops, 4 * 256 * (6 * (pairs(64) + pairs(6)) + 2 * pairs(70)));
  // One expert a token and layer, and the shared one: down is 256 by 112, once in bf16.
  assert.equal(row("decode", "ffn_down").bytes, 3 * 8 * (2 * 256 * 112 * 2 + (2 * 112 + 2 * 256) * 4));
  assert.equal(row("decode", "sample").flops, 0);
});

test("without an input it takes seeded tokens, on the exact path as on the fast one", async () => {
  sound(await m.profile(undefined, QUICK), 512, 3);
  using exact = await Model.load("tiny-scout", { math: "exact" });
  sound(await exact.profile("The capital", QUICK), exact.tokenizer.encode("The capital", { bos: true }).length, 3);
});

test("experts are counted as they were chosen: one forced expert is read, not eight", async () => {
  const bytes = (p: Profile) =>
    p.table
      .where({ phase: "prefill", verb: "ffn_down" })
      .toArray()
      .reduce((n, r) => n + r.bytes, 0);
  const [free, forced] = [
    await m.profile({ ids: ids(60) }, QUICK),
    await m.with(route.force(3)).profile({ ids: ids(60) }, QUICK),
  ];
  const expert = 256 * 112 * 2;
  assert.equal(bytes(forced), 8 * (2 * expert + 60 * (2 * 112 + 2 * 256) * 4));
  assert.ok(bytes(free) > bytes(forced) + 8 * expert);
});

test("it changes nothing", async () => {
  const before = (await m.run({ ids: ids(50) }, { capture: at.logits })).get(at.logits).data.slice();
  await m.profile({ ids: ids(20) }, QUICK);
  assert.deepEqual((await m.run({ ids: ids(50) }, { capture: at.logits })).get(at.logits).data, before);
});

test("it shows itself, and its bars in three forms", async () => {
  const p = await m.profile({ ids: ids(30) }, { maxTokens: 2, repeat: 2 });
  const text = inspect(p);
  for (const word of [
    "tiny-scout",
    "prefill: 30 tokens in",
    "decode: 2 tokens in",
    "tokens/s",
    "route_ffn",
    "between",
    "limit: the",
    "GB/s",
  ])
    assert.ok(text.includes(word), `no "${word}" in ${text}`);
  const plot = p.plot.bars();
  const figure = plot.toFigure() as unknown as { data: { type: string; orientation?: string }[] };
  assert.equal(figure.data.filter((t) => t.type === "bar").length, 2);
  assert.deepEqual([...(await plot.toPNG()).subarray(1, 4)], [...Buffer.from("PNG")]);
  assert.equal(inspect(plot).match(/ffn_down/g)?.length, 2);
  assert.match(inspect(plot), /ffn_down .*FLOP\/s/);
  assert.match(inspect(plot), /ffn_down .*of limit/);
  assert.doesNotMatch(inspect(plot) + text, /overlap/);
  assert.match(inspect(profilePlots({ ...p.data, device: "cuda" }).bars()), /the device reads.*in a run they overlap/);
  const bundle = await (plot as unknown as Record<symbol, () => Promise<object>>)[DISPLAY]();
  assert.ok("application/vnd.plotly.v1+json" in bundle && "image/png" in bundle);
});

test("what is not accepted is refused", async () => {
  for (const repeat of [0, 1.5, -1, 1e9, "3"])
    await fault(() => m.profile("a", { repeat: repeat as number }), "argument", "m.profile, repeat", "whole number");
  for (const maxTokens of [0, Number.NaN, null])
    await fault(() => m.profile("a", { maxTokens: maxTokens as number }), "argument", "m.profile, maxTokens");
  await fault(() => m.profile(""), "argument", "empty");
  await fault(() => m.profile({ ids: [5000] }), "argument", "5000");
  await fault(() => m.profile(["a"] as never), "argument", "not an input");
  const two = await m.batch([{ ids: [1, 2] }, { ids: [3] }]);
  await fault(() => m.profile(two), "argument", "2 sequences");
});

test("stopped or disposed, and the model can be used again", async () => {
  const slow = await Model.random(SLOW, { threads: 1 });
  const stop = new AbortController();
  const seen: string[] = [];
  const o = { repeat: 50, maxTokens: 200, onProgress: (p: { label: string }) => void seen.push(p.label) };
  const running = slow.profile({ ids: [1, 2, 3] }, { ...o, signal: stop.signal });
  setTimeout(() => stop.abort(), 150);
  await fault(() => running, "cancelled");
  await fault(() => slow.profile(undefined, { signal: AbortSignal.abort() }), "cancelled");
  assert.ok(
    seen.some((label) => label.startsWith("profiling")),
    String(seen),
  );
  sound(await slow.profile({ ids: [1, 2, 3] }, { repeat: 1, maxTokens: 1 }), 3, 1);
  const left = slow.profile({ ids: [1, 2, 3] }, o);
  setTimeout(() => slow.dispose(), 100);
  await fault(() => left, "released");
  await fault(() => slow.profile(), "released");
});
