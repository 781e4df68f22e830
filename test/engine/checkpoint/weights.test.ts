import assert from "node:assert/strict";
import { rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { readCheckpoint } from "../../../engine/checkpoint/folder.ts";
import { PRESETS } from "../../../engine/checkpoint/presets.ts";
import { fault } from "../fault.ts";
import {
  type FolderOptions,
  file,
  remove,
  SMALL,
  safetensors,
  type Tensors,
  tensorsOf,
  writeFolder,
} from "../folder.ts";

const folders: string[] = [];
const make = (o: FolderOptions = {}): string => {
  const f = writeFolder(o);
  folders.push(f);
  return f;
};
after(() => folders.forEach(remove));
const changed = (fn: (t: Tensors) => void): Tensors => {
  const t = tensorsOf(SMALL);
  fn(t);
  return t;
};

test("every slot of a MoE layer is found, with the strides of fused experts", async () => {
  const c = await readCheckpoint(make());
  const slots = new Map(c.weights.map((w) => [w.slot, w]));
  for (const s of [
    "embed",
    "unembed",
    "final.norm",
    "layers.3.norm.attn",
    "layers.0.attn.q",
    "layers.0.router",
    "layers.0.shared.down",
  ])
    assert.ok(slots.has(s), s);
  const [gate, up, down] = ["gate", "up", "down"].map((s) => slots.get(`layers.1.expert.2.${s}`)!);
  assert.deepEqual([gate.rows, gate.cols, gate.rowStride, gate.colStride], [12, 16, 1, 24]);
  assert.equal(up.offset - gate.offset, 12 * 4);
  assert.deepEqual([down.rows, down.cols, down.rowStride, down.colStride], [16, 12, 1, 16]);
  assert.equal(down.offset - slots.get("layers.1.expert.1.down")!.offset, 12 * 16 * 4);
});

test("prefixes, shards and un-fused experts name the same slots", async () => {
  const plain = await readCheckpoint(make());
  const names = plain.weights.map((w) => w.slot);
  const nested = make({ config: { model_type: "llama4", text_config: SMALL } });
  assert.deepEqual(
    (await readCheckpoint(nested)).weights.map((w) => w.slot),
    names,
  );
  const sharded = await readCheckpoint(make({ shards: 3 }));
  assert.deepEqual(
    sharded.weights.map((w) => w.slot),
    names,
  );
  assert.equal(sharded.files.length, 3);
  const unfused = await readCheckpoint(make({ tensors: tensorsOf(SMALL, { fused: false }) }));
  assert.deepEqual(
    unfused.weights.map((w) => w.slot),
    names,
  );
});

test("the vision part is left out with a note", async () => {
  const t = tensorsOf(SMALL, { prefix: "language_model." });
  t.set("vision_model.class_embedding", { shape: [8], data: new Float32Array(8) });
  t.set("multi_modal_projector.linear_1.weight", { shape: [4, 4], data: new Float32Array(16) });
  const c = await readCheckpoint(
    make({ config: { model_type: "llama4", text_config: SMALL, vision_config: {} }, tensors: t }),
  );
  assert.equal(c.notes.length, 1);
  assert.match(c.notes[0], /vision part \(2 tensors/i);
});

test("tied embeddings need no lm_head, and may have one", async () => {
  const config = { ...SMALL, tie_word_embeddings: true };
  const c = await readCheckpoint(make({ config, tensors: tensorsOf(config) }));
  assert.ok(!c.weights.some((w) => w.slot === "unembed"));
  await readCheckpoint(make({ config, tensors: tensorsOf(SMALL) }));
});

test("a missing tensor is named with its nearest, an extra one too", async () => {
  const renamed = changed((t) => {
    const x = t.get("model.layers.2.self_attn.q_proj.weight")!;
    t.delete("model.layers.2.self_attn.q_proj.weight");
    t.set("model.layers.2.self_attn.q_prj.weight", x);
  });
  await fault(
    () => readCheckpoint(make({ tensors: renamed })),
    "checkpoint",
    'a tensor is missing: "model.layers.2.self_attn.q_proj.weight" ([32, 16])',
    "q_prj",
  );
  const extra = changed((t) => t.set("model.layers.9.mystery", { shape: [1], data: new Float32Array(1) }));
  await fault(
    () => readCheckpoint(make({ tensors: extra })),
    "checkpoint",
    "1 tensors are not part",
    "model.layers.9.mystery",
  );
});

test("a wrong shape or dtype is named with both", async () => {
  const wrong = changed((t) => t.set("lm_head.weight", { shape: [63, 16], data: new Float32Array(63 * 16) }));
  await fault(() => readCheckpoint(make({ tensors: wrong })), "checkpoint", '"lm_head.weight"', "[63, 16]", "[64, 16]");
  const folder = make();
  const bytes = safetensors(tensorsOf(SMALL));
  const text = bytes.toString("latin1").replaceAll('"F32"', '"I32"');
  writeFileSync(`${folder}/model.safetensors`, Buffer.from(text, "latin1"));
  await fault(() => readCheckpoint(folder), "checkpoint", "dtype I32", "BF16, F16 or F32");
});

test("quantised checkpoints are refused by name", async () => {
  await fault(
    () => readCheckpoint(make({ config: { ...SMALL, quantization_config: { quant_method: "compressed-tensors" } } })),
    "checkpoint",
    "compressed-tensors",
  );
});

const INDEX: [string, unknown, ...string[]][] = [
  ["no map", {}, "weight_map"],
  ["an empty map", { weight_map: {} }, "empty"],
  ["a path that leaves the folder", { weight_map: { a: "../x.safetensors" } }, "not a file name"],
  ["no file name", { weight_map: { a: 4 } }, "not a file name"],
  ["a shard that is not there", { weight_map: { a: "gone.safetensors" } }, "gone.safetensors", "missing"],
  ["a tensor in the wrong shard", { weight_map: { a: "model-1.safetensors" } }, '"a" should be in model-1.safetensors'],
];
for (const [name, index, ...words] of INDEX)
  test(`index refused: ${name}`, async () => {
    const folder = make({ shards: 2, files: { "model.safetensors.index.json": JSON.stringify(index) } });
    await fault(() => readCheckpoint(folder), "checkpoint", ...words);
  });

test("files that are missing or not JSON are named", async () => {
  const none = make();
  rmSync(`${none}/config.json`);
  await fault(() => readCheckpoint(none), "config", none, "no config.json");
  const noWeights = make({ files: { "pytorch_model.bin": "x" } });
  rmSync(`${noWeights}/model.safetensors`);
  await fault(() => readCheckpoint(noWeights), "checkpoint", "neither model.safetensors", "pytorch_model.bin");
  for (const f of ["config.json", "tokenizer.json", "generation_config.json", "tokenizer_config.json"])
    await fault(() => readCheckpoint(make({ files: { [f]: "{ nope" } })), "checkpoint", f, "not JSON");
  await fault(
    () => readCheckpoint(make({ files: { "generation_config.json": '{"temperature":"hot"}' } })),
    "config",
    "generation_config.json",
    "temperature",
  );
});

test("generation defaults and the chat template are found where writers put them", async () => {
  const c = await readCheckpoint(
    make({
      files: {
        "generation_config.json": '{"eos_token_id":[2,5],"temperature":0.6,"top_p":0.9}',
        "chat_template.jinja": "A",
      },
    }),
  );
  assert.deepEqual([c.generation, c.chatTemplate], [{ eos: [2, 5], temperature: 0.6, topP: 0.9 }, "A"]);
  const inline = await readCheckpoint(
    make({
      files: {
        "tokenizer_config.json":
          '{"chat_template":[{"name":"tool_use","template":"T"},{"name":"default","template":"D"}]}',
      },
    }),
  );
  assert.equal(inline.chatTemplate, "D");
  assert.equal(inline.tokenizer, null);
});

for (const [name, gigabytes] of [
  ["scout", 215.5],
  ["maverick", 801.4],
] as const)
  test(`the whole of ${name}, as sparse files in 50 shards with the multimodal prefix: checked at once, without reading`, async () => {
    const folder = released(name);
    const begun = performance.now();
    const c = await readCheckpoint(folder);
    assert.ok(performance.now() - begun < 3000);
    assert.equal(c.files.length, 50);
    const bytes = c.weights.reduce((n, w) => n + w.rows * w.cols * 2, 0);
    assert.ok(Math.abs(bytes / 1e9 - gigabytes) < 0.2, `${bytes}`);
    assert.ok(Math.max(...c.weights.map((w) => w.offset)) > 2 ** 32, "offsets need more than 32 bits");
    const last = c.config.experts - 1;
    const [gate, up] = ["gate", "up"].map((n) => c.weights.find((w) => w.slot === `layers.47.expert.${last}.${n}`)!);
    assert.equal(up.offset - gate.offset, 2 * 8192);
  });

/** The names and shapes of spec section 5.1; the data are holes. */
function released(name: "scout" | "maverick"): string {
  const config = PRESETS[name];
  const experts = config.num_local_experts as number;
  const [d, ff, vocab] = [5120, 8192, 202048];
  const all: [string, number[]][] = [
    ["model.embed_tokens.weight", [vocab, d]],
    ["lm_head.weight", [vocab, d]],
    ["model.norm.weight", [d]],
  ];
  const swiglu = (at: string, width: number): void => {
    all.push(
      [`${at}.gate_proj.weight`, [width, d]],
      [`${at}.up_proj.weight`, [width, d]],
      [`${at}.down_proj.weight`, [d, width]],
    );
  };
  for (let l = 0; l < 48; l++) {
    const p = `model.layers.${l}`;
    for (const n of ["input_layernorm", "post_attention_layernorm"]) all.push([`${p}.${n}.weight`, [d]]);
    for (const n of ["q", "o"]) all.push([`${p}.self_attn.${n}_proj.weight`, [d, d]]);
    for (const n of ["k", "v"]) all.push([`${p}.self_attn.${n}_proj.weight`, [1024, d]]);
    if ((l + 1) % (config.interleave_moe_layer_step as number) !== 0) swiglu(`${p}.feed_forward`, 16384);
    else {
      const f = `${p}.feed_forward`;
      all.push(
        [`${f}.router.weight`, [experts, d]],
        [`${f}.experts.gate_up_proj`, [experts, d, 2 * ff]],
        [`${f}.experts.down_proj`, [experts, ff, d]],
      );
      swiglu(`${f}.shared_expert`, ff);
    }
  }
  const folder = make({ config: { model_type: "llama4", text_config: config, vision_config: {} }, tensors: new Map() });
  rmSync(join(folder, "model.safetensors"));
  const map: Record<string, string> = {};
  for (let s = 0; s < 50; s++) {
    const shard = `model-${String(s + 1).padStart(5, "0")}-of-00050.safetensors`;
    const header: Record<string, object> = {};
    let at = 0;
    all.forEach(([tensor, shape], i) => {
      if (i % 50 !== s) return;
      const bytes = 2 * shape.reduce((a, b) => a * b, 1);
      header[`language_model.${tensor}`] = { dtype: "BF16", shape, data_offsets: [at, at + bytes] };
      map[`language_model.${tensor}`] = shard;
      at += bytes;
    });
    const path = join(folder, shard);
    const head = file(Buffer.from(JSON.stringify(header)), Buffer.alloc(0));
    writeFileSync(path, head);
    truncateSync(path, head.length + at);
  }
  writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify({ weight_map: map }));
  return folder;
}
