import { count, num, padEnd, padStart, percent } from "../display/format.ts";
import { shows } from "../display/show.ts";
import { limitText, msText, overlap, type ProfilePlots, profilePlots } from "../plots/profile-bars.ts";
import { type Phase, type PhaseTime, type ProfileData, type ProfileRow, profileTable } from "../tables/profile.ts";
import type { Table } from "../tables/table.ts";

/**
 * Where the time of a run goes, verb by verb, beside the rate of memory that was measured right after it.
 *
 * ```ts
 * const p = await m.profile("The capital of France is");
 * p.table.sort("ms", "desc"); p.plot.bars(); p.decode.tokensPerSecond
 * ```
 */
export class Profile {
  /** @internal */
  readonly data: ProfileData;
  readonly #table: Table<ProfileRow>;

  /** @internal */
  constructor(data: ProfileData) {
    this.data = data;
    this.#table = profileTable(data);
  }

  /** Reading the input: ms, ms a token, tokens a second, the share of the time outside of the verbs. */
  get prefill(): PhaseTime {
    return this.data.prefill;
  }

  /** Making tokens, one after the other. */
  get decode(): PhaseTime {
    return this.data.decode;
  }

  /** GB/s that are read from memory, the device's or this machine's. NaN: there was no room to measure it. */
  get limit(): number {
    return this.data.limit > 0 ? this.data.limit / 1e9 : Number.NaN;
  }

  /** One row a phase and verb: calls, ms, bytes, flops, GB/s, TFLOP/s, share of the phase's time, share of the limit. */
  get table(): Table<ProfileRow> {
    return this.#table;
  }

  get plot(): ProfilePlots {
    return profilePlots(this.data);
  }

  static {
    shows(Profile, { text: (p) => profileText(p.data, p.table.toArray()) });
  }
}

const HEAD = ["verb", "calls", "ms", "share", "GB/s", "of limit", "TFLOP/s"];

function profileText(p: ProfileData, rows: readonly ProfileRow[]): string {
  const cells = (phase: Phase): string[][] => [
    ...rows
      .filter((r) => r.phase === phase)
      .map((r) => [
        r.verb,
        count(r.calls),
        num(r.ms, 3),
        percent(r.share),
        num(r.gbs, 3),
        Number.isNaN(r.limit_share) ? "" : percent(r.limit_share),
        r.flops > 0 ? num(r.tflops, 3) : "",
      ]),
    ["between", "", num(p[phase].unaccounted * p[phase].ms, 3), percent(p[phase].unaccounted), "", "", ""],
  ];
  const blocks = (["prefill", "decode"] as const).map((phase) => ({ phase, cells: cells(phase) }));
  const all = [HEAD, ...blocks.flatMap((b) => b.cells)];
  const widths = HEAD.map((_, i) => Math.max(...all.map((row) => row[i].length)));
  const line = (row: readonly string[]) =>
    `  ${row.map((cell, i) => (i === 0 ? padEnd(cell, widths[i]) : padStart(cell, widths[i]))).join("  ")}`.trimEnd();
  return [
    `${p.model} · ${p.weights} on ${p.device} · the middle one of ${p.repeat} runs`,
    ...blocks.flatMap((b) => ["", sumLine(b.phase, p[b.phase]), line(HEAD), ...b.cells.map(line)]),
    "",
    p.limit > 0 ? `limit: ${limitText(p)}.${overlap(p)}` : "limit: not measured",
  ].join("\n");
}

const sumLine = (phase: Phase, t: PhaseTime): string =>
  `${phase}: ${count(t.tokens)} tokens in ${msText(t.ms)}, ${msText(t.msPerToken)} a token, ${num(t.tokensPerSecond, 3)} tokens/s, ${percent(t.unaccounted)} outside of the verbs`;
