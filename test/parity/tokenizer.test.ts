import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { Tokenizer } from "../../engine/text/tokenizer.ts";
import { HERE, sha256 } from "./checkpoint.ts";

/** What Python `tokenizers` makes of 500 fuzzed strings; offsets are from, to, from, to, … in UTF-16 units. */
type Line = [text: string, ids: number[], offsets: number[], withControlTokens?: number[]];

const SETS = [
  ["a small BPE with Llama 4's split pattern", `${HERE}/fixtures/tokenizer/tokenizer.json`, "fuzz.json"],
  ["tiny-scout", "notebooks/models/tiny-scout/tokenizer.json", "fuzz-tiny-scout.json"],
];

for (const [what, path, file] of SETS) {
  describe(`tokenizer: ${what}`, () => {
    const { lines, ...set }: { sha256: string; lines: Line[] } = JSON.parse(
      readFileSync(`${HERE}/fixtures/tokenizer/${file}`, "utf8"),
    );
    const tokenizer = () => {
      assert.equal(sha256(path), set.sha256, `${path} is not the one that ${file} was made from; make it again`);
      return new Tokenizer(JSON.parse(readFileSync(path, "utf8")));
    };

    test(`ids of ${lines.length} fuzzed strings equal those of Python; what looks like a control token is text`, () => {
      const t = tokenizer();
      for (const [text, ids] of lines) assert.deepEqual(t.encode(text), ids, JSON.stringify(text));
    });

    test("ids equal those of Python where control tokens are read", () => {
      const t = tokenizer();
      assert.ok(lines.some((l) => l[3]));
      for (const [text, ids, , read] of lines) {
        assert.deepEqual(t.encode(text, { special: true }), read ?? ids, JSON.stringify(text));
      }
    });

    test("offsets equal those of Python", () => {
      const t = tokenizer();
      for (const [text, , offsets] of lines) assert.deepEqual(t.offsets(text)?.flat(), offsets, JSON.stringify(text));
    });

    test("decoding gives the text back", () => {
      const t = tokenizer();
      for (const [text, ids] of lines) assert.equal(t.decode(ids), text);
    });
  });
}
