import { bytes, num, percent } from "../display/format.ts";
import { type Phase, type ProfileData, type ProfileRow, profileRows, type Verb } from "../tables/profile.ts";
import { GREY, SERIES } from "./color.ts";
import type { Figure, Panel } from "./figure.ts";
import { face } from "./font.ts";
import { TEXT } from "./layout.ts";
import { range } from "./load-map.ts";
import { figurePlot, type Plot } from "./plot.ts";
import { tokens } from "./scope.ts";

/** What `profile.plot` offers. */
export interface ProfilePlots {
  /** Where the time goes: each verb's share of its phase, and how near it came to the limit. */
  bars(): Plot;
}

export const profilePlots = (p: ProfileData): ProfilePlots => ({ bars: () => figurePlot(() => profileBars(p)) });

/** In the order in which a token passes them. */
const VERBS: readonly Verb[] = ["embed", "qkv", "attend", "out", "route_ffn", "ffn_down", "head", "sample"];
const REST = "between";
const COLORS: Readonly<Record<string, string>> = {
  qkv: SERIES.first,
  attend: SERIES.first,
  out: SERIES.first,
  route_ffn: SERIES.second,
  ffn_down: SERIES.second,
  embed: SERIES.third,
  head: SERIES.third,
  sample: SERIES.third,
  [REST]: GREY,
};

/** A bar a verb, phase beside phase. */
export function profileBars(p: ProfileData): Figure {
  const rows = profileRows(p);
  const names: readonly string[] = [...VERBS.filter((v) => rows.some((r) => r.verb === v)), REST];
  const gap = 0.03;
  const half = (1 - gap) / 2;
  // Both phases on one scale, so that a bar means the same in each.
  const bars = (["prefill", "decode"] as const).map((phase) => barsOf(p, rows, names, phase));
  const end = Math.max(...bars.map(withRoom));
  return {
    title: `Where the time of ${p.model} goes`,
    subtitle: `${p.weights} on ${p.device}; ${tokens(p.prefill.tokens)} read, ${p.decode.tokens} made, the middle one of ${p.repeat} runs`,
    width: WIDTH,
    height: names.length * 24,
    panels: [panel(p, names, bars[0], [0, half], end), panel(p, names, bars[1], [half + gap, 1], end)],
    legend: [
      { name: "attention", color: SERIES.first, form: "box" },
      { name: "feed-forward", color: SERIES.second, form: "box" },
      { name: "ends", color: SERIES.third, form: "box" },
      { name: "between the verbs", color: GREY, form: "box" },
    ],
    note: noteOf(p, rows),
  };
}

function noteOf(p: ProfileData, rows: readonly ProfileRow[]): string {
  if (!(p.limit > 0)) return "The rate of memory was not measured.";
  const cached = rows.some((r) => r.limit_share > 1.05) ? "; more than all of it means that caches served" : "";
  return `Of the limit: the bytes that must move at least in that time, as a share of ${limitText(p)}${cached}.${overlap(p)}`;
}

/** Said where the clock itself costs time. */
export const overlap = (p: ProfileData): string =>
  p.device === "cuda" ? " Profiled, a verb begins when the one before has ended; in a run they overlap." : "";

/** `the 12 GB/s that this machine reads` */
export const limitText = (p: ProfileData): string =>
  `the ${bytes(p.limit)}/s that ${p.device === "cuda" ? "the device" : "this machine"} reads`;

interface PhaseBars {
  readonly phase: Phase;
  /** % of the phase's time. */
  readonly values: Float32Array;
  readonly label: (i: number) => string;
  readonly hover: (i: number) => string;
}

function barsOf(p: ProfileData, rows: readonly ProfileRow[], names: readonly string[], phase: Phase): PhaseBars {
  const of = (name: string) => rows.find((r) => r.phase === phase && r.verb === name);
  const values = Float32Array.from(
    names,
    (name) => 100 * (name === REST ? p[phase].unaccounted : (of(name)?.share ?? 0)),
  );
  const time = (i: number) => msText((values[i] / 100) * p[phase].ms);
  return {
    phase,
    values,
    label: (i) => {
      const row = of(names[i]);
      if (!row) return names[i] === REST ? time(i) : "–";
      // Many rows share the bytes of a matrix: what bounds them is arithmetic.
      if (phase === "prefill" && row.flops > 0) return `${time(i)}, ${flopsText(row.tflops)}`;
      return row.limit_share > 0 ? `${time(i)}, ${limit(row.limit_share)} of limit` : time(i);
    },
    hover: (i) => {
      const row = of(names[i]);
      const work = row ? `, ${bytes(row.bytes)}, ${num(row.gbs, 3)} GB/s, ${num(row.tflops, 3)} TFLOP/s` : "";
      return `${names[i]}: ${time(i)}, ${num(values[i], 3)} % of ${phase}${work}`;
    },
  };
}

function panel(
  p: ProfileData,
  names: readonly string[],
  b: PhaseBars,
  x: readonly [number, number],
  end: number,
): Panel {
  const { tokensPerSecond, msPerToken } = p[b.phase];
  return {
    box: { x, y: [0, 1] },
    title: `${b.phase}: ${num(tokensPerSecond, 3)} tokens/s, ${msText(msPerToken)} a token`,
    x: { label: "% of the time", domain: [0, end], ticks: ticksTo(end), grid: true },
    // Read from the top, as a list is.
    y: {
      domain: [names.length - 0.5, -0.5],
      ticks: names.map((name, at) => ({ at, text: name })),
      bare: b.phase === "decode",
    },
    marks: [
      {
        mark: "bars",
        along: "x",
        at: range(names.length),
        length: b.values,
        color: names.map((name) => COLORS[name]),
        thickness: 0.72,
        name: b.phase,
        text: b.label,
        hover: b.hover,
      },
    ],
  };
}

export const msText = (ms: number): string => `${num(ms, ms < 1 ? 2 : 3)} ms`;
const flopsText = (tflops: number): string =>
  tflops >= 1 ? `${num(tflops, 3)} TFLOP/s` : `${num(1e3 * tflops, 3)} GFLOP/s`;
const limit = (share: number): string => percent(share, share < 0.0995 ? 1 : 0);

/** Round numbers up to 100. */
function ticksTo(end: number): { at: number; text: string }[] {
  const most = Math.min(100, end);
  const step = [2, 5, 10, 20].find((s) => most / s <= 6) ?? 25;
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, i) => ({ at: i * step, text: String(i * step) }));
}

/** An end of the axis that leaves every bar's text within the panel. */
function withRoom(b: PhaseBars): number {
  const panel = WIDTH / 2 - 60;
  const ends = Array.from(b.values, (v, i) => {
    const share = (face("regular").width(b.label(i)) * TEXT.tick + 12) / panel;
    return v / Math.max(0.2, 1 - share);
  });
  return Math.max(...ends, 1);
}

const WIDTH = 860;
