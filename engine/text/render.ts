/** The worker that renders a chat template: one job a worker, so that its end is the end of everything the template did. */
import { parentPort, workerData } from "node:worker_threads";
import { Template } from "@huggingface/jinja";

interface Job {
  readonly template: string;
  readonly contexts: readonly Record<string, unknown>[];
}

const { template, contexts } = workerData as Job;
const results: { text?: string; error?: string }[] = [];
try {
  const compiled = new Template(template);
  for (const context of contexts) {
    try {
      results.push({ text: compiled.render(context) });
    } catch (e) {
      results.push({ error: String((e as Error)?.message ?? e) });
    }
  }
} catch (e) {
  results.push({ error: `it is not valid Jinja (${String((e as Error)?.message ?? e)})` });
}
parentPort?.postMessage(results);
