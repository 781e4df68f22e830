/** The kernel beside ipykernel, Deno's kernel and tslab: start, round trip, output flood, interrupt, memory. */
import { keep, type Line, median, table, verdict } from "../report.ts";
import { Client } from "./client.ts";
import { type Peer, peers } from "./peers.ts";

const STARTS = 7;
const CELLS = 200;
const INTERRUPTS = 7;
const LINES = 20_000;
/** A kernel that has not answered by then has lost the cell. */
const PATIENCE_MS = 8_000;

interface Result {
  startMs: number;
  roundTripMs: number;
  floodMs: number;
  floodLines: number;
  interruptMs: number;
  stateKept: boolean;
  memoryMiB: number;
}

const patient = <T>(work: Promise<T>): Promise<T | null> =>
  Promise.race([work, new Promise<null>((done) => setTimeout(() => done(null), PATIENCE_MS).unref())]);

async function measure(peer: Peer): Promise<Result> {
  const starts: number[] = [];
  for (let i = 0; i < STARTS; i++) {
    const client = await Client.start(peer);
    starts.push(client.startMs);
    await client.stop();
  }

  let client = await Client.start(peer);
  const trips: number[] = [];
  for (let i = 0; i < 10 + CELLS; i++) {
    const outcome = await patient(client.execute(peer.cells.trivial));
    // A kernel that loses messages (tslab) never ends a cell: what came until then is what is told.
    if (!outcome) break;
    if (i >= 10) trips.push(outcome.ms);
  }
  const memoryMiB = client.memoryMiB();

  await patient(client.execute(peer.cells.set));
  const stops: number[] = [];
  for (let i = 0; i < INTERRUPTS; i++) {
    const cell = client.execute(peer.cells.loop);
    await new Promise((done) => setTimeout(done, 150));
    const begin = performance.now();
    client.interrupt();
    if (!(await patient(cell))) break;
    stops.push(performance.now() - begin);
  }
  const kept = stops.length === INTERRUPTS ? await patient(client.execute(peer.cells.get)) : null;
  await client.stop();

  client = await Client.start(peer);
  // The first cell of a session waits for more than its output.
  await patient(client.execute(peer.cells.set));
  const flood = await patient(client.execute(peer.cells.flood));
  const floodLines = flood ? flood.stdout.split("\n").length - 1 : 0;
  await client.stop();
  return {
    startMs: median(starts),
    roundTripMs: trips.length ? median(trips) : Number.POSITIVE_INFINITY,
    floodMs: flood?.ms ?? Number.POSITIVE_INFINITY,
    floodLines,
    interruptMs: stops.length ? median(stops) : Number.POSITIVE_INFINITY,
    stateKept: kept?.stdout.trim() === "42",
    memoryMiB,
  };
}

const results: Record<string, Result> = {};
for (const peer of peers()) {
  process.stderr.write(`bench: ${peer.name}\n`);
  results[peer.name] = await measure(peer);
}

const ms = (value: number) => (Number.isFinite(value) ? `${value.toFixed(value < 10 ? 2 : 0)} ms` : "never");
console.log(
  `\nkernel: medians of ${STARTS} starts, ${CELLS} cells \`1 + 1\`, ${INTERRUPTS} interrupts of an endless loop; ${LINES} printed lines; memory (PSS) after the cells\n`,
);
console.log(
  table([
    ["", "start", "round trip", "20,000 lines", "delivered", "interrupt", "state kept", "memory"],
    ...Object.entries(results).map(([name, r]) => [
      name,
      ms(r.startMs),
      ms(r.roundTripMs),
      ms(r.floodMs),
      String(r.floodLines),
      ms(r.interruptMs),
      r.stateKept ? "yes" : "no",
      `${r.memoryMiB.toFixed(0)} MiB`,
    ]),
  ]),
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
console.log(`kept in ${keep("kernel", { results, lines })}`);
process.exit(0);
