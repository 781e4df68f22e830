/**
 * Writes the corpus as JSON lines, or tasks with one right answer:
 *   node corpus.mjs --seed 1 --megabytes 10 [--domain needle] > corpus.jsonl
 *   node corpus.mjs --seed 1 --tasks 100 > tasks.jsonl
 */
import { once } from "node:events";
import { parseArgs } from "node:util";
import { documents } from "./corpus/index.mjs";
import { tasks } from "./corpus/tasks.mjs";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    megabytes: { type: "string", default: "10" },
    domain: { type: "string" },
    tasks: { type: "string" },
  },
});
const limit = values.tasks ? Number.POSITIVE_INFINITY : Number(values.megabytes) * 1e6;
const source = values.tasks ? tasks(values.seed, Number(values.tasks)) : documents(values.seed, values.domain);
let written = 0;
let block = "";
for (const d of source) {
  block += `${JSON.stringify(d)}\n`;
  if (block.length < 1 << 20) continue;
  written += Buffer.byteLength(block);
  if (!process.stdout.write(block)) await once(process.stdout, "drain");
  block = "";
  if (written >= limit) break;
}
process.stdout.write(block);
