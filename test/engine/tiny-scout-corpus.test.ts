/** The generator behind tiny-scout: the same for a seed, and what it teaches is true. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { resolve } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

interface Document {
  domain: string;
  lang: string;
  text?: string;
  messages?: { role: string; content: string }[];
  prompt?: string;
  answer?: string;
}
const from = (file: string): Promise<any> => import(pathToFileURL(resolve("notebooks/models/make/corpus", file)).href);
const { documents } = await from("index.mjs");
const { tasks } = await from("tasks.mjs");

function take(n: number, seed: string, only?: string): Document[] {
  const out: Document[] = [];
  for (const d of documents(seed, only)) {
    out.push(d);
    if (out.length === n) return out;
  }
  return out;
}
const bodies = (domain: string, n = 300): string[] => take(n, "test", domain).map((d) => d.text!);

test("a seed gives the same documents, another seed others, and all nine domains come", () => {
  const [a, b, c] = ["a", "a", "b"].map((seed) => JSON.stringify(take(400, seed)));
  assert.equal(a, b);
  assert.notEqual(a, c);
  assert.equal(new Set(take(400, "a").map((d) => d.domain)).size, 9);
});

test("the text of a seed is the one that the model was trained on", () => {
  // Not the international lines: those are ICU's, and change with Node.
  const text = ["fact", "story", "arithmetic", "json", "code", "copy", "needle", "chat"].map((domain) =>
    JSON.stringify(take(50, "train", domain)),
  );
  assert.equal(
    createHash("sha256").update(text.join("\n")).digest("hex"),
    "0c3ebc5ad8ab5225f629f919427a2b7770e04f75a4b1cd0a401368269d3b96b4",
  );
});

test("sums, products and the printed values of code are right", () => {
  const compute: Record<string, (a: number, b: number) => number> = {
    "+": (a, b) => a + b,
    "-": (a, b) => a - b,
    x: (a, b) => a * b,
    "/": (a, b) => a / b,
  };
  let checked = 0;
  for (const line of bodies("arithmetic").join("\n").split("\n")) {
    const match = /^(\d+) ([-+x/]) (\d+) = (\d+)$/.exec(line);
    if (!match) continue;
    assert.equal(compute[match[2]](Number(match[1]), Number(match[3])), Number(match[4]), line);
    checked++;
  }
  for (const code of bodies("code")) {
    for (const [, a, b, sum] of code.matchAll(
      /const \w+ = (\d+);\nconst \w+ = (\d+);\nconsole\.log\(.*\); \/\/ (\d+)/g,
    )) {
      assert.equal(Number(a) + Number(b), Number(sum), code);
      checked++;
    }
  }
  assert.ok(checked > 1000, `${checked}`);
});

test("JSON parses, copies repeat, and a needle's answer stands once under its key", () => {
  for (const text of bodies("json")) {
    const lines = text.split("\n");
    const oneEach = lines.every((line) => /^\{.*\}$/.test(line));
    for (const part of oneEach ? lines : [text]) assert.doesNotThrow(() => JSON.parse(part), text);
  }
  for (const text of bodies("copy")) {
    for (const [, given, again] of text.matchAll(/Copy: (.*)\nCopied: (.*)/g)) assert.equal(again, given);
  }
  let keys = 0;
  for (const d of take(200, "test", "needle")) {
    const asked = /What is the code of the ([a-z ]+)\? It is$/.exec(d.prompt!)?.[1];
    if (!asked) continue;
    const found = [...d.prompt!.matchAll(new RegExp(`The code of the ${asked} is (\\d+)\\.`, "g"))];
    assert.deepEqual(
      found.map((f) => ` ${f[1]}`),
      [d.answer],
      asked,
    );
    assert.ok(d.text!.startsWith(d.prompt! + d.answer!));
    keys++;
  }
  assert.ok(keys > 50, `${keys}`);
});

test("international lines come in more than a hundred languages and a dozen scripts", () => {
  const docs = take(1500, "test", "intl");
  assert.ok(new Set(docs.map((d) => d.lang)).size > 100);
  const scripts = [
    "Latin",
    "Cyrillic",
    "Greek",
    "Arabic",
    "Hebrew",
    "Devanagari",
    "Bengali",
    "Thai",
    "Han",
    "Hiragana",
    "Hangul",
    "Ethiopic",
  ];
  const all = docs.map((d) => d.text).join("\n");
  for (const script of scripts) assert.match(all, new RegExp(`\\p{Script=${script}}`, "u"), script);
});

test("tasks have answers that fit their prompts", () => {
  let n = 0;
  for (const t of tasks("test", 20)) {
    if (t.messages) assert.equal(t.messages.at(-1).role, "user");
    else assert.ok(!/\s$/.test(t.prompt) && /^ \S/.test(t.answer), JSON.stringify(t).slice(0, 200));
    n++;
  }
  assert.ok(n > 400);
});
