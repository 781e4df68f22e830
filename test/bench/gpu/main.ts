/** Prefill and decode on the GPU: tiny-scout, and layers of Scout's full width with random weights. Nothing to do without a GPU. */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { readConfig } from "../../../engine/checkpoint/config.ts";
import { native } from "../../../engine/model/addon.ts";
import { measure, open } from "../native/ours.ts";
import { decodeBytes, prefillFlops } from "../native/work.ts";
import { keep, table } from "../report.ts";

const TINY = resolve("notebooks/models/tiny-scout");

/** Four layers of Scout, one of each kind of attention, with a small vocabulary: 17.6 GB in bf16, of which a token reads 1.7. */
const SCOUT_LAYERS = {
  architectures: ["Llama4ForCausalLM"],
  model_type: "llama4_text",
  vocab_size: 16384,
  hidden_size: 5120,
  num_hidden_layers: 4,
  num_attention_heads: 40,
  num_key_value_heads: 8,
  head_dim: 128,
  intermediate_size: 8192,
  intermediate_size_mlp: 16384,
  num_local_experts: 16,
  num_experts_per_tok: 1,
  interleave_moe_layer_step: 1,
  no_rope_layers: [1, 1, 1, 0],
  attention_chunk_size: 8192,
  attn_temperature_tuning: true,
  floor_scale: 8192,
  attn_scale: 0.1,
  use_qk_norm: true,
  rope_theta: 500000,
  rms_norm_eps: 1e-5,
  max_position_embeddings: 8192,
  tie_word_embeddings: false,
};

const cuda = native().cuda();
if (cuda.state !== "ready") {
  process.stdout.write(`no CUDA here: ${cuda.text}\n`);
  process.exit(0);
}

const results: object[] = [];
const lines: string[][] = [
  ["model", "prefill tok/s", "TFLOP/s", "decode tok/s", "watched", "GB/s", "copy GB/s", "share"],
];
for (const { name, raw, folder, rows, repeats } of [
  {
    name: "tiny-scout",
    raw: JSON.parse(readFileSync(join(TINY, "config.json"), "utf8")),
    folder: TINY,
    rows: 1024,
    repeats: 5,
  },
  { name: "4 layers of Scout", raw: SCOUT_LAYERS, folder: null, rows: 1024, repeats: 3 },
]) {
  const config = readConfig(raw, "config.json");
  const model = await open(config, folder, "bf16", 0, "cuda");
  const copy = model.copyRate() / 1e9;
  const ids = Int32Array.from(
    { length: rows },
    (_, i) => (i * 7919 + ((i * i) % 104729)) % Math.min(config.vocab, 4000),
  );
  const t = await measure(model, config, ids, 48, repeats);
  model.release();
  const gbs = decodeBytes(config, 2, rows >> 2) / t.decode / 1e9;
  const tflops = prefillFlops(config, rows) / t.prefill / 1e12;
  results.push({
    name,
    rows,
    prefillTokensPerSecond: rows / t.prefill,
    watchedPrefillTokensPerSecond: rows / t.watchedPrefill,
    prefillTflops: tflops,
    decodeTokensPerSecond: 1 / t.decode,
    watchedDecodeTokensPerSecond: 1 / t.watchedDecode,
    decodeGbs: gbs,
    copyGbs: copy,
  });
  lines.push([
    name,
    (rows / t.prefill).toFixed(0),
    tflops.toFixed(2),
    (1 / t.decode).toFixed(1),
    (1 / t.watchedDecode).toFixed(1),
    gbs.toFixed(0),
    copy.toFixed(0),
    `${((100 * gbs) / copy).toFixed(1)} %`,
  ]);
}
process.stdout.write(`${cuda.text}, bf16 weights, f32 activations\n${table(lines)}\n`);
process.stdout.write(`kept in ${keep("gpu", { gpu: cuda.text, results })}\n`);
