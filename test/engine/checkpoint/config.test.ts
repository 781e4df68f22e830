import assert from "node:assert/strict";
import { test } from "node:test";
import { readConfig } from "../../../engine/checkpoint/config.ts";
import { PRESETS } from "../../../engine/checkpoint/presets.ts";
import { fault } from "../fault.ts";
import { type Raw, SMALL } from "../folder.ts";

const read = (changes: Raw = {}, base: Raw = SMALL) => {
  const raw = { ...base, ...changes };
  for (const [k, v] of Object.entries(changes)) if (v === undefined) delete raw[k];
  return readConfig(raw, "config.json");
};
const nope = (c: ReturnType<typeof read>) => c.layerFacts.filter((l) => !l.rope).map((l) => l.index);
const moe = (c: ReturnType<typeof read>) => c.layerFacts.filter((l) => l.moe).map((l) => l.index);
const chunked = (c: ReturnType<typeof read>) => c.layerFacts.filter((l) => l.kind === "chunked").map((l) => l.index);

test("the released shapes, as the specification lists them", () => {
  const scout = readConfig(PRESETS.scout, "scout");
  assert.deepEqual(nope(scout), [3, 7, 11, 15, 19, 23, 27, 31, 35, 39, 43, 47]);
  assert.equal(moe(scout).length, 48);
  assert.deepEqual([scout.temperatureTuning, scout.floorScale, scout.attnScale, scout.qkNorm], [true, 8192, 0.1, true]);
  assert.deepEqual(scout.rope.scaling, {
    type: "llama3",
    factor: 16,
    lowFreqFactor: 1,
    highFreqFactor: 1,
    originalContext: 8192,
  });
  const maverick = readConfig(PRESETS.maverick, "maverick");
  assert.deepEqual(
    moe(maverick),
    Array.from({ length: 24 }, (_, i) => 2 * i + 1),
  );
  assert.deepEqual([maverick.experts, maverick.qkNorm, maverick.rope.scaling], [128, false, null]);
});

test("layers with RoPE: an empty list and null are derived, a list is taken (1 means RoPE), an interval counts", () => {
  for (const v of [[], null, undefined]) assert.deepEqual(nope(read({ no_rope_layers: v })), [3]);
  assert.deepEqual(nope(read({ no_rope_layers: [0, 1, 1, 0] })), [0, 3]);
  assert.deepEqual(nope(read({ no_rope_layer_interval: 2 })), [1, 3]);
});

test("chunks: layers with RoPE unless layer_types says otherwise; none when the size is null", () => {
  assert.deepEqual(chunked(read()), [0, 1, 2]);
  assert.deepEqual(
    chunked(read({ layer_types: ["full_attention", "chunked_attention", "full_attention", "full_attention"] })),
    [1],
  );
  const none = read({ attention_chunk_size: null });
  assert.deepEqual([none.chunk, chunked(none), nope(none)], [0, [], [3]]);
});

test("MoE layers: by step, by list, none", () => {
  assert.deepEqual(moe(read({ interleave_moe_layer_step: 2 })), [1, 3]);
  assert.deepEqual(moe(read({ moe_layers: [2] })), [2]);
  const dense = read({ moe_layers: [], num_local_experts: 0, interleave_moe_layer_step: 0, num_experts_per_tok: 0 });
  assert.deepEqual([moe(dense), dense.experts, dense.topk], [[], 0, 0]);
  assert.deepEqual(moe(read({ moe_layers: null, num_local_experts: 0 })), []);
});

test("flags are booleans or integers; what the released files leave out has the class defaults", () => {
  assert.equal(read({ attn_temperature_tuning: 4 }).temperatureTuning, true);
  assert.equal(read({ attn_temperature_tuning: 0, use_qk_norm: 0 }).temperatureTuning, false);
  const bare = read({
    attn_temperature_tuning: undefined,
    floor_scale: undefined,
    attn_scale: undefined,
    rms_norm_eps: undefined,
  });
  assert.deepEqual([bare.temperatureTuning, bare.floorScale, bare.attnScale, bare.eps], [true, 8192, 0.1, 1e-5]);
});

test("both spellings of RoPE give the same", () => {
  const { rope_scaling, rope_theta, ...rest } = SMALL;
  const old = read();
  assert.deepEqual(readConfig({ ...rest, rope_parameters: { ...rope_scaling, rope_theta } }, "f").rope, old.rope);
  assert.deepEqual(
    readConfig({ ...rest, rope_theta, rope_scaling: { ...rope_scaling, rope_type: undefined, type: "llama3" } }, "f")
      .rope,
    old.rope,
  );
  assert.deepEqual(readConfig({ ...rest, rope_parameters: { rope_type: "default", rope_theta: 1e4 } }, "f").rope, {
    theta: 1e4,
    scaling: null,
  });
});

test("the text part of a multimodal config is the same model", () => {
  const nested = readConfig(
    { model_type: "llama4", text_config: { ...SMALL, model_type: "llama4_text" }, vision_config: { hidden_size: 8 } },
    "f",
  );
  const { hf: _a, vision, ...part } = nested;
  const { hf: _b, vision: _c, ...whole } = read();
  assert.equal(vision, true);
  assert.deepEqual(part, whole);
});

test("another architecture is named, with what would be right", async () => {
  await fault(() => read({ model_type: "mixtral" }), "architecture", '"mixtral"', "Llama 4");
  await fault(() => read({ model_type: "llama" }), "architecture", 'did you mean "llama4"');
  await fault(() => read({ model_type: undefined }), "config", 'field "model_type"', "is missing");
  await fault(() => read({ model_type: 4 }), "config", "model_type", "not a text");
  await fault(
    () => readConfig({ model_type: "llama4" }, "c.json"),
    "config",
    'c.json, field "text_config"',
    "is missing",
  );
});

for (const field of [
  "hidden_size",
  "num_hidden_layers",
  "num_attention_heads",
  "num_key_value_heads",
  "intermediate_size",
  "vocab_size",
])
  test(`a missing ${field} is named`, async () => {
    await fault(() => read({ [field]: undefined }), "config", `field "${field}"`, "is missing");
  });

const WRONG: [Raw, ...string[]][] = [
  [{ hidden_size: "16" }, 'field "hidden_size"', '"16" is not accepted'],
  [{ hidden_size: 16.5 }, 'field "hidden_size"'],
  [{ hidden_size: -16 }, 'field "hidden_size"'],
  [{ vocab_size: 1e12 }, 'field "vocab_size"'],
  [{ rms_norm_eps: 0 }, 'field "rms_norm_eps"'],
  [{ no_rope_layers: [1, 1] }, 'field "no_rope_layers"', "2 entries for 4 layers"],
  [{ no_rope_layers: "all" }, 'field "no_rope_layers"'],
  [{ layer_types: ["chunked_attention"] }, 'field "layer_types"', "1 entries for 4 layers"],
  [
    { layer_types: ["sliding_attention", "full_attention", "full_attention", "full_attention"] },
    'field "layer_types.0"',
  ],
  [{ moe_layers: [4] }, 'field "moe_layers"', "no layer 4"],
  [{ moe_layers: [0], num_local_experts: 0 }, 'field "num_local_experts"'],
  [{ interleave_moe_layer_step: 0 }, 'field "interleave_moe_layer_step"'],
  [{ num_experts_per_tok: 9 }, 'field "num_experts_per_tok"', "9 of 4 experts"],
  [{ num_key_value_heads: 3 }, 'field "num_key_value_heads"', "4 query heads", "3 key heads"],
  [{ head_dim: 7 }, 'field "head_dim"', "7"],
  [{ head_dim: undefined, hidden_size: 18 }, 'field "head_dim"'],
  [{ moe_layers: [0], intermediate_size_mlp: undefined }, 'field "intermediate_size_mlp"', "dense layers"],
  [{ hidden_act: "gelu" }, 'field "hidden_act"', '"gelu"'],
  [{ attention_bias: true }, 'field "attention_bias"'],
  [{ rope_scaling: { rope_type: "yarn", factor: 2 } }, 'field "rope_scaling"', '"yarn"'],
  [{ rope_scaling: { rope_type: "llama3", factor: 2 } }, 'field "rope_scaling.low_freq_factor"', "is missing"],
  [{ rope_scaling: { ...SMALL.rope_scaling, low_freq_factor: 4 } }, "rope_scaling.low_freq_factor", "4 is above"],
  [{ eos_token_id: [1, "x"] }, 'field "eos_token_id'],
  [{ no_rope_layer_interval: 0 }, 'field "no_rope_layer_interval"'],
];
for (const [change, ...words] of WRONG)
  test(`refused, naming the field: ${JSON.stringify(change)}`, async () => {
    const e = await fault(() => read(change), "config", "config.json", ...words);
    assert.ok(e.fix, "says what to do");
  });

test("what is not an object is refused", async () => {
  for (const raw of [null, [], 3, "x"])
    await fault(() => readConfig(raw, "c.json"), "config", "c.json", "not an object");
});
