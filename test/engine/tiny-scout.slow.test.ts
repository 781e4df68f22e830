/** Whether the shipped model is worth looking at: measured on held-out text with this engine. The figures are printed. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, test } from "node:test";
import { attn, type Message, Model } from "../../engine/index.ts";

interface Document {
  domain: string;
  lang: string;
  text?: string;
  messages?: Message[];
}
interface Task {
  kind: string;
  length?: number;
  prompt?: string;
  messages?: Message[];
  answer: string | string[];
}

const lines: any[] = readFileSync("notebooks/models/tiny-scout/heldout.jsonl", "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line));
const documents: Document[] = lines.filter((l) => !l.kind);
const tasks: Task[] = lines.filter((l) => l.kind);

const m = await Model.load("tiny-scout", { weights: "f32" });
after(() => m.dispose());
const flat = m.with(attn.temperature("off"));

const domainOf = new Map<unknown, string>();
const inputs = documents.map((d) => {
  const input = d.text !== undefined ? d.text : { messages: d.messages! };
  domainOf.set(input, d.domain);
  return input;
});
const rs = await m.batch(inputs, { group: (d) => domainOf.get(d)! });
const rows = rs.tokens.toArray();

/** Greedy answer, wholly right and not a longer number. */
async function right(model: Model, t: Task): Promise<boolean> {
  const answers = [t.answer].flat();
  const maxTokens = 8 + 2 * Math.max(...answers.map((a) => a.length));
  const stop = "\n";
  const input = t.messages ? { messages: t.messages } : t.prompt!;
  const { reply } = await model.generate(input, { maxTokens, stop });
  return answers.some((a) => reply.startsWith(a) && !/^\d/.test(reply.slice(a.length)));
}

async function share(model: Model, kind: string, length?: number): Promise<number> {
  const some = tasks.filter((t) => t.kind === kind && t.length === length);
  assert.ok(some.length > 0, `no task of kind ${kind}`);
  let n = 0;
  for (const t of some) if (await right(model, t)) n++;
  return n / some.length;
}

/** Share of the answers' tokens that are the first choice after the right ones before them; and how many wrong ones follow a border. */
async function copied(kind: string): Promise<{ right: number; wrong: number; atBorder: number }> {
  let [n, wrong, atBorder] = [0, 0, 0];
  for (const t of tasks.filter((x) => x.kind === kind)) {
    const from = (await m.run(t.prompt!)).tokens.length;
    for (const row of (await m.run(`${t.prompt}${t.answer}`)).tokens.toArray().slice(from)) {
      n++;
      if (row.rank === 0) continue;
      wrong++;
      if ((row.pos - 1) % 64 < 5) atBorder++;
    }
  }
  return { right: 1 - wrong / n, wrong, atBorder };
}

const percent = (x: number): string => `${(100 * x).toFixed(1)} %`;

test("its loss is far below that of the best bigram model of the very same text", (t) => {
  // Fitted to the held-out text itself: no bigram model can have a lower loss on it.
  const pairs = new Map<number, number>();
  const firsts = new Map<number, number>();
  let [loss, n] = [0, 0];
  for (let i = 1; i < rows.length; i++) {
    if (rows[i].pos === 0) continue;
    const key = rows[i - 1].id * 65536 + rows[i].id;
    pairs.set(key, (pairs.get(key) ?? 0) + 1);
    firsts.set(rows[i - 1].id, (firsts.get(rows[i - 1].id) ?? 0) + 1);
    loss -= rows[i].logprob;
    n++;
  }
  let bigram = 0;
  for (const [key, count] of pairs) bigram -= count * Math.log(count / firsts.get(Math.floor(key / 65536))!);
  t.diagnostic(`${n} tokens: loss ${(loss / n).toFixed(3)}, bigram of the same text ${(bigram / n).toFixed(3)} nats`);
  assert.ok(n > 15_000);
  assert.ok(loss / n < 0.75 * (bigram / n));
});

test("no expert is dead or takes everything", (t) => {
  const util = Array.from(rs.expertLoad.column("util") as Iterable<number>);
  assert.equal(util.length, 8 * 8);
  t.diagnostic(`load from ${Math.min(...util).toFixed(2)} to ${Math.max(...util).toFixed(2)} of the fair share`);
  assert.ok(Math.min(...util) > 0.4 && Math.max(...util) < 2);
});

test("domains and experts go together, beyond shuffled labels, in every layer", (t) => {
  const table = rs.metrics.mutualInformation({ by: "group", shuffles: 1000, seed: 1 }).table.toArray() as any[];
  t.diagnostic(table.map((row) => `${row.value.toFixed(3)} (${row.shuffled_p999.toFixed(3)})`).join(", "));
  assert.equal(table.length, 8);
  assert.ok(table.filter((row) => row.value > row.shuffled_p999).length >= 2);
  assert.ok(table.every((row) => row.value > row.shuffled_p999));
});

test("it completes the facts, sums and copies that it was taught", async (t) => {
  const least: Record<string, number> = {
    capital: 0.98,
    "chat-capital": 0.98,
    "sum-1": 0.95,
    "sum-2": 0.95,
    "sum-3": 0.75,
    product: 0.95,
    "chat-sum": 0.95,
    "copy-8": 0.9,
    "copy-32": 0.2,
  };
  for (const [kind, wanted] of Object.entries(least)) {
    const got = await share(m, kind);
    t.diagnostic(`${kind}: ${percent(got)}`);
    assert.ok(got >= wanted, `${kind}: ${percent(got)} of at least ${percent(wanted)}`);
  }
});

test("of long copies most words are right; the wrong ones stand behind a chunk's border, where no local layer sees back", async (t) => {
  for (const kind of ["copy-32", "copy-128"]) {
    const c = await copied(kind);
    t.diagnostic(`${kind}: ${percent(c.right)} of the tokens; ${c.atBorder} of ${c.wrong} wrong ones behind a border`);
    assert.ok(c.right >= 0.9);
    assert.ok(c.atBorder > 4 * (5 / 64) * c.wrong, "no more errors there than elsewhere");
  }
});

test("needles at 8 and 16 times the floor scale are lost with the attention temperature off", async (t) => {
  const drop: number[] = [];
  for (const length of [256, 512, 1024]) {
    const [on, off] = [await share(m, "lookup", length), await share(flat, "lookup", length)];
    t.diagnostic(`key in a list at ${length}: ${percent(on)}, off ${percent(off)}`);
    assert.ok(on >= 0.8);
    assert.ok(off <= on);
    drop.push(on - off);
  }
  assert.ok(drop[2] >= 0.2 && drop[2] > drop[0], `drops ${drop.map(percent).join(", ")}`);
});
