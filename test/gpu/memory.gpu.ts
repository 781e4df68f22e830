/** Memory of the device: planned, told by part and place, and refused with the device's own numbers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { MemoryError, Model } from "../../engine/index.ts";

const TEXT = "The capital of France is Paris. ".repeat(4);
const ids = (n: number) => Int32Array.from({ length: n }, (_, i) => (i * 31) % 4000);

/** Loads with so many bytes of device memory in all; without the word again when the next model is loaded. */
async function loadWithin(bytes: number | null): Promise<Model> {
  if (bytes !== null) process.env.MOESCOPE_INJECT = `cuda-memory:${bytes}`;
  try {
    return await Model.load("tiny-scout", { device: "cuda" });
  } finally {
    delete process.env.MOESCOPE_INJECT;
  }
}

async function refused(work: () => unknown, ...words: (string | RegExp)[]): Promise<void> {
  await assert.rejects(
    async () => work(),
    (e) => {
      assert.ok(e instanceof MemoryError, String(e));
      for (const w of [/\d+(\.\d+)? [kMGT]?B/, "on the device", ...words])
        assert.ok(typeof w === "string" ? e.message.includes(w) : w.test(e.message), `"${w}" is not in: ${e.message}`);
      return true;
    },
  );
}

test("a plan for the device lies there, and is held against its free bytes", async () => {
  const plan = Model.plan("tiny-scout", { device: "cuda", context: 512 });
  assert.ok(plan.parts.toArray().every((p) => p.place === "cuda"));
  assert.ok(plan.fits && plan.free > plan.bytes);
  assert.match(inspect(plan), /free on the device: fits/);
  const scout = Model.plan("scout", { device: "cuda", weights: "f32", context: 131_072 });
  assert.ok(!scout.fits);
  await refused(() => Model.random("scout", { device: "cuda", weights: "f32" }), "Model.plan");
});

test("memory is told by part and place", async () => {
  using m = await loadWithin(null);
  await m.run(TEXT, { capture: "all" });
  const parts = m.memory.parts.toArray();
  const at = (place: string) => parts.filter((p) => p.place === place).map((p) => p.part);
  for (const part of ["embed", "attention", "router", "experts", "shared", "head", "scratch"])
    assert.ok(at("cuda").includes(part), `${part} is not on the device: ${inspect(m.memory)}`);
  assert.deepEqual(at("pinned"), ["captures"]);
  assert.ok(m.memory.free > 0 && m.memory.free <= m.memory.total);
  assert.match(inspect(m.memory), /free on the device/);
  const plan = m.plan({ ids: ids(100) });
  assert.ok(plan.kv > 0 && plan.fits);
  assert.ok(plan.parts.toArray().some((p) => p.part === "kv" && p.place === "cuda"));
});

test("a load that does not fit is refused, and the model before it works", async () => {
  using m = await loadWithin(null);
  const lies = m.memory.parts.toArray().filter((p) => p.place === "cuda");
  const room = lies.reduce((n, p) => n + p.bytes, 4e6);
  await refused(() => loadWithin(room), "weights");
  using _again = await loadWithin(null);
  assert.ok((await m.run(TEXT)).routing.length > 0);
});

test("a context that does not fit is refused, and a shorter one runs", async () => {
  using probe = await loadWithin(null);
  const weights = probe.memory.weights;
  let n = 4096;
  while (probe.plan({ ids: ids(n) }).kv < 4 * weights + 256e6) n *= 2;
  // Room for two models of this size with their scratch and a short context, not for that one.
  using m = await loadWithin(Math.round(3 * weights + 200e6));
  await refused(() => m.run({ ids: ids(n) }), "a context of", "kv");
  assert.ok(!m.plan({ ids: ids(n) }).fits);
  assert.ok((await m.run(TEXT)).routing.length > 0);
});
