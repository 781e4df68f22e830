import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Model } from "../../engine/index.ts";
import { writeCase } from "./checkpoint.ts";
import { assertAlive, assertClose, difference } from "./compare.ts";
import { Fixture } from "./fixture.ts";
import { openNative } from "./native.ts";
import { rank } from "./sites.ts";

const CASES = ["scout", "maverick", "top2", "decoupled", "unchunked"];

for (const name of CASES) {
  describe(`${name}: a sequence in pieces`, () => {
    const f = new Fixture(name);
    const ids = f.ids("ids");

    for (const math of ["exact", "fast"] as const) {
      test(`${math}: decoding gives every value that a prefill of the same tokens gives`, async () => {
        const m = await Model.load(writeCase(name), { weights: "f32", math });
        // Patterns and summaries have their own shape in decode; what they are made of is compared.
        const sites = (JSON.parse(f.metadata["sites"]) as string[]).filter((s) => !s.endsWith("attn.pattern"));
        sites.sort((a, b) => rank(a) - rank(b));
        for (const prompt of [1, 13, 15, 16, 17]) {
          const g = await m.generate({ ids: ids.slice(0, prompt) }, { maxTokens: 22, capture: sites });
          const all = Int32Array.from(g.tokens.column("id"));
          const r = await m.run({ ids: all }, { capture: sites });
          const list = sites.map((s) => {
            const [got, want] = [g.get(s).data, r.get(s).data];
            if (!s.endsWith("router.choice")) assertAlive(s, got); // always expert 0 is possible
            return difference(`${s} (prompt of ${prompt})`, got, want, r.get(s).shape);
          });
          assertClose(list);
        }
        m.dispose();
      });

      test(`${math}: any tiling, and a cache resumed anywhere, gives the logits of one prefill`, async () => {
        const { model, vocab } = await openNative(writeCase(name), { math });
        const want = f.get("rows/150").data;
        const splits = {
          "one by one": Array(150).fill(1),
          "tiles of 23": [23, 23, 23, 23, 23, 23, 12],
          "one before a boundary": [15, 135],
          "at a boundary": [16, 134],
          "one after a boundary": [17, 133],
          "around the second": [31, 1, 1, 1, 116],
          "a chunk each": [16, 16, 16, 16, 16, 16, 16, 16, 16, 6],
        };
        const list = [];
        for (const [what, sizes] of Object.entries(splits)) {
          const state = model.state({ sequences: 1, context: 150 });
          let at = 0;
          let last = new Float32Array();
          const rows: number[] = [];
          for (const n of sizes) {
            const done = state.forward({
              batch: { ids: ids.slice(at, at + n), lengths: Int32Array.of(n) },
              captures: [{ site: "logits", layer: -1, rows: null, decode: false, heads: null, experts: null }],
              edits: [],
              firstRow: at,
            });
            const r = await done.done;
            rows.push(...r.captures[0].data);
            last = r.last.slice();
            r.release();
            at += n;
          }
          state.release();
          const got = Float32Array.from(rows.slice(rows.length - want.length));
          list.push(difference(what, got, want, [2, vocab]));
          assert.deepEqual(last, got.slice(vocab), `${what}: \`last\` is the last row's logits`);
        }
        for (const tile of [1, 5, 15, 16, 17, 64, 150]) {
          const state = model.state({ sequences: 1, context: 150 });
          const r = await state.forward({ batch: { ids, lengths: Int32Array.of(150) }, captures: [], edits: [], tile })
            .done;
          list.push(difference(`tile of ${tile}`, r.last.slice(), want.slice(vocab), [vocab]));
          r.release();
          state.release();
        }
        assertClose(list);
        model.release();
      });

      test(`${math}: two sequences advance unevenly in one state`, async () => {
        const { model, vocab } = await openNative(writeCase(name), { math });
        const a = f.ids("a");
        const b = f.ids("b");
        const state = model.state({ sequences: 2, context: 64 });
        const got: number[][] = [[], []];
        const at = [0, 0];
        for (const lengths of [
          [14, 3],
          [1, 13],
          [1, 1],
          [20, 0],
          [1, 1],
        ]) {
          const parts = [a.slice(at[0], at[0] + lengths[0]), b.slice(at[1], at[1] + lengths[1])];
          const r = await state.forward({
            batch: { ids: Int32Array.of(...parts[0], ...parts[1]), lengths: Int32Array.from(lengths) },
            captures: [{ site: "logits", layer: -1, rows: null, decode: false, heads: null, experts: null }],
            edits: [],
            firstRow: at[0] + at[1],
          }).done;
          const x = r.captures[0].data;
          got[0].push(...x.subarray(0, lengths[0] * vocab));
          got[1].push(...x.subarray(lengths[0] * vocab));
          r.release();
          at[0] += lengths[0];
          at[1] += lengths[1];
        }
        assert.deepEqual([...state.position], [37, 18]);
        assertClose(
          ["a", "b"].map((key, i) => {
            const want = f.get(`logits/${key}`);
            return difference(`sequence ${key}`, got[i], want.data, want.shape);
          }),
        );
        state.release();
        model.release();
      });
    }
  });
}
