/** The tiny configurations of the parity tests on the device, beside the oracle; and routing that is free to flip. */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { test } from "node:test";
import { at, Model, type Run, route } from "../../engine/index.ts";
import { caseNames, getCase, tokenIds, writeCase } from "../parity/checkpoint.ts";
import { difference, relative, withoutArgmax } from "./compare.ts";

// The shapes of the release have their own test; their weights are many.
for (const name of caseNames.filter((n) => n !== "released"))
  test(`${name}: every site is the oracle's, with the oracle's routing`, async () => {
    const folder = writeCase(name);
    try {
      const c = getCase(name);
      const ids = tokenIds(c.seed, "gpu", 75, c.config.vocab_size);
      for (const weights of ["f32", "bf16", "int4"]) {
        using cpu = await Model.load(folder, { weights, device: "cpu", math: "exact" });
        using exact = await Model.load(folder, { weights, device: "cuda", math: "exact" });
        using fast = await Model.load(folder, { weights, device: "cuda" });
        const want = await cpu.run({ ids }, { capture: "all" });
        for (const [m, bound] of [
          [exact, 1e-4],
          [fast, weights === "f32" ? 1e-4 : 0.03],
        ] as const) {
          const got = await m.with(route.replay(want)).run({ ids }, { capture: "all" });
          for (const [key, w] of want.captured.captures) {
            const g = got.captured.captures.get(key);
            assert.ok(g, key);
            const [x, y] = [withoutArgmax(w.site, g.data), withoutArgmax(w.site, w.data)];
            const d = bound < 0.01 ? difference(x, y) : relative(x, y);
            assert.ok(d <= bound, `${name} ${weights} ${key} differs by ${d}`);
            assert.ok(g.data.some((v) => v !== 0) || w.data.every((v) => v === 0), `${key} is all zero`);
          }
        }
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

/** Logits of a layer's router, and what was chosen: `[rows, experts]`, `[rows]`. */
const routing = (r: Run, layer: number): [Float32Array, Float32Array] => [
  r.get(at.layer(layer).router.logits).data,
  r.get(at.layer(layer).router.choice).data,
];

test("an expert flips only where its margin is within the rounding of the logits", async () => {
  for (const weights of ["bf16", "int4"]) {
    using cpu = await Model.load("tiny-scout", { weights, device: "cpu", math: "exact" });
    using gpu = await Model.load("tiny-scout", { weights, device: "cuda" });
    const text = "The capital of France is Paris. 17 + 25 = 42. const x = [1, 2, 3];\n".repeat(12);
    const capture = [at.layers("moe").router.logits, at.layers("moe").router.choice];
    const want = await cpu.run(text, { capture });
    const forced = await gpu.with(route.replay(want)).run(text, { capture });
    const free = await gpu.run(text, { capture });
    const experts = cpu.config.experts;
    // Behind a flip rows are others; before the first one they must not be.
    let first = Number.POSITIVE_INFINITY;
    let flips = 0;
    let looked = 0;
    for (const { index: layer } of cpu.layers) {
      const [logits, choice] = routing(want, layer);
      const [rounded] = routing(forced, layer);
      const [, chosen] = routing(free, layer);
      let here = first;
      for (let r = 0; r < Math.min(choice.length, first); r++) {
        looked++;
        if (chosen[r] === choice[r]) continue;
        flips++;
        here = Math.min(here, r);
        const row = (data: Float32Array) => data.subarray(r * experts, (r + 1) * experts);
        const margin = row(logits)[choice[r]] - row(logits)[chosen[r]];
        const bound = 2 * Math.max(...row(logits).map((x, e) => Math.abs(x - row(rounded)[e])));
        assert.ok(
          margin <= bound,
          `${weights}, layer ${layer}, row ${r}: margin ${margin} flipped, rounding is ${bound}`,
        );
      }
      first = here;
    }
    process.stdout.write(`${weights}: ${flips} flips among ${looked} choices before the first\n`);
    assert.ok(looked > 100);
  }
});
