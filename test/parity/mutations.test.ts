import assert from "node:assert/strict";
import { test } from "node:test";
import { at, Model } from "../../engine/index.ts";
import { writeCase } from "./checkpoint.ts";
import { assertClose, difference, TOLERANCE } from "./compare.ts";
import { Fixture } from "./fixture.ts";

/** Each rule of the model, changed alone in the reference: ours must agree with the unchanged one and with no changed one. */
const f = new Fixture("mutations");
interface About {
  rows: number[];
  mutations: Record<string, { case: string; equivalent: boolean; what: string }>;
}
const { rows, mutations }: About = JSON.parse(f.metadata["about"]);

for (const name of new Set(Object.values(mutations).map((a) => a.case))) {
  test(`${name}: agrees with the true reference, and with none that has a rule changed`, async () => {
    const m = await Model.load(writeCase(name), { weights: "f32", math: "exact" });
    const all = (await m.run({ ids: f.ids(`${name}/ids`) }, { capture: at.logits })).get(at.logits);
    const vocab = all.shape[1];
    const got = Float32Array.from(rows.flatMap((t) => [...all.data.subarray(t * vocab, (t + 1) * vocab)]));
    const against = (key: string) => difference(key, got, f.floats(`${name}/${key}`), [rows.length, vocab]);
    assertClose([against("true")]);
    const mine = Object.entries(mutations).filter(([, a]) => a.case === name);
    for (const [key, a] of mine) {
      const { off } = against(key);
      if (a.equivalent) assert.ok(off <= TOLERANCE, `${key} (${a.what}) should change nothing, changes ${off}`);
      else
        assert.ok(off >= 10 * TOLERANCE, `${key} (${a.what}): only ${off} of the scale away: the rule is not pinned`);
    }
    m.dispose();
  });
}
