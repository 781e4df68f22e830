/** A fault in a kernel ends the device for the process, says so ever after, and harms nothing else. Last in its process: no test comes after. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { at, DeviceError, Model, Run } from "../../engine/index.ts";

const TEXT = "The capital of France is Paris. ".repeat(4);

/** Backends that are made meanwhile have a fault. */
async function injected<T>(what: string, work: () => Promise<T>): Promise<T> {
  process.env.MOESCOPE_INJECT = what;
  try {
    return await work();
  } finally {
    delete process.env.MOESCOPE_INJECT;
  }
}

const message = async (work: () => unknown): Promise<string> => {
  try {
    await work();
  } catch (e) {
    assert.ok(e instanceof DeviceError, String(e));
    return e.message;
  }
  return assert.fail("nothing was thrown");
};

test("a trapped kernel: typed errors, earlier values, another model, the CPU, and a clean end", async () => {
  const healthy = await Model.load("tiny-scout", { device: "cuda" });
  const early = await healthy.run(TEXT, { capture: ["routing", at.logits] });
  const logits = early.get(at.logits).data.slice();
  const rows = early.routing.toArray();
  const idle = await Model.load("tiny-scout", { device: "cuda" });
  const sick = await injected("cuda-fault:2", () => Model.load("tiny-scout", { device: "cuda" }));

  // On a device proper, whatever else runs there ends as well.
  const long = { ids: Int32Array.from({ length: 300_000 }, (_, i) => (i * 31) % 400) };
  const beside = process.env.MOESCOPE_CUDA_LIBRARY ? null : healthy.run(long, { capture: [] });
  beside?.catch(() => {});
  const first = await message(() => sick.run(TEXT));
  for (const word of [
    /CUDA says: .+, told first in .+/,
    /device context of this process is lost/,
    /stay readable/,
    /r\.save\(path\)/,
    /\{ device: "cpu" \}/,
  ])
    assert.match(first, word);
  if (beside) assert.equal(await message(() => beside), first);

  // Every later call tells of that first fault, at once.
  for (const [name, work] of Object.entries({
    "its next run": () => sick.run(TEXT),
    "its next generation": () => sick.generate(TEXT, { maxTokens: 2 }),
    "another model": () => healthy.run(TEXT),
    "its weights": () => healthy.embed.data,
    "a profile": () => idle.profile(),
  }))
    assert.equal(await message(work), first, name);
  const about = /device context of this process is lost.*r\.save\(path\)/;
  for (const work of [
    () => Model.load("tiny-scout", { device: "cuda" }),
    () => Model.random("scout", { device: "cuda" }),
    () => Model.plan("tiny-scout", { device: "cuda" }),
  ])
    assert.match(await message(work), about);

  // What was made stays, and can be saved.
  assert.deepEqual(early.get(at.logits).data, logits);
  assert.deepEqual(early.routing.toArray(), rows);
  const folder = mkdtempSync(join(tmpdir(), "moescope-lost-"));
  try {
    await early.save(join(folder, "early.trace"));
    const back = await Run.open(join(folder, "early.trace"));
    assert.deepEqual(back.get(at.logits).data, logits);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  assert.equal(sick.device, "cuda");
  assert.ok(sick.memory.weights > 0);
  assert.match(String((await import("node:util")).inspect(sick.memory)), /the device is lost/);

  using cpu = await Model.load("tiny-scout", { device: "cpu" });
  assert.ok((await cpu.run(TEXT, { capture: at.logits })).get(at.logits).data.some((x) => x !== 0));
  using auto = await Model.load("tiny-scout");
  assert.equal(auto.device, "cpu");
  assert.ok(auto.warnings.some((w) => w.includes("device context of this process is lost")));

  sick.dispose();
  sick.dispose();
  healthy.dispose();
  // `idle` is not disposed: the process must end with a dead model as well.
});
