import type { Config } from "../checkpoint/config.ts";
import { count, bytes as showBytes } from "../display/format.ts";
import type { Edit } from "../edits/edit.ts";
import type { LayerFacts, ModelFacts } from "../run/captured.ts";
import type { Memory } from "./memory.ts";

/** Two lines of symbols, a column a layer: what attention sees, and what the FFN is. */
function strip(layers: readonly LayerFacts[]): string[] {
  const wide = 64;
  const lines: string[] = [];
  for (let from = 0; from < layers.length; from += wide) {
    const part = layers.slice(from, from + wide);
    const label = `  ${String(from).padStart(3)} `;
    lines.push(`${label}${part.map((l) => (l.kind === "global" ? "◆" : "▫")).join("")}`);
    lines.push(`      ${part.map((l) => (l.moe ? "⋮" : "█")).join("")}`);
  }
  return lines;
}

const list = (layers: readonly LayerFacts[]): string =>
  layers.length > 12 ? `${layers.length} layers` : layers.map((l) => l.index).join(", ");

/** The architecture as a cell shows it. */
export function modelText(
  f: ModelFacts,
  c: Config,
  edits: readonly Edit[],
  memory: Memory | null,
  warnings: readonly string[],
): string {
  const moe = f.layers.filter((l) => l.moe);
  const dense = f.layers.filter((l) => !l.moe);
  const global = f.layers.filter((l) => l.kind === "global");
  const nope = f.layers.filter((l) => !l.rope);
  const state = memory ? `${showBytes(memory.weights)} of ${f.weights} weights` : "disposed";
  const lines = [
    `${f.name} · ${f.layers.length} layers · d ${count(f.d)} · ${f.heads} heads, ${f.kvHeads} of keys, ${f.headDim} wide · vocabulary ${count(f.vocab)} · ${state}`,
    ...strip(f.layers),
    `  ◆ global attention: ${list(global) || "none"}   ▫ chunked${f.chunk ? `, ${count(f.chunk)} tokens` : ""}: ${f.layers.length - global.length} layers`,
  ];
  if (moe.length)
    lines.push(`  ⋮ MoE: ${list(moe)} · ${f.experts} experts, ${f.topk} chosen, 1 shared · ${count(f.ff)} wide`);
  if (dense.length) lines.push(`  █ dense: ${list(dense)} · ${count(f.ffDense)} wide`);
  if (nope.length && f.temperatureTuning)
    lines.push(
      `  attention temperature in ${list(nope)}: 1 + ${f.attnScale}·ln(⌊(pos + 1) / ${count(f.floorScale)}⌋ + 1)`,
    );
  lines.push(
    `  RoPE θ ${count(c.rope.theta)}${c.rope.scaling ? `, llama3 scaling ×${c.rope.scaling.factor}` : ""} · QK norm ${c.qkNorm ? "on" : "off"} · context ${count(c.context)}`,
  );
  for (const e of edits) lines.push(`  edit: ${e}`);
  for (const w of warnings) lines.push(`  note: ${w}`);
  return lines.join("\n");
}
