import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Tokenizer as HfTokenizer } from "@huggingface/tokenizers";
import { random } from "../../../engine/tables/random.ts";
import { offsets, showBytes, tokenBytes } from "../../../engine/text/bytes.ts";
import { TextStream } from "../../../engine/text/stream.ts";
import { Tokenizer } from "../../../engine/text/tokenizer.ts";
import { fault } from "../fault.ts";

const json = JSON.parse(readFileSync("notebooks/models/tiny-scout/tokenizer.json", "utf8"));
const tokenizer = new Tokenizer(
  json,
  JSON.parse(readFileSync("notebooks/models/tiny-scout/tokenizer_config.json", "utf8")),
);
const eot = tokenizer.special.get("<|eot|>")!;
const TEXTS = [
  "Hello world",
  " a  b\n\n c\t",
  "Ünï ção ß",
  "東京へ行く 🙂👩‍👩‍👧",
  "\ud83d\ude42é́",
  "1234567890",
  '{"k": [1, 2]}',
  "",
  "\u0000\uffff",
  "مرحبا بالعالم",
];

test("what is encoded decodes to itself", () => {
  for (const text of TEXTS) assert.equal(tokenizer.decode(tokenizer.encode(text)), text);
});

test("text that spells a control token stays text unless asked for", () => {
  for (const text of ["<|eot|>", "a<|eot|>b", "<|begin_of_text|><|eot|>"]) {
    const ids = tokenizer.encode(text);
    assert.ok(!ids.some((id) => tokenizer.isSpecial(id)), text);
    assert.equal(tokenizer.decode(ids), text);
  }
  assert.ok(tokenizer.encode("a<|eot|>b", { special: true }).includes(eot));
  assert.deepEqual(tokenizer.encode("<|eot|>", { special: true }), [eot]);
  assert.equal(tokenizer.decode([eot, ...tokenizer.encode("x")], { special: false }), "x");
});

test("bos goes first when asked for", () => {
  const bos = tokenizer.special.get("<|begin_of_text|>");
  assert.deepEqual(tokenizer.encode("x", { bos: true }), [bos, ...tokenizer.encode("x")]);
});

test("what goes before a text is read from the post-processor as the library applies it", () => {
  const kinds = [
    null,
    { type: "ByteLevel" },
    json.post_processor,
    {
      type: "Sequence",
      processors: [
        { type: "ByteLevel", add_prefix_space: true, trim_offsets: false, use_regex: true },
        json.post_processor,
      ],
    },
  ];
  for (const post_processor of kinds) {
    const bos = new Tokenizer({ ...json, post_processor }).encode("x", { bos: true }).slice(0, -1);
    const library = new HfTokenizer({ ...json, post_processor }, {})
      .encode("x", { add_special_tokens: true })
      .ids.slice(0, -1);
    assert.deepEqual(bos, library);
  }
});

test("offsets are UTF-16 places; each token's text lies between its own", () => {
  for (const text of TEXTS) {
    const ids = tokenizer.encode(text);
    const places = tokenizer.offsets(text)!;
    assert.equal(places.length, ids.length);
    let end = 0;
    places.forEach(([from, to], i) => {
      assert.ok(from <= end && to >= from && to <= text.length);
      const piece = tokenizer.text(ids[i]);
      if (!piece.includes("\\x")) assert.equal(text.slice(from, to), piece);
      end = Math.max(end, to);
    });
    assert.equal(end, text.length);
  }
  assert.equal(offsets("abc", [Uint8Array.of(120)]), null);
  // Two tokens that share a character both get the whole of it.
  const [a, b] = offsets("🙂", [Uint8Array.of(0xf0, 0x9f), Uint8Array.of(0x99, 0x82)])!;
  assert.deepEqual(
    [a, b],
    [
      [0, 2],
      [0, 2],
    ],
  );
});

test("bytes that are no character are shown, not hidden", () => {
  assert.equal(showBytes(Uint8Array.of(0x61, 0xe2, 0x82)), "a\\xE2\\x82");
  assert.equal(showBytes(Uint8Array.of(0xe2, 0x82, 0xac)), "€");
  assert.equal(showBytes(Uint8Array.of(0xed, 0xa0, 0x80)), "\\xED\\xA0\\x80");
  assert.deepEqual([...tokenBytes("Ġa", "byte-level")], [0x20, 0x61]);
  assert.deepEqual(
    [...tokenBytes("<0xE2>", "sentencepiece"), ...tokenBytes("▁a", "sentencepiece")],
    [0xe2, 0x20, 0x61],
  );
});

test("streamed pieces are whole characters and add up to the text, however the bytes are cut", () => {
  const next = random(5);
  for (let round = 0; round < 200; round++) {
    const text = TEXTS[Math.floor(next() * TEXTS.length)] + TEXTS[Math.floor(next() * TEXTS.length)];
    const bytes = new TextEncoder().encode(text);
    const stream = new TextStream();
    let out = "";
    for (let i = 0; i < bytes.length; ) {
      const n = 1 + Math.floor(next() * 4);
      const piece = stream.push(bytes.subarray(i, i + n));
      assert.ok(!piece.includes("\ufffd"));
      out += piece;
      i += n;
    }
    assert.equal(out + stream.end(), text);
  }
});

test("a stop string ends the text before it, also when tokens cut it", () => {
  const next = random(9);
  for (let round = 0; round < 300; round++) {
    const text = Array.from({ length: 12 }, () => "ab\n."[Math.floor(next() * 4)]).join("");
    const stops = ["ab.", "\n\n", "bb"];
    const expected = text.slice(0, Math.min(...stops.map((s) => (text.includes(s) ? text.indexOf(s) : text.length))));
    const stream = new TextStream(stops);
    let out = "";
    for (let i = 0; i < text.length; ) {
      const n = 1 + Math.floor(next() * 3);
      out += stream.push(new TextEncoder().encode(text.slice(i, i + n)));
      i += n;
    }
    out += stream.end();
    assert.ok(out.startsWith(expected) && out.length <= text.length, JSON.stringify({ text, out, expected }));
    assert.equal(out, expected, JSON.stringify(text));
  }
});

test("a file that is no tokenizer is refused", async () => {
  await fault(() => new Tokenizer({ model: { type: "Nope" } }, {}, "t.json"), "tokenizer", "t.json");
  await fault(() => new Tokenizer({ ...json, added_tokens: [{ id: "x" }] }, {}, "t.json"), "tokenizer", "added_tokens");
  await fault(() => tokenizer.encode(3 as never), "argument", "number");
});

test("a long text is encoded as if it were short", () => {
  const line = "The capital of France is Paris.\n";
  const ids = tokenizer.encode(line.repeat(200));
  const long = tokenizer.encode(line.repeat(34_000));
  assert.deepEqual(long.slice(0, ids.length), ids);
  assert.equal(long.length, (ids.length / 200) * 34_000);
});
