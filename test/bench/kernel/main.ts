/** The kernel beside ipykernel, Deno's kernel and tslab: start, round trip, output flood, interrupt, memory. What is compared takes turns, so that a busy machine hits all alike. */
import { spawnSync } from "node:child_process";
import { keep, type Line, median, table, verdict } from "../report.ts";
import { Client } from "./client.ts";
import { denoBinary, type Peer, peers } from "./peers.ts";

const STARTS = 15;
const CELLS = 200;
const WARM_CELLS = 20;
const INTERRUPTS = 7;
const FLOODS = 5;
const LINES = 20_000;
/** A kernel that has not answered by then has lost the cell. */
const PATIENCE_MS = 8_000;

interface Result {
  startMs: number;
  startLeastMs: number;
  roundTripMs: number;
  roundTripLeastMs: number;
  floodMs: number;
  floodLines: number;
  interruptMs: number;
  stateKept: boolean;
  memoryMiB: number;
}

const patient = <T>(work: Promise<T>): Promise<T | null> =>
  Promise.race([work, new Promise<null>((done) => setTimeout(() => done(null), PATIENCE_MS).unref())]);

const least = (values: readonly number[]): number => Math.min(...values);
const of = (values: readonly number[], what: (values: readonly number[]) => number): number =>
  values.length ? what(values) : Number.POSITIVE_INFINITY;

/** One round of each in turn. Who fails in a round is left out of the rest. */
async function inTurn(
  all: readonly Peer[],
  rounds: number,
  measure: (peer: Peer, round: number) => Promise<number | null>,
): Promise<Map<Peer, number[]>> {
  const figures = new Map(all.map((peer) => [peer, [] as number[]]));
  const failed = new Set<Peer>();
  for (let round = 0; round < rounds; round++) {
    for (const peer of all) {
      if (failed.has(peer)) continue;
      const figure = await measure(peer, round);
      if (figure === null) failed.add(peer);
      else figures.get(peer)!.push(figure);
    }
  }
  return figures;
}

/** What the operating system and the runtime take before any kernel can begin. */
function floor(command: string, args: string[]): number {
  const begin = performance.now();
  spawnSync(command, args);
  return performance.now() - begin;
}

const say = (text: string): void => void process.stderr.write(`bench: ${text}\n`);

const all = peers();
const deno = all.find(({ name }) => name === "deno") ? denoBinary() : null;

say("starts");
const floors = { node: [] as number[], deno: [] as number[] };
const starts = await inTurn(all, STARTS, async (peer) => {
  if (peer === all[0]) {
    floors.node.push(floor(process.execPath, ["-e", "0"]));
    if (deno) floors.deno.push(floor(deno, ["--version"]));
  }
  const client = await Client.start(peer);
  await client.stop();
  return client.startMs;
});

say("cells");
const clients = new Map<Peer, Client>();
for (const peer of all) clients.set(peer, await Client.start(peer));
// Some kernels still load things in the background.
await new Promise((done) => setTimeout(done, 2000));
const trips = await inTurn(all, WARM_CELLS + CELLS, async (peer, round) => {
  const outcome = await patient(clients.get(peer)!.execute(peer.cells.trivial));
  // A kernel that loses messages (tslab) never ends a cell: what came until then is what is told.
  return round < WARM_CELLS && outcome ? Number.NaN : (outcome?.ms ?? null);
});
for (const [peer, figures] of trips)
  trips.set(
    peer,
    figures.filter((ms) => !Number.isNaN(ms)),
  );
for (const client of clients.values()) await client.stop();

say("interrupts and memory");
const memory = new Map<Peer, number>();
const stops = new Map<Peer, number[]>();
const kept = new Map<Peer, boolean>();
for (const peer of all) {
  // Alone: what two kernels share would count half.
  const client = await Client.start(peer);
  for (let i = 0; i < WARM_CELLS; i++) if (!(await patient(client.execute(peer.cells.trivial)))) break;
  memory.set(peer, client.memoryMiB());
  await patient(client.execute(peer.cells.set));
  const figures: number[] = [];
  for (let i = 0; i < INTERRUPTS; i++) {
    const cell = client.execute(peer.cells.loop);
    await new Promise((done) => setTimeout(done, 150));
    const begin = performance.now();
    client.interrupt();
    if (!(await patient(cell))) break;
    figures.push(performance.now() - begin);
  }
  stops.set(peer, figures);
  const outcome = figures.length === INTERRUPTS ? await patient(client.execute(peer.cells.get)) : null;
  kept.set(peer, outcome?.stdout.trim() === "42");
  await client.stop();
}

say("floods");
const delivered = new Map<Peer, number>(all.map((peer) => [peer, LINES]));
const floods = await inTurn(all, FLOODS, async (peer) => {
  const client = await Client.start(peer);
  // The first cell of a session waits for more than its output.
  await patient(client.execute(peer.cells.set));
  const flood = await patient(client.execute(peer.cells.flood));
  const lines = flood ? flood.stdout.split("\n").length - 1 : 0;
  delivered.set(peer, Math.min(delivered.get(peer)!, lines));
  await client.stop();
  return flood?.ms ?? null;
});

const results: Record<string, Result> = {};
for (const peer of all) {
  results[peer.name] = {
    startMs: of(starts.get(peer)!, median),
    startLeastMs: of(starts.get(peer)!, least),
    roundTripMs: of(trips.get(peer)!, median),
    roundTripLeastMs: of(trips.get(peer)!, least),
    floodMs: of(floods.get(peer)!, median),
    floodLines: delivered.get(peer)!,
    interruptMs: of(stops.get(peer)!, median),
    stateKept: kept.get(peer)!,
    memoryMiB: memory.get(peer)!,
  };
}
const floorMs = { node: of(floors.node, median), deno: of(floors.deno, median) };

const ms = (value: number) => (Number.isFinite(value) ? `${value.toFixed(value < 10 ? 2 : 0)} ms` : "never");
console.log(
  `\nkernel: medians of ${STARTS} starts, ${CELLS} cells \`1 + 1\`, ${INTERRUPTS} interrupts of an endless loop, ${FLOODS} floods of ${LINES} printed lines; the kernels took turns. Memory (PSS) after ${WARM_CELLS} cells. In brackets: the least.\n`,
);
console.log(
  table([
    ["", "start", "round trip", "20,000 lines", "delivered", "interrupt", "state kept", "memory"],
    ...Object.entries(results).map(([name, r]) => [
      name,
      `${ms(r.startMs)} (${ms(r.startLeastMs)})`,
      `${ms(r.roundTripMs)} (${ms(r.roundTripLeastMs)})`,
      ms(r.floodMs),
      String(r.floodLines),
      ms(r.interruptMs),
      r.stateKept ? "yes" : "no",
      `${r.memoryMiB.toFixed(0)} MiB`,
    ]),
  ]),
);
console.log(
  `\nfloor of a start: \`node -e 0\` ${ms(floorMs.node)}${deno ? `, \`deno --version\` ${ms(floorMs.deno)}` : ""}`,
);

const ours = results["moescope"];
const lines: Line[] = [];
for (const name of ["ipykernel", "deno"]) {
  const peer = results[name];
  if (!peer) continue;
  lines.push(
    {
      what: `start below ${name}'s`,
      figure: ms(ours.startMs),
      limit: ms(peer.startMs),
      met: ours.startMs < peer.startMs,
    },
    {
      what: `trivial cell below ${name}'s`,
      figure: ms(ours.roundTripMs),
      limit: ms(peer.roundTripMs),
      met: ours.roundTripMs < peer.roundTripMs,
    },
  );
}
lines.push({
  what: "printed lines delivered",
  figure: String(ours.floodLines),
  limit: String(LINES),
  met: ours.floodLines === LINES,
});
if (results["ipykernel"]) {
  const peer = results["ipykernel"];
  lines.push({
    what: "20,000 lines no slower than ipykernel",
    figure: ms(ours.floodMs),
    limit: ms(peer.floodMs),
    met: ours.floodMs <= peer.floodMs,
  });
}
console.log(`\n${verdict(lines)}\n`);
console.log(`kept in ${keep("kernel", { floorMs, results, lines })}`);
process.exit(0);
