/**
 * Checkpoints from a formula (see make/weights.py, which writes the same bytes): every weight is a function of (seed, tensor name,
 * index), so the references of transformers and our runs share weights that are stored nowhere.
 */
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export type Config = Record<string, any>;
export interface Case {
  why: string;
  seed: number;
  std: Record<string, number>;
  config: Config;
}

export const HERE = "test/parity";
const CASES: Record<string, Case & { extends?: string }> = JSON.parse(readFileSync(`${HERE}/cases.json`, "utf8"));
export const caseNames = Object.keys(CASES);

/** A case with what it inherits filled in. */
export function getCase(name: string): Case {
  const c = CASES[name];
  if (c.extends === undefined) return c;
  const base = getCase(c.extends);
  return { ...base, ...c, config: { ...base.config, ...c.config } };
}

/** MurmurHash3's finaliser. */
function mix(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

function fnv1a(text: string): number {
  let h = 0x811c9dc5;
  for (const b of Buffer.from(text)) h = Math.imul(h ^ b, 0x01000193);
  return h >>> 0;
}

function bits(seed: number, name: string, n: number): Uint32Array {
  const key = fnv1a(name) + mix(seed);
  const out = new Uint32Array(n);
  for (let i = 0; i < n; i++) out[i] = mix(mix(i + 1) + key);
  return out;
}

/** n ids in [0, vocab). */
export const tokenIds = (seed: number, name: string, n: number, vocab: number): Int32Array =>
  Int32Array.from(bits(seed, name, n), (b) => b % vocab);

/** A unit vector of n equal magnitudes. */
export const signs = (name: string, n: number): Float64Array =>
  Float64Array.from(bits(0, name, n), (b) => (b & 128 ? 1 : -1) / Math.sqrt(n));

const word = new Float32Array(1);
const wordBits = new Uint32Array(word.buffer);
/** f64 -> f32 -> the 16 bits of bfloat16, each rounded to nearest even. */
function bf16(x: number): number {
  word[0] = x;
  const u = wordBits[0];
  return (u + 0x7fff + ((u >>> 16) & 1)) >>> 16;
}
export function fromBf16(b: number): number {
  wordBits[0] = b << 16;
  return word[0];
}

/** Names and shapes in file order. */
export function* tensors(c: Case): Generator<[name: string, shape: number[]]> {
  const g = c.config;
  const d = g.hidden_size;
  const hq = g.num_attention_heads * g.head_dim;
  const hk = g.num_key_value_heads * g.head_dim;
  const f = g.intermediate_size;
  const e = g.num_local_experts;
  const step = g.interleave_moe_layer_step;
  const isMoe = (l: number) => (g.moe_layers ? g.moe_layers.includes(l) : (l + 1) % step === 0);
  yield ["model.embed_tokens.weight", [g.vocab_size, d]];
  for (let l = 0; l < g.num_hidden_layers; l++) {
    let p = `model.layers.${l}.`;
    yield [`${p}input_layernorm.weight`, [d]];
    yield [`${p}self_attn.q_proj.weight`, [hq, d]];
    yield [`${p}self_attn.k_proj.weight`, [hk, d]];
    yield [`${p}self_attn.v_proj.weight`, [hk, d]];
    yield [`${p}self_attn.o_proj.weight`, [d, hq]];
    yield [`${p}post_attention_layernorm.weight`, [d]];
    p += "feed_forward.";
    if (isMoe(l)) {
      yield [`${p}router.weight`, [e, d]];
      yield [`${p}experts.gate_up_proj`, [e, d, 2 * f]];
      yield [`${p}experts.down_proj`, [e, f, d]];
      p += "shared_expert.";
    }
    const width = isMoe(l) ? f : g.intermediate_size_mlp;
    yield [`${p}gate_proj.weight`, [width, d]];
    yield [`${p}up_proj.weight`, [width, d]];
    yield [`${p}down_proj.weight`, [d, width]];
  }
  yield ["model.norm.weight", [d]];
  if (!g.tie_word_embeddings) yield ["lm_head.weight", [g.vocab_size, d]];
}

function stdOf(c: Case, name: string): number {
  for (const [part, value] of Object.entries(c.std)) {
    if (part !== "default" && part !== "norm" && name.includes(part)) return value;
  }
  return name.includes("norm") ? c.std["norm"] : c.std["default"];
}

function weights(c: Case, name: string, shape: number[]): Uint16Array {
  const n = shape.reduce((a, b) => a * b, 1);
  const key = fnv1a(name) + mix(c.seed);
  const centre = name.includes("norm") ? 1 : 0;
  const unit = stdOf(c, name) / Math.sqrt(21845);
  const out = new Uint16Array(n);
  for (let i = 0; i < n; i++) {
    const b = mix(mix(i + 1) + key);
    out[i] = bf16(centre + ((b & 255) + ((b >>> 8) & 255) + ((b >>> 16) & 255) + (b >>> 24) - 510) * unit);
  }
  return out;
}

/** bf16 bits, row-major. */
export interface Stored {
  name: string;
  shape: number[];
  data: Uint16Array;
}

/** What a test may change about the folder; the numbers stay those of the case unless `edit` changes them. */
export interface Layout {
  config?: (config: Config) => Config;
  edit?: (t: Stored) => Stored | Stored[];
  dtype?: "BF16" | "F16" | "F32";
  shards?: number;
}

/** Exact for every bf16 value that is 0 or normal in f16 (true of the cases here but for `smallqk`). */
function toF16(x: number): number {
  word[0] = x;
  const u = wordBits[0];
  const exponent = ((u >>> 23) & 255) - 112;
  if (x === 0) return 0;
  if (exponent < 1 || exponent > 30) throw new RangeError(`${x} is not normal in f16`);
  return ((u >>> 16) & 0x8000) | (exponent << 10) | ((u >>> 13) & 0x3ff);
}

function encode(t: Stored, dtype: "BF16" | "F16" | "F32"): Uint8Array {
  const a =
    dtype === "BF16"
      ? t.data
      : dtype === "F16"
        ? Uint16Array.from(t.data, (b) => toF16(fromBf16(b)))
        : Float32Array.from(t.data, fromBf16);
  return new Uint8Array(a.buffer);
}

function safetensors(list: Stored[], dtype: "BF16" | "F16" | "F32"): Buffer {
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  const parts = list.map((t) => encode(t, dtype));
  let at = 0;
  list.forEach((t, i) => {
    header[t.name] = { dtype, shape: t.shape, data_offsets: [at, (at += parts[i].length)] };
  });
  const text = JSON.stringify(header);
  const head = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(head.length));
  return Buffer.concat([size, head, ...parts]);
}

const folders: string[] = [];
process.on("exit", () => {
  for (const f of folders) rmSync(f, { recursive: true, force: true });
});
const written = new Map<string, string>();

/** Writes a case as a Hugging Face folder below the temporary directory (removed at exit) and returns its path. */
export function writeCase(name: string, layout: Layout = {}): string {
  const plain = Object.keys(layout).length === 0;
  const known = written.get(name);
  if (plain && known) return known;
  const folder = mkdtempSync(join(tmpdir(), `moescope-parity-${name}-`));
  folders.push(folder);
  const c = getCase(name);
  writeFileSync(join(folder, "config.json"), JSON.stringify(layout.config ? layout.config({ ...c.config }) : c.config));
  const list = [...tensors(c)].flatMap(([n, shape]) => {
    const t = { name: n, shape, data: weights(c, n, shape) };
    return layout.edit ? layout.edit(t) : t;
  });
  const dtype = layout.dtype ?? "BF16";
  if (layout.shards === undefined) {
    writeFileSync(join(folder, "model.safetensors"), safetensors(list, dtype));
  } else {
    const per = Math.ceil(list.length / layout.shards);
    const weight_map: Record<string, string> = {};
    for (let s = 0; s < layout.shards; s++) {
      const pad = (n: number) => String(n).padStart(5, "0");
      const file = `model-${pad(s + 1)}-of-${pad(layout.shards)}.safetensors`;
      const mine = list.slice(s * per, (s + 1) * per);
      for (const t of mine) weight_map[t.name] = file;
      writeFileSync(join(folder, file), safetensors(mine, dtype));
    }
    const total_size = list.reduce((a, t) => a + t.data.length * (dtype === "F32" ? 4 : 2), 0);
    writeFileSync(
      join(folder, "model.safetensors.index.json"),
      JSON.stringify({ metadata: { total_size }, weight_map }),
    );
  }
  if (plain) written.set(name, folder);
  return folder;
}

export const sha256 = (file: string): string => createHash("sha256").update(readFileSync(file)).digest("hex");
