/** The shipped model through this engine against `transformers` (fixture: notebooks/models/make/fixture.py), and what it says. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, test } from "node:test";
import { at, Model } from "../../engine/index.ts";

interface Prompt {
  input: string | { role: string; content: string }[];
  ids: number[];
  logprob: number;
  /** By layer, by token. */
  experts: number[][];
  /** By place: base64 of f32, the whole vocabulary. */
  logits: Record<string, string>;
}

const fixture: { prompts: Record<string, Prompt> } = JSON.parse(
  readFileSync("test/engine/tiny-scout.logits.json", "utf8"),
);
const m = await Model.load("tiny-scout", { weights: "f32" });
after(() => m.dispose());

const floats = (text: string): Float32Array => new Float32Array(new Uint8Array(Buffer.from(text, "base64")).buffer);

for (const [name, p] of Object.entries(fixture.prompts)) {
  test(`${name}: ids, experts, logits and log-probability are those of transformers`, async () => {
    const input = typeof p.input === "string" ? p.input : { messages: p.input };
    const said = (await m.run(input)).tokens.toArray().map((t) => t.id);
    // What is run is not answered: a conversation may lack the header of the answer.
    assert.deepEqual(said, p.ids.slice(0, said.length));
    assert.ok(p.ids.length - said.length <= (typeof p.input === "string" ? 0 : 4));
    const r = await m.run({ ids: p.ids }, { capture: [at.logits, at.layers("*").router.choice] });
    assert.equal(p.experts.length, m.layers.length);
    p.experts.forEach((chosen, layer) => {
      assert.deepEqual(Array.from(r.get(at.layer(layer).router.choice).data), chosen, `layer ${layer}`);
    });
    const logits = r.get(at.logits);
    const vocab = logits.shape[1];
    let compared = 0;
    for (const [place, text] of Object.entries(p.logits)) {
      const truth = floats(text);
      const scale = truth.reduce((top, v) => Math.max(top, Math.abs(v)), 0);
      assert.ok(scale > 5, "a row of the fixture holds no logits");
      const gap = truth.reduce((g, v, i) => Math.max(g, Math.abs(v - logits.data[Number(place) * vocab + i])), 0);
      assert.ok(gap <= 1e-5 * scale, `place ${place}: ${gap} of ${scale}`);
      compared++;
    }
    assert.ok(compared > 0);
    const logprob = r.tokens.toArray().reduce((sum, t) => sum + (t.pos > 0 ? t.logprob : 0), 0);
    assert.ok(Math.abs(logprob - p.logprob) <= 1e-4 * Math.abs(p.logprob), `${logprob}, ${p.logprob}`);
  });
}

test("it completes a fact, answers a sum, and writes code that is closed", async () => {
  assert.equal((await m.generate("The capital of France is", { maxTokens: 2 })).reply, " Paris.");
  assert.match((await m.chat([{ role: "user", content: "2+2?" }])).reply, /4\.?$/);
  const code = (await m.generate("export function", { maxTokens: 120, stop: "\n\n" })).reply;
  assert.match(code, /^ \w+\(.*\): \w+ \{\n[\s\S]*\n\}$/);
});
