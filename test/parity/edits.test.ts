import { test } from "node:test";
import { at, attn, type Edit, Model, route } from "../../engine/index.ts";
import { writeCase } from "./checkpoint.ts";
import { assertClose, difference } from "./compare.ts";
import { Fixture } from "./fixture.ts";

/** Edits of the engine against the same change made in transformers. */
const EDITS: [mutation: string, name: string, edit: () => Edit][] = [
  ["no-temperature", "scout", () => attn.temperature("off")],
  ["temperature-by-chunk", "decoupled", () => attn.temperature({ floor: 16, scale: 0.3 })],
  ["no-shared-expert", "scout", () => at.layers("*").shared.out.zero()],
  ["ban-1", "scout", () => route.ban(1)],
  ["bias-2", "scout", () => route.bias(2, 0.7)],
  ["force-3-own", "scout", () => route.force(3, { score: "own" })],
  ["force-3-original", "scout", () => route.force(3, { score: "original" })],
  ["force-3-constant", "scout", () => route.force(3, { score: 0.4 })],
  ["no-head-1", "scout", () => at.layer(3).attn.z.zero({ head: 1 })],
  ["half-residual", "scout", () => at.layer(1).resid.post.scale(0.5, { pos: { gte: 5, lt: 10 } })],
];

const f = new Fixture("mutations");
const rows: number[] = JSON.parse(f.metadata["about"]).rows;

for (const math of ["exact", "fast"] as const) {
  for (const [mutation, name, edit] of EDITS) {
    test(`${edit.toString().slice(6)} is "${mutation}" of transformers (${math})`, async () => {
      const m = await Model.load(writeCase(name), { weights: "f32", math });
      const x = (await m.with(edit()).run({ ids: f.ids(`${name}/ids`) }, { capture: at.logits })).get(at.logits);
      const vocab = x.shape[1];
      const got = Float32Array.from(rows.flatMap((t) => [...x.data.subarray(t * vocab, (t + 1) * vocab)]));
      assertClose([difference("logits", got, f.floats(`${name}/${mutation}`), [rows.length, vocab])]);
      m.dispose();
    });
  }
}
