import assert from "node:assert/strict";
import { test } from "node:test";
import { attn, type Edit, Model, type Run, route } from "../../engine/index.ts";
import { assertClose, type Difference, difference } from "../parity/compare.ts";
import { rank } from "../parity/sites.ts";
import { pick, type Random, random } from "./mutate.ts";

/**
 * Models of random, odd shapes under random batches: the fast path beside the exact one, at every site. `MOESCOPE_FUZZ_SECONDS`
 * (default 30 here) and `MOESCOPE_FUZZ_SEED` as in `checkpoint.slow.test.ts`.
 */
const SECONDS = Number(process.env["MOESCOPE_FUZZ_SECONDS"] ?? 30);
const SEED = Number(process.env["MOESCOPE_FUZZ_SEED"] ?? Math.floor(Date.now() / 864e5));
/** The weights are random to the last bit, the shapes odd, and no seed was chosen: five times the gate of the fixtures. */
const TOLERANCE = 5e-5;

function shape(r: Random): Record<string, unknown> {
  const layers = 1 + r(4);
  const kv = 1 + r(3);
  const experts = 1 + r(9);
  const qkNorm = r(2) === 0;
  // The norm of a few numbers is often near zero, and dividing by it magnifies rounding without bound: not too few here.
  const half = pick(r, qkNorm ? [4, 5, 8, 9, 16, 17, 32] : [1, 2, 3, 4, 5, 8, 9, 16, 17, 32]);
  return {
    model_type: "llama4_text",
    vocab_size: 2 + r(150),
    hidden_size: 8 + r(100),
    num_hidden_layers: layers,
    num_attention_heads: kv * (1 + r(4)),
    num_key_value_heads: kv,
    head_dim: 2 * half,
    intermediate_size: 1 + r(90),
    intermediate_size_mlp: 1 + r(90),
    num_local_experts: experts,
    num_experts_per_tok: 1 + r(Math.min(3, experts)),
    moe_layers: Array.from({ length: layers }, (_, l) => l).filter(() => r(3) > 0),
    no_rope_layers: Array.from({ length: layers }, () => r(2)),
    use_qk_norm: qkNorm,
    attn_temperature_tuning: r(3) > 0,
    floor_scale: 1 + r(20),
    attn_scale: 0.1 * (1 + r(5)),
    attention_chunk_size: r(4) === 0 ? null : 1 + r(40),
    tie_word_embeddings: r(3) === 0,
    rms_norm_eps: 1e-5,
    rope_theta: pick(r, [100, 10000, 500000]),
    max_position_embeddings: 4096,
  };
}

function editsOf(r: Random, experts: number, moe: boolean): Edit[] {
  const out: Edit[] = [];
  if (moe && r(4) === 0) out.push(route.bias(r(experts), 0.3 * (r(3) - 1), { pos: { gte: r(5) } }));
  if (moe && r(4) === 0)
    out.push(route.force(r(experts), { score: pick(r, ["own", "original", 0.3] as const), pos: r(4) }));
  if (r(4) === 0) out.push(attn.temperature(r(2) ? "off" : { floor: 1 + r(9), scale: 0.2 }));
  return out;
}

/** Did both choose differently where the logits agree? Then the two best lie within rounding, and both are right. */
function ambiguous(a: Run, b: Run): boolean {
  for (const [key, x] of a.captured.captures) {
    if (!key.endsWith("router.choice")) continue;
    const y = b.captured.captures.get(key)!;
    if (x.data.some((v, i) => v !== y.data[i])) {
      const logits = [a, b].map((r) => r.captured.captures.get(key.replace("choice", "logits"))!.data);
      return difference(key, logits[1], logits[0], [logits[0].length]).off < TOLERANCE;
    }
  }
  return false;
}

const FORMATS = [
  { weights: "f32" },
  { weights: "bf16" },
  ...[32, 64, 128].map((group) => ({ weights: "int4", group })),
];
const silent = { onProgress: () => {} };

async function compare(seed: number): Promise<"same" | "ambiguous"> {
  const r = random(seed);
  const config = shape(r);
  const o = { seed: r(1000), std: 0.15, ...pick(r, FORMATS), threads: 1 + r(3), ...silent };
  const inputs = Array.from({ length: 1 + r(3) }, () => ({
    ids: Array.from({ length: 1 + r(r(4) === 0 ? 150 : 24) }, () => r(config["vocab_size"] as number)),
  }));
  const moe = (config["moe_layers"] as number[]).length > 0;
  const edits = editsOf(r, config["num_local_experts"] as number, moe);
  const runs: Run[] = [];
  for (const math of ["exact", "fast"]) {
    const m = await Model.random(config, { ...o, math });
    runs.push(await m.with(edits).batch(inputs, { capture: "all", ...silent }));
    m.dispose();
  }
  const [a, b] = runs;
  if (ambiguous(a, b)) return "ambiguous";
  const keys = [...a.captured.captures.keys()].sort((x, y) => rank(x) - rank(y));
  assert.deepEqual(
    [...b.captured.captures.keys()].sort((x, y) => rank(x) - rank(y)),
    keys,
  );
  const list: Difference[] = [];
  for (const key of keys) {
    const [x, y] = [a, b].map((run) => run.captured.captures.get(key)!);
    assert.deepEqual(y.shape, x.shape, key);
    // The place of the largest weight, and the rest of a summary beside it, jump between equal weights; the pattern says it all.
    if (!key.endsWith("attn.summary")) list.push(difference(key, y.data, x.data, x.shape));
  }
  list.push(difference("predictions", b.captured.last, a.captured.last, [b.captured.last.length]));
  assertClose(list, TOLERANCE);
  return "same";
}

test(`the fast path equals the exact one on random shapes (${SECONDS} s from seed ${SEED})`, async () => {
  const seen = { same: 0, ambiguous: 0 };
  const end = performance.now() + SECONDS * 1000;
  for (let i = 0; performance.now() < end; i++) {
    const seed = (Math.imul(SEED, 0x9e3779b1) + i) >>> 0;
    try {
      seen[await compare(seed)]++;
    } catch (e) {
      throw new Error(`seed ${seed}: ${(e as Error).message}\n${JSON.stringify(shape(random(seed)))}`, { cause: e });
    }
  }
  console.log(`${seen.same} models agree, ${seen.ambiguous} chose differently at a tie within rounding`);
  assert.ok(seen.same > 10 && seen.ambiguous < seen.same / 20, JSON.stringify(seen));
});
