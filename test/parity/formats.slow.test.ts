import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { at, Model } from "../../engine/index.ts";
import { type Config, type Layout, type Stored, writeCase } from "./checkpoint.ts";
import { assertAlive, assertClose, difference } from "./compare.ts";
import { Fixture } from "./fixture.ts";

/** One checkpoint in all the forms that exist: each must give the very logits of the plain one, which are those of transformers. */
async function logits(folder: string, ids: Int32Array, o: object = {}): Promise<Float32Array> {
  const m = await Model.load(folder, { weights: "f32", math: "exact", ...o });
  const x = (await m.run({ ids }, { capture: at.logits })).get(at.logits).data.slice();
  m.dispose();
  return x;
}

/** [E, in, out] fused gate and up to one [out, in] matrix an expert each. */
function unfuse(t: Stored): Stored | Stored[] {
  const m = /^(.*experts)\.(gate_up|down)_proj$/.exec(t.name);
  if (!m) return t;
  const [experts, rows, cols] = t.shape;
  const parts = m[2] === "down" ? ["down"] : ["gate", "up"];
  const width = cols / parts.length;
  const out: Stored[] = [];
  for (let e = 0; e < experts; e++) {
    parts.forEach((part, p) => {
      const data = new Uint16Array(width * rows);
      for (let o = 0; o < width; o++) {
        for (let i = 0; i < rows; i++) data[o * rows + i] = t.data[(e * rows + i) * cols + p * width + o];
      }
      out.push({ name: `${m[1]}.${e}.${part}_proj.weight`, shape: [width, rows], data });
    });
  }
  return out;
}

const rename = (t: Stored): Stored => ({ ...t, name: `language_model.${t.name}` });
const nested = (c: Config): Config => {
  const { architectures: _, ...text } = c;
  return {
    architectures: ["Llama4ForConditionalGeneration"],
    model_type: "llama4",
    text_config: text,
    vision_config: { model_type: "llama4_vision_model" },
    boi_token_index: 100,
    eoi_token_index: 101,
    image_token_index: 102,
  };
};
const oldRope = (c: Config): Config => {
  const { rope_parameters, ...rest } = c;
  const { rope_theta, ...scaling } = rope_parameters;
  return { ...rest, rope_theta, rope_scaling: scaling.rope_type === "default" ? null : scaling };
};
/** Fields that released files leave out. */
const bare = ({
  no_rope_layers: _,
  no_rope_layer_interval: __,
  attention_bias: ___,
  hidden_act: ____,
  ...c
}: Config): Config => c;

const FORMS: [what: string, layout: Layout][] = [
  ["un-fused experts", { edit: unfuse }],
  ["three shards and an index", { shards: 3 }],
  ["un-fused experts in seven shards", { edit: unfuse, shards: 7 }],
  ["the nested llama4 config with its prefix", { config: nested, edit: rename }],
  ["F32", { dtype: "F32" }],
  ["F16", { dtype: "F16" }],
  ["the old RoPE spelling", { config: oldRope }],
  ["an integer temperature flag", { config: (c) => ({ ...c, attn_temperature_tuning: 4 }) }],
  ["no_rope_layers derived", { config: bare }],
  ["moe_layers null", { config: (c) => ({ ...c, moe_layers: null, layer_types: null }) }],
];

for (const name of ["scout", "maverick"]) {
  describe(`${name} in other forms`, () => {
    const ids = new Fixture(name).ids("ids").slice(0, 40);
    let plain: Float32Array;
    before(async () => {
      plain = await logits(writeCase(name), ids);
      assertAlive("logits", plain);
    });
    for (const [what, layout] of FORMS) {
      test(what, async () => {
        assert.deepEqual(await logits(writeCase(name, layout), ids), plain);
      });
    }
  });
}

test("temperature flag 0 is off, and off is not on", async () => {
  const ids = new Fixture("scout").ids("ids").slice(0, 40);
  const with_ = (flag: unknown) => writeCase("scout", { config: (c) => ({ ...c, attn_temperature_tuning: flag }) });
  const off = await logits(with_(false), ids);
  assert.deepEqual(await logits(with_(0), ids), off);
  assert.notDeepEqual(await logits(writeCase("scout"), ids), off);
});

test("a null chunk is a chunk longer than the text", async () => {
  const ids = new Fixture("unchunked").ids("ids");
  const with_ = (name: string, chunk: number | null) =>
    writeCase(name, { config: (c) => ({ ...c, attention_chunk_size: chunk }) });
  assert.deepEqual(await logits(with_("unchunked", null), ids), await logits(writeCase("unchunked"), ids));
  // transformers cannot run this one; a chunk that no text fills is the same thing.
  assert.deepEqual(await logits(with_("scout", null), ids), await logits(with_("scout", 4096), ids));
});

test('rope "accurate" gives the logits of transformers, on layers with and without a chunk', async () => {
  for (const name of ["scout", "maverick", "decoupled", "unchunked"]) {
    const f = new Fixture(name);
    const x = await logits(writeCase(name), f.ids("ids"), { rope: "accurate" });
    const want = f.get("rows/150");
    assertClose([difference(`${name} logits`, x.subarray(x.length - want.data.length), want.data, want.shape)]);
  }
});

test("bf16 weights give what the same values give in f32, and what transformers gives", async () => {
  for (const name of ["scout", "maverick", "top2", "wide", "decoupled"]) {
    const f = new Fixture(name);
    const want = f.get("rows/150");
    const of = (x: Float32Array) => x.subarray(x.length - want.data.length);
    const f32 = await logits(writeCase(name), f.ids("ids"));
    for (const math of ["exact", "fast"]) {
      const bf16 = await logits(writeCase(name), f.ids("ids"), { weights: "bf16", math });
      const what = `${name}, bf16, ${math}`;
      assertClose([
        difference(`${what}, against f32`, bf16, f32, [f32.length]),
        difference(`${what}, against transformers`, of(bf16), want.data, want.shape),
      ]);
    }
  }
});

test("any number of threads gives the same bits", async () => {
  for (const name of ["scout", "wide"]) {
    const ids = new Fixture(name).ids("ids");
    const one = await logits(writeCase(name), ids, { math: "fast", threads: 1 });
    for (const threads of [2, 3, 5]) {
      assert.deepEqual(
        await logits(writeCase(name), ids, { math: "fast", threads }),
        one,
        `${name}, ${threads} threads`,
      );
    }
  }
});
