import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { at, Model } from "../../engine/index.ts";
import { getCase, tokenIds, writeCase } from "./checkpoint.ts";
import { largest } from "./compare.ts";

/**
 * Router rows that repeat give equal logits; the lowest expert must win, whatever the row, the batch or the kernel. torch promises no
 * order there, so nothing is compared with it.
 */
const SETS: [what: string, sameAs: (expert: number, experts: number) => number][] = [
  ["all experts equal", () => 0],
  ["the last two equal", (e, n) => (e === n - 1 ? n - 2 : e)],
  ["pairs", (e) => e - (e % 2)],
  ["the first and the last", (e, n) => (e === n - 1 ? 0 : e)],
];

for (const name of ["scout", "top2", "wide", "maverick"]) {
  describe(`router ties in ${name}`, () => {
    // The wide case is here for its 16 experts; two sets of its 22 MB are enough.
    for (const [what, sameAs] of name === "wide" ? SETS.slice(1, 3) : SETS) {
      test(`${what}: the lowest index wins`, async () => {
        const c = getCase(name).config;
        const experts = c.num_local_experts;
        const topk = c.num_experts_per_tok;
        const folder = writeCase(name, {
          edit: (t) => {
            if (!t.name.endsWith("router.weight")) return t;
            const d = t.shape[1];
            const data = t.data.slice();
            for (let e = 0; e < experts; e++) {
              const from = sameAs(e, experts);
              data.set(t.data.subarray(from * d, (from + 1) * d), e * d);
            }
            return { ...t, data };
          },
        });
        const ids = tokenIds(getCase(name).seed, "ties", 37, c.vocab_size);
        const capture = [at.layers("moe").router.logits, at.layers("moe").router.choice];
        const seen: Float32Array[] = [];
        for (const math of ["exact", "fast"] as const) {
          const m = await Model.load(folder, { weights: "f32", math });
          const moe = m.config.layerFacts.filter((l) => l.moe).map((l) => l.index);
          // All rows at once, and a few sequences of one row each: different kernels, the same rule.
          const whole = await m.run({ ids }, { capture });
          const single = await m.batch(
            [...ids.subarray(0, 5)].map((id) => ({ ids: [id] })),
            { capture },
          );
          for (const r of [whole, single]) {
            for (const l of moe) {
              const logits = r.get(at.layer(l).router.logits).data;
              const choice = r.get(at.layer(l).router.choice).data;
              assert.ok(largest(logits) > 0);
              let ties = 0;
              for (let t = 0; t < choice.length / topk; t++) {
                const row = [...logits.subarray(t * experts, (t + 1) * experts)];
                const order = row.map((_, e) => e).sort((a, b) => row[b] - row[a] || a - b);
                if (row[order[topk - 1]] === row[order[topk]] || row[order[0]] === row[order[1]]) ties++;
                assert.deepEqual(
                  [...choice.subarray(t * topk, (t + 1) * topk)],
                  order.slice(0, topk),
                  `layer ${l}, row ${t}`,
                );
                for (let e = 0; e < experts; e++)
                  assert.equal(row[e], row[sameAs(e, experts)], "equal rows, unequal logits");
              }
              if (what === "all experts equal") assert.ok(ties > 0, "no tie was made");
            }
            if (r === whole) seen.push(r.get(at.layers("moe").router.choice).data.slice());
          }
          m.dispose();
        }
        if (what === "all experts equal") assert.deepEqual(seen[0], seen[1], "exact and fast choose alike");
      });
    }
  });
}
