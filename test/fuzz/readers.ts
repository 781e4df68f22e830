/**
 * Fuzzes the readers of a checkpoint: `config.json`, safetensors headers, the shard index, and what looks for weights in them. Valid
 * files are changed at random (values, keys, structure, single bytes); whatever comes out must be a result or a `MoescopeError`, soon,
 * and without taking memory that the input does not have.
 *
 *     node dist/test/fuzz/readers.js --seconds 60 --seed 1
 */
import { realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { readConfig } from "../../engine/checkpoint/config.ts";
import { readIndex } from "../../engine/checkpoint/folder.ts";
import { invFreq } from "../../engine/checkpoint/rope.ts";
import { type Header, parseHeader } from "../../engine/checkpoint/safetensors.ts";
import { collectWeights } from "../../engine/checkpoint/weights.ts";
import { MoescopeError } from "../../engine/errors.ts";
import { kvParts, weightParts } from "../../engine/model/plan.ts";
import { random } from "../../engine/tables/random.ts";
import { SMALL, safetensors, tensorsOf } from "../engine/folder.ts";

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** No single input may take longer. Generous: the machine may be busy. */
const LIMIT_MS = 2000;
const LIMIT_BYTES = 600e6;

const CONFIGS: Json[] = [
  SMALL,
  { ...SMALL, interleave_moe_layer_step: 2, rope_scaling: null, use_qk_norm: false },
  { ...SMALL, moe_layers: [], num_local_experts: 0, interleave_moe_layer_step: 0, attention_chunk_size: null },
  {
    model_type: "llama4",
    text_config: { ...SMALL, rope_parameters: { rope_type: "default", rope_theta: 1e4 } },
    vision_config: {},
  },
];
const FUSED = safetensors(tensorsOf(SMALL));
const SPLIT = safetensors(tensorsOf(SMALL, { fused: false }));
const INDEX: Json = {
  metadata: { total_size: 9 },
  weight_map: { "model.norm.weight": "model-1.safetensors", "lm_head.weight": "model-2.safetensors" },
};

const ODD: Json[] = [
  null,
  true,
  false,
  0,
  -1,
  1,
  2,
  7,
  0.5,
  -0,
  1e9,
  2 ** 31,
  2 ** 53,
  1e308,
  "",
  "x",
  "llama4",
  "__proto__",
  [],
  [0],
  {},
  { a: 1 },
  [[[[]]]],
  "F32",
  "BF16",
  "I64",
];

class Mutator {
  readonly #next: () => number;
  constructor(seed: number) {
    this.#next = random(seed);
  }
  below(n: number): number {
    return Math.floor(this.#next() * n);
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }

  /** A copy with one to four changes somewhere inside. */
  json(value: Json): Json {
    let out: Json = structuredClone(value);
    for (let i = 1 + this.below(4); i > 0; i--) out = this.#change(out, 0);
    return out;
  }

  #change(v: Json, depth: number): Json {
    if (v === null || typeof v !== "object" || (depth > 0 && this.#next() < 0.15)) return this.#other(v);
    const keys = Object.keys(v);
    if (keys.length === 0 || this.#next() < 0.1) return this.#reshape(v);
    const key = this.pick(keys);
    (v as Record<string, Json>)[key] = this.#change((v as Record<string, Json>)[key], depth + 1);
    return v;
  }

  #reshape(v: Json[] | { [key: string]: Json }): Json {
    if (Array.isArray(v)) {
      if (this.#next() < 0.5) v.splice(this.below(v.length + 1), 1);
      else v.push(structuredClone(this.pick(ODD)));
      return v;
    }
    const keys = Object.keys(v);
    if (keys.length && this.#next() < 0.6) delete v[this.pick(keys)];
    else v[this.pick([...keys, "extra", "__metadata__", "constructor"])] = structuredClone(this.pick(ODD));
    return v;
  }

  #other(v: Json): Json {
    if (typeof v === "number" && this.#next() < 0.6)
      return this.pick([v + 1, v - 1, -v, v * 2, v / 2, v + 0.5, v * 1e6, String(v), [v]]);
    return structuredClone(this.pick(ODD));
  }

  /** A copy with some bytes changed, inserted or cut. */
  bytes(source: Uint8Array): Uint8Array {
    let out = Buffer.from(source);
    for (let i = 1 + this.below(4); i > 0 && out.length > 0; i--) {
      const at = this.below(out.length);
      const kind = this.below(4);
      if (kind === 0) out[at] = this.below(256);
      else if (kind === 1) out[at] ^= 1 << this.below(8);
      else if (kind === 2) out = Buffer.concat([out.subarray(0, at), out.subarray(at + 1 + this.below(8))]);
      else
        out = Buffer.concat([
          out.subarray(0, at),
          Buffer.from([this.pick([0, 34, 44, 58, 91, 93, 123, 125, 57, 92, 255])]),
          out.subarray(at),
        ]);
    }
    return out;
  }
}

function config(m: Mutator): void {
  const source = m.pick(CONFIGS);
  const raw = m.below(3) === 0 ? tryJson(m.bytes(Buffer.from(JSON.stringify(source)))) : m.json(source);
  if (raw === undefined) return;
  const c = readConfig(raw, "config.json");
  weightParts(c, "bf16");
  weightParts(c, "int4_32");
  kvParts(c, 1, 1000);
  invFreq(c.rope, c.headDim);
}

function header(m: Mutator): void {
  weights(m, readConfig(SMALL, "config.json"));
}

/** A changed header against a config that may be changed as well. */
function both(m: Mutator): void {
  weights(m, readConfig(m.json(SMALL), "config.json"));
}

function weights(m: Mutator, c: ReturnType<typeof readConfig>): void {
  const file = m.pick([FUSED, SPLIT]);
  const length = Number(file.readBigUInt64LE());
  const text = file.subarray(8, 8 + length);
  const changed = m.below(2) ? m.bytes(text) : Buffer.from(JSON.stringify(m.json(JSON.parse(text.toString()))));
  const size = m.below(8) === 0 ? m.below(file.length) : 8 + changed.length + (file.length - 8 - length);
  const headers: Header[] = [parseHeader(changed, size, "model.safetensors")];
  if (m.below(8) === 0) headers.push(headers[0]);
  collectWeights(c, headers, "folder");
}

function index(m: Mutator): void {
  const raw = m.below(3) === 0 ? tryJson(m.bytes(Buffer.from(JSON.stringify(INDEX)))) : m.json(INDEX);
  if (raw !== undefined) readIndex(raw, "model.safetensors.index.json");
}

function tryJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString());
  } catch {
    return undefined;
  }
}

const TARGETS = { config, header, both, index };

export interface FuzzResult {
  readonly cases: number;
  readonly accepted: number;
  /** Refusals by kind of input and error code. */
  readonly refused: ReadonlyMap<string, number>;
}

/** Runs until the time or the number of cases is over. Throws at the first case that breaks the rule, naming its seed. */
export function fuzzReaders(o: { seed: number; seconds?: number; cases?: number }): FuzzResult {
  const end = performance.now() + (o.seconds ?? Number.POSITIVE_INFINITY) * 1000;
  const refused = new Map<string, number>();
  const memory = process.memoryUsage().rss;
  let accepted = 0;
  let cases = 0;
  for (; cases < (o.cases ?? Number.POSITIVE_INFINITY) && performance.now() < end; cases++) {
    const seed = o.seed * 1_000_003 + cases;
    const name = (Object.keys(TARGETS) as (keyof typeof TARGETS)[])[cases % 4];
    const begun = performance.now();
    try {
      TARGETS[name](new Mutator(seed));
      accepted++;
    } catch (e) {
      if (!(e instanceof MoescopeError) || e.code === "internal")
        throw new Error(`${name}, case ${cases} of seed ${o.seed}: ${(e as Error).stack}`, { cause: e });
      const key = `${name}: ${e.code}`;
      refused.set(key, (refused.get(key) ?? 0) + 1);
    }
    const took = performance.now() - begun;
    if (took > LIMIT_MS) throw new Error(`${name}, case ${cases} of seed ${o.seed} took ${took.toFixed(0)} ms`);
    if (process.memoryUsage.rss() - memory > LIMIT_BYTES)
      throw new Error(`${name}, case ${cases} of seed ${o.seed}: memory grew by more than ${LIMIT_BYTES} bytes`);
  }
  return { cases, accepted, refused };
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const option = (name: string, otherwise: number): number => {
    const at = process.argv.indexOf(`--${name}`);
    return at < 0 ? otherwise : Number(process.argv[at + 1]);
  };
  const result = fuzzReaders({ seed: option("seed", 1), seconds: option("seconds", 60) });
  console.log(`${result.cases} cases, ${result.accepted} accepted`);
  for (const [key, n] of [...result.refused].sort()) console.log(`  ${key.padEnd(24)} ${n}`);
}
