/** Models of the released shapes, with random weights, whole on one device where it has the room. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { PRESETS } from "../../engine/checkpoint/presets.ts";
import { Model } from "../../engine/index.ts";

const PROMPT = { ids: Int32Array.from({ length: 300 }, (_, i) => (i * 7919) % 200_000) };

/** Generates with every router kept, and looks at what was kept. */
async function generates(m: Model, moeLayers: number, experts: number): Promise<void> {
  const r = await m.generate(PROMPT, { maxTokens: 20 });
  const rows = PROMPT.ids.length + 20;
  assert.equal(r.routing.length, rows * moeLayers);
  const chosen = new Set(r.routing.column("expert") as Iterable<number>);
  assert.ok(chosen.size > experts / 2, `${chosen.size} of ${experts} experts were chosen`);
  assert.ok([...(r.routing.column("margin") as Iterable<number>)].every((x) => Number.isFinite(x) && x >= 0));
  assert.ok([...r.captured.tokens.logprob.slice(1)].every((x) => Number.isFinite(x) && x < 0));
  r.dispose();
}

const room = (like: string | object) => Model.plan(like, { weights: "int4", device: "cuda", context: 1024 });

test("Scout whole, 109 billion weights in int4", async (t) => {
  const plan = room("scout");
  if (!plan.fits) return t.skip(`it takes ${plan.bytes} bytes, ${plan.free} are free on the device`);
  using m = await Model.random("scout", { weights: "int4", device: "cuda", seed: 1 });
  assert.equal(m.memory.weights, plan.weights);
  assert.ok(plan.weights > 60e9 && plan.weights < 64e9);
  await generates(m, 48, 16);
});

test("layers of Maverick, 128 experts, dense and MoE in turn", async (t) => {
  const config = { ...PRESETS.maverick, num_hidden_layers: 8 };
  const plan = room(config);
  if (!plan.fits) return t.skip(`it takes ${plan.bytes} bytes, ${plan.free} are free on the device`);
  using m = await Model.random(config, { weights: "int4", device: "cuda", seed: 2 });
  assert.equal(m.memory.weights, plan.weights);
  await generates(m, 4, 128);
});
