import { describe, test } from "node:test";
import { at, Model } from "../../engine/index.ts";
import { writeCase } from "./checkpoint.ts";
import { assertAlive, assertClose, difference } from "./compare.ts";
import { Fixture } from "./fixture.ts";

/** Chunk and floor scale 8192 and 128-wide heads as released, 16,500 tokens: the rows around both boundaries, and positions whose
 * fp32 angles are already 8e-4 rad off exact arithmetic, so that only the same roundings agree. */
describe("released constants over 16,500 tokens", () => {
  const f = new Fixture("released");
  const t = [...f.ids("rows")];

  for (const weights of ["f32", "bf16"]) {
    test(`${weights}, fast`, async () => {
      const m = await Model.load(writeCase("released"), { weights });
      const sites = [...m.config.layerFacts.map((l) => at.layer(l.index).resid.post), at.logits];
      const r = await m.run({ ids: f.ids("ids") }, { capture: sites.map((s) => s.only({ t })) });
      assertClose(
        sites.map((s) => {
          const got = r.get(s).data;
          assertAlive(s.path, got);
          return difference(s.path, got, f.floats(s.path), f.get(s.path).shape);
        }),
      );
      m.dispose();
    });
  }
});
