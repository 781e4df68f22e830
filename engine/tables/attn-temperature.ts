import type { Captured } from "../run/captured.ts";
import { scaleOf } from "./attention.ts";
import { numbers } from "./column.ts";
import { Table } from "./table.ts";
import { logN, stairOf } from "./temperature-law.ts";

/** One row a position that the run has. */
export interface AttnTemperature {
  pos: number;
  /** Whole floor_scales before the next token; the factor changes with it only. */
  stair: number;
  /** Factor on the query in the layers without RoPE (edits included). */
  scale: number;
  /** The log-n law that it follows, for comparison. */
  scale_logn: number;
}

export function attnTemperatureTable(run: Captured): Table<AttnTemperature> {
  const { facts, tokens } = run;
  const nope = facts.layers.find((l) => !l.rope);
  const scale = nope ? scaleOf(run, nope.index) : () => 1;
  const first = new Map<number, number>();
  for (let t = 0; t < tokens.length; t++) if (!first.has(tokens.pos[t])) first.set(tokens.pos[t], t);
  const pos = Int32Array.from(first.keys()).sort();
  return new Table<AttnTemperature>(
    {
      pos: numbers(pos),
      stair: numbers(Int32Array.from(pos, (p) => stairOf(p, facts.floorScale))),
      scale: numbers(Float32Array.from(pos, (p) => scale(first.get(p)!))),
      scale_logn: numbers(Float32Array.from(pos, (p) => logN(p, facts.floorScale))),
    },
    {
      name: "attnTemperature",
      context: { rows: tokens.length },
      summary: () => {
        const layers = facts.layers.filter((l) => !l.rope).map((l) => l.index);
        if (layers.length === 0) return "no layer without RoPE: it applies to none";
        const law = facts.temperatureTuning ? `floor_scale ${facts.floorScale}, attn_scale ${facts.attnScale}` : "off";
        return `layers ${layers.join(", ")}  ·  ${law}`;
      },
    },
  );
}
