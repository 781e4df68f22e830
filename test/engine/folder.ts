/** Small checkpoints in Hugging Face layout, written to a temporary folder: what the tests of the reader and of the model load. */
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { random } from "../../engine/tables/random.ts";

export type Raw = Record<string, any>;

/** Scout's rules scaled down: chunked RoPE layers, one global layer in four, MoE everywhere. */
export const SMALL: Raw = {
  model_type: "llama4_text",
  hidden_size: 16,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 8,
  intermediate_size: 12,
  intermediate_size_mlp: 20,
  num_local_experts: 4,
  num_experts_per_tok: 1,
  interleave_moe_layer_step: 1,
  no_rope_layers: [],
  attention_chunk_size: 8,
  vocab_size: 64,
  rms_norm_eps: 1e-5,
  use_qk_norm: true,
  attn_temperature_tuning: true,
  floor_scale: 8,
  attn_scale: 0.1,
  rope_theta: 500000,
  rope_scaling: {
    rope_type: "llama3",
    factor: 16,
    low_freq_factor: 1,
    high_freq_factor: 1,
    original_max_position_embeddings: 64,
  },
  tie_word_embeddings: false,
  max_position_embeddings: 1024,
  bos_token_id: 1,
  eos_token_id: 2,
};

export interface StoredTensor {
  shape: readonly number[];
  data: Float32Array;
}
export type Tensors = Map<string, StoredTensor>;

const normal = (next: () => number): number => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());

/** Every tensor that the config calls for, seeded by its name. */
export function tensorsOf(c: Raw, o: { fused?: boolean; prefix?: string; std?: number } = {}): Tensors {
  const { fused = true, prefix = "", std = 0.3 } = o;
  const out: Tensors = new Map();
  const add = (name: string, shape: readonly number[], mean = 0, scale = std): void => {
    const n = shape.reduce((a, b) => a * b, 1);
    let seed = 7;
    for (const ch of name) seed = (seed * 31 + ch.charCodeAt(0)) % 1_000_003;
    const next = random(seed);
    out.set(prefix + name, { shape, data: Float32Array.from({ length: n }, () => mean + scale * normal(next)) });
  };
  const { hidden_size: d, intermediate_size: ff, vocab_size: vocab } = c;
  const [q, kv] = [c.num_attention_heads * c.head_dim, c.num_key_value_heads * c.head_dim];
  const step = c.interleave_moe_layer_step ?? 1;
  add("model.embed_tokens.weight", [vocab, d], 0, 1);
  add("model.norm.weight", [d], 1, 0.1);
  if (!c.tie_word_embeddings) add("lm_head.weight", [vocab, d]);
  for (let l = 0; l < c.num_hidden_layers; l++) {
    const p = `model.layers.${l}`;
    add(`${p}.input_layernorm.weight`, [d], 1, 0.1);
    add(`${p}.post_attention_layernorm.weight`, [d], 1, 0.1);
    add(`${p}.self_attn.q_proj.weight`, [q, d]);
    add(`${p}.self_attn.k_proj.weight`, [kv, d]);
    add(`${p}.self_attn.v_proj.weight`, [kv, d]);
    add(`${p}.self_attn.o_proj.weight`, [d, q]);
    const moe = c.moe_layers ? c.moe_layers.includes(l) : c.num_local_experts > 0 && (l + 1) % step === 0;
    const swiglu = (at: string, width: number): void => {
      add(`${at}.gate_proj.weight`, [width, d]);
      add(`${at}.up_proj.weight`, [width, d]);
      add(`${at}.down_proj.weight`, [d, width]);
    };
    if (!moe) swiglu(`${p}.feed_forward`, c.intermediate_size_mlp);
    else {
      add(`${p}.feed_forward.router.weight`, [c.num_local_experts, d]);
      swiglu(`${p}.feed_forward.shared_expert`, ff);
      for (let e = 0; e < c.num_local_experts; e++) swiglu(`${p}.feed_forward.experts.${e}`, ff);
    }
  }
  if (fused) fuse(out, c, prefix);
  return out;
}

/** Replaces per-expert matrices by the fused, transposed ones: [expert, in, out], gate before up. */
function fuse(t: Tensors, c: Raw, prefix: string): void {
  const { hidden_size: d, intermediate_size: ff, num_local_experts: experts } = c;
  for (let l = 0; l < c.num_hidden_layers; l++) {
    const p = `${prefix}model.layers.${l}.feed_forward.experts`;
    if (!t.has(`${p}.0.gate_proj.weight`)) continue;
    const gateUp = new Float32Array(experts * d * 2 * ff);
    const down = new Float32Array(experts * ff * d);
    for (let e = 0; e < experts; e++) {
      const take = (name: string): Float32Array => {
        const { data } = t.get(`${p}.${e}.${name}.weight`)!;
        t.delete(`${p}.${e}.${name}.weight`);
        return data;
      };
      const [gate, up, dn] = [take("gate_proj"), take("up_proj"), take("down_proj")];
      for (let i = 0; i < d; i++)
        for (let f = 0; f < ff; f++) {
          gateUp[(e * d + i) * 2 * ff + f] = gate[f * d + i];
          gateUp[(e * d + i) * 2 * ff + ff + f] = up[f * d + i];
          down[(e * ff + f) * d + i] = dn[i * ff + f];
        }
    }
    t.set(`${p}.gate_up_proj`, { shape: [experts, d, 2 * ff], data: gateUp });
    t.set(`${p}.down_proj`, { shape: [experts, ff, d], data: down });
  }
}

export type Dtype = "F32" | "BF16" | "F16";

/** The bytes of a `.safetensors` file. */
export function safetensors(tensors: Tensors, dtype: Dtype = "F32"): Buffer {
  const header: Raw = { __metadata__: { format: "pt" } };
  const parts: Buffer[] = [];
  let at = 0;
  for (const [name, { shape, data }] of tensors) {
    const bytes =
      dtype === "F32"
        ? Buffer.from(data.buffer, data.byteOffset, data.byteLength)
        : Buffer.from(Uint16Array.from(data, dtype === "BF16" ? bf16 : f16).buffer);
    header[name] = { dtype, shape, data_offsets: [at, at + bytes.length] };
    parts.push(bytes);
    at += bytes.length;
  }
  return file(Buffer.from(JSON.stringify(header)), Buffer.concat(parts));
}

/** Header and data behind the length of the header. */
export function file(header: Uint8Array, data: Uint8Array): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, data]);
}

const word = new Float32Array(1);
const bits = new Uint32Array(word.buffer);
/** Rounded to nearest even. */
export function bf16(x: number): number {
  word[0] = x;
  return (bits[0] + 0x7fff + ((bits[0] >>> 16) & 1)) >>> 16;
}
/** For normal numbers within range, rounded toward zero: enough for a test of reading. */
function f16(x: number): number {
  word[0] = x;
  const u = bits[0];
  const e = ((u >>> 23) & 255) - 112;
  if (e <= 0) return (u >>> 16) & 0x8000;
  return ((u >>> 16) & 0x8000) | (e << 10) | ((u >>> 13) & 0x3ff);
}

export interface FolderOptions {
  config?: Raw;
  tensors?: Tensors;
  dtype?: Dtype;
  /** Take tiny-scout's tokenizer (the vocabulary must then be 4,096). */
  tokenizer?: boolean;
  files?: Record<string, string | Buffer>;
  /** Number of shards, with an index; 0: one file. */
  shards?: number;
}

/** Writes a checkpoint; the caller removes it with `remove`. */
export function writeFolder(o: FolderOptions = {}): string {
  const folder = mkdtempSync(join(tmpdir(), "moescope-test-"));
  const config = o.config ?? SMALL;
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  const tensors =
    o.tensors ?? tensorsOf(config.text_config ?? config, { prefix: config.text_config ? "language_model." : "" });
  if (!o.shards) writeFileSync(join(folder, "model.safetensors"), safetensors(tensors, o.dtype));
  else {
    const names = [...tensors.keys()];
    const map: Record<string, string> = {};
    for (let s = 0; s < o.shards; s++) {
      const name = `model-${s + 1}.safetensors`;
      const mine = names.filter((_, i) => i % o.shards! === s);
      for (const n of mine) map[n] = name;
      writeFileSync(join(folder, name), safetensors(new Map(mine.map((n) => [n, tensors.get(n)!])), o.dtype));
    }
    writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify({ metadata: {}, weight_map: map }));
  }
  if (o.tokenizer)
    for (const f of ["tokenizer.json", "tokenizer_config.json"])
      copyFileSync(join("notebooks/models/tiny-scout", f), join(folder, f));
  for (const [name, content] of Object.entries(o.files ?? {})) writeFileSync(join(folder, name), content);
  return folder;
}

export const remove = (folder: string): void => rmSync(folder, { recursive: true, force: true });

/** A shape that takes about a millisecond a token and never ends by itself: for tests that stop what is running. */
export const SLOW: Raw = {
  ...SMALL,
  hidden_size: 256,
  head_dim: 32,
  num_attention_heads: 8,
  intermediate_size: 512,
  num_local_experts: 2,
  num_hidden_layers: 4,
  vocab_size: 4096,
  eos_token_id: null,
};
