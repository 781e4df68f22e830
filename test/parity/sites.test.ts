import { after, before, describe, test } from "node:test";
import { at, Model } from "../../engine/index.ts";
import { caseNames, writeCase } from "./checkpoint.ts";
import { assertAlive, assertClose, difference } from "./compare.ts";
import { Fixture } from "./fixture.ts";
import { compareFull, compareProjected } from "./sites.ts";

const LENGTHS = [15, 16, 17, 31, 32, 33, 150];

for (const math of ["exact", "fast"] as const) {
  for (const name of caseNames.filter((n) => n !== "released")) {
    describe(`${name}, f32, ${math}`, () => {
      const f = new Fixture(name);
      let m: Model;
      before(async () => {
        m = await Model.load(writeCase(name), { weights: "f32", math });
      });
      after(() => m.dispose());

      if (f.tensors.has("full/embed")) {
        test("every value of every site", async () => assertClose(await compareFull(m, f)));

        test("log-probability, rank and entropy of every token follow from the reference's logits", async () => {
          const want = f.get("full/logits");
          const [rows, vocab] = want.shape;
          const ids = f.ids("ids").slice(0, rows);
          const { tokens } = await m.run({ ids });
          const logprob: number[] = [];
          const entropy: number[] = [];
          const place: number[] = [];
          for (let t = 0; t < rows; t++) {
            const x = Array.from(want.data.subarray(t * vocab, (t + 1) * vocab));
            const top = Math.max(...x);
            const lse = top + Math.log(x.reduce((a, v) => a + Math.exp(v - top), 0));
            entropy.push(x.reduce((a, v) => a - Math.exp(v - lse) * (v - lse), 0));
            if (t + 1 === rows) break;
            logprob.push(x[ids[t + 1]] - lse);
            place.push(x.filter((v) => v > x[ids[t + 1]]).length);
          }
          const column = (name: "logprob" | "rank" | "pred_entropy") => Array.from(tokens.column(name));
          assertClose([
            difference("logprob", column("logprob").slice(1), logprob, [rows - 1]),
            difference("rank", column("rank").slice(1), place, [rows - 1]),
            difference("pred_entropy", column("pred_entropy"), entropy, [rows]),
          ]);
        });
      }

      test("every row of every site over 150 tokens", async () => assertClose(await compareProjected(m, f)));

      test("lengths before, at and after chunk boundaries", async () => {
        const list = [];
        const last = m.config.layers - 1;
        for (const n of LENGTHS) {
          const r = await m.run({ ids: f.ids("ids").slice(0, n) }, { capture: [at.logits, at.layer(last).resid.post] });
          for (const [what, site] of [
            ["post", at.layer(last).resid.post],
            ["rows", at.logits],
          ] as const) {
            const want = f.get(`${what}/${n}`);
            const x = r.get(site).data;
            const got = x.subarray(x.length - want.data.length);
            assertAlive(site.path, got);
            list.push(difference(`${site.path} of ${n} tokens, last two rows`, got, want.data, want.shape));
          }
        }
        assertClose(list);
      });

      test("sequences of different length in one batch equal each alone in transformers", async () => {
        const rs = await m.batch([{ ids: f.ids("a") }, { ids: f.ids("b") }], { capture: at.logits });
        const list = ["a", "b"].map((key, i) => {
          const want = f.get(`logits/${key}`);
          return difference(`logits of sequence ${key}`, rs.seq(i).get(at.logits).data, want.data, want.shape);
        });
        assertClose(list);
      });
    });
  }
}
