/** Colours with one meaning each. Experts: Okabe & Ito's hues (2008), safe for colour-blind readers, their black (lost on dark pages)
 * replaced by Tol's wine; then lighter ones. */
const OKABE_ITO = ["#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#882255"];
const LIGHTER = ["#F5CF80", "#ABDAF4", "#80CFB9", "#F8F2A1", "#80B9D9", "#EAAF80", "#E6BCD3", "#C491AA"];

export const EXPERT_COLORS: readonly string[] = [...OKABE_ITO, ...LIGHTER];
/** Where there are more experts than hues, colour cannot name them. */
export const NAMEABLE = EXPERT_COLORS.length;
export const GREY = "#8a8f98";
export const REST = "#C9CDD4";
/** For series that are not experts. */
export const SERIES = { first: "#0072B2", second: "#D55E00", third: "#009E73" } as const;

/** Dark-to-light and around-zero ramps, sampled; values between are mixed linearly in sRGB. */
const RAMPS = {
  /** Nuñez, Anderton & Renslow 2018: perceptually even, readable in grey and by colour-blind readers. */
  cividis: [
    "#00224e",
    "#123570",
    "#3b496c",
    "#575d6d",
    "#707173",
    "#8a8678",
    "#a59c74",
    "#c3b369",
    "#e1cc55",
    "#fee838",
  ],
  /** Smith & van der Walt 2015. */
  viridis: [
    "#440154",
    "#482878",
    "#3e4989",
    "#31688e",
    "#26828e",
    "#1f9e89",
    "#35b779",
    "#6ece58",
    "#b5de2b",
    "#fde725",
  ],
  /** Blue below, red above, near-white between; after ColorBrewer's RdBu, ends kept apart in lightness from the middle only. */
  balance: [
    "#1d4f91",
    "#2f79b5",
    "#6aacd0",
    "#b0d2e6",
    "#e8eef2",
    "#f6f5f4",
    "#f9e8de",
    "#f5bb9b",
    "#e0805f",
    "#c2403b",
    "#8e1a2c",
  ],
} as const;

export type Ramp = keyof typeof RAMPS;

/** How numbers become colours. */
export type Scale =
  | {
      readonly kind: "ramp";
      readonly ramp: Ramp;
      readonly domain: readonly [number, number];
      readonly label: string;
      readonly ticks?: readonly { at: number; text: string }[];
    }
  | {
      readonly kind: "categories";
      readonly colors: readonly string[];
      readonly names: readonly string[];
      readonly label: string;
    };

export const rampColors = (ramp: Ramp): readonly string[] => RAMPS[ramp];

/** Colour of `v`; ends of the domain are clipped to. Categories take `v` as an index. NaN is null. */
export function colorOf(scale: Scale, v: number): string | null {
  const rgb = rgbOf(scale, v);
  return rgb && `#${rgb.map((c) => c.toString(16).padStart(2, "0")).join("")}`;
}

export function rgbOf(scale: Scale, v: number): [number, number, number] | null {
  if (Number.isNaN(v)) return null;
  if (scale.kind === "categories") return hex(scale.colors[Math.round(v)] ?? REST);
  const [lo, hi] = scale.domain;
  const stops = RAMPS[scale.ramp];
  const share = hi > lo ? Math.min(1, Math.max(0, (v - lo) / (hi - lo))) : 0.5;
  const at = share * (stops.length - 1);
  const i = Math.min(stops.length - 2, Math.floor(at));
  const [a, b, f] = [hex(stops[i]), hex(stops[i + 1]), at - i];
  return [0, 1, 2].map((c) => Math.round(a[c] + (b[c] - a[c]) * f)) as [number, number, number];
}

export const hex = (color: string): [number, number, number] =>
  [1, 3, 5].map((i) => Number.parseInt(color.slice(i, i + 2), 16)) as [number, number, number];

/** Black or white, whichever reads better on the colour (relative luminance, WCAG 2). */
export function inkOn(color: string): string {
  const [r, g, b] = hex(color).map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.3 ? "#1b1f24" : "#ffffff";
}

/** A see-through version. */
export function fade(color: string, opacity: number): string {
  const [r, g, b] = hex(color);
  return `rgba(${r},${g},${b},${opacity})`;
}

/** Experts by id: hues where there are few, one grey where there are more than hues. */
export const expertColors = (experts: number): readonly string[] =>
  experts <= NAMEABLE ? EXPERT_COLORS.slice(0, experts) : Array.from({ length: experts }, () => REST);

/** log2 of utilisation around the fair share, clipped at ±3. */
export const UTIL_SCALE: Scale = {
  kind: "ramp",
  ramp: "balance",
  domain: [-3, 3],
  label: "utilisation (1 = fair)",
  ticks: [
    { at: -3, text: "≤⅛" },
    { at: -2, text: "¼" },
    { at: -1, text: "½" },
    { at: 0, text: "1" },
    { at: 1, text: "2" },
    { at: 2, text: "4" },
    { at: 3, text: "≥8" },
  ],
};
