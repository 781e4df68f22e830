import { quoted } from "../check.ts";
import { ArgumentError } from "../errors.ts";
import type { Filter } from "../sites/selector.ts";
import { Edit } from "./edit.ts";

/** Changes to attention. */
export const attn = {
  /**
   * The attention temperature of the layers without position encoding: `"off"` (the factor is 1), or another law
   * `1 + scale · ln(⌊(pos + 1) / floor⌋ + 1)`; what is left out stays as in the model.
   *
   * ```ts
   * const off = await m.with(attn.temperature("off")).run(r); r.compare(off).loss
   * ```
   */
  temperature(
    law: "off" | { readonly floor?: number; readonly scale?: number },
    filter: Omit<Filter, "head"> = {},
  ): Edit {
    const fail = (what: string): never => {
      throw new ArgumentError({
        where: "attn.temperature",
        what,
        fix: 'It takes "off" or { floor: 8192, scale: 0.1 }',
      });
    };
    if (law !== "off") {
      if (typeof law !== "object" || law === null) fail(`${quoted(law)} is not a law`);
      const { floor, scale } = law;
      if (floor !== undefined && !(Number.isFinite(floor) && floor > 0))
        fail(`floor ${quoted(floor)} is not a positive number`);
      if (scale !== undefined && !Number.isFinite(scale)) fail(`scale ${quoted(scale)} is not a number`);
    }
    const data = law === "off" ? law : Object.freeze({ floor: law.floor ?? null, scale: law.scale ?? null });
    return new Edit({ op: "attn.temperature", law: data }, filter, ["layer", "t", "pos", "step", "id", "text"]);
  },
};
