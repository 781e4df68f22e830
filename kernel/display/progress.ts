/** Progress as one output that replaces itself. What is quick shows nothing, so that notebooks stay tidy. */
import type { MimeBundle } from "./mime.ts";

export interface Progress {
  id: string;
  label: string;
  done: number;
  total?: number;
}

/** A bar appears only for what takes longer than this. */
const QUIET_MS = 400;
const INTERVAL_MS = 100;
const CELLS = 24;

const PREFIX = "progress-";

/** Is a display of this id a progress bar, of which only the present state matters? */
export const isProgress = (id: string): boolean => id.startsWith(PREFIX);

interface Bar {
  started: number;
  shown: boolean;
  last: number;
}

export class ProgressBars {
  readonly #bars = new Map<string, Bar>();
  readonly #show: (id: string, bundle: MimeBundle, update: boolean) => void;
  readonly #now: () => number;

  constructor(
    show: (id: string, bundle: MimeBundle, update: boolean) => void,
    now: () => number = () => performance.now(),
  ) {
    this.#show = show;
    this.#now = now;
  }

  report(p: Progress): void {
    const now = this.#now();
    let bar = this.#bars.get(p.id);
    if (!bar) this.#bars.set(p.id, (bar = { started: now, shown: false, last: 0 }));
    const ended = p.total !== undefined && p.done >= p.total;
    if (ended) this.#bars.delete(p.id);
    const due = bar.shown ? now - bar.last >= INTERVAL_MS : now - bar.started >= QUIET_MS;
    if (!due && !(ended && bar.shown)) return;
    if (ended && !bar.shown) return;
    this.#show(PREFIX + p.id, ended ? finished(p, now - bar.started) : running(p), bar.shown);
    bar.shown = true;
    bar.last = now;
  }
}

function running({ label, done, total }: Progress): MimeBundle {
  if (total === undefined) return { "text/plain": `${label} ${count(done)}` };
  const share = total > 0 ? Math.min(1, Math.max(0, done / total)) : 0;
  const full = Math.round(share * CELLS);
  return {
    "text/plain": `${label} ${"█".repeat(full)}${"░".repeat(CELLS - full)} ${Math.floor(share * 100)} % (${count(done)} of ${count(total)})`,
  };
}

const finished = ({ label }: Progress, ms: number): MimeBundle => ({
  "text/plain": `${label}: done in ${(ms / 1000).toFixed(1)} s`,
});

const count = (n: number): string => (Number.isInteger(n) ? n.toLocaleString("en") : n.toPrecision(3));
