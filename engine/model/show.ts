import { architectureBundle, architectureText } from "../display/architecture.ts";
import type { Edit } from "../edits/edit.ts";
import type { MimeBundle } from "../host.ts";
import type { ModelFacts } from "../run/captured.ts";

/** What a model shows of itself. */
export interface Shown {
  readonly facts: ModelFacts;
  readonly tied: boolean;
  readonly device: string;
  /** Bytes of weights; null after `dispose`. */
  readonly weights: number | null;
  readonly edits: readonly Edit[];
  readonly warnings: readonly string[];
}

const loaded = (m: Shown) => ({ device: m.device, bytes: m.weights ?? undefined, tied: m.tied });

/** The architecture as a strip of layers, then edits and warnings. */
export function modelText(m: Shown): string {
  const more = [...m.edits.map((e) => `edit: ${e}`), ...m.warnings.map((w) => `note: ${w}`)];
  if (m.weights === null) more.push("disposed");
  return [architectureText(m.facts, loaded(m)), ...(more.length ? ["", ...more] : [])].join("\n");
}

/** The picture, unless edits or warnings must be read: it has no room for them. */
export function modelBundle(m: Shown): MimeBundle {
  return m.edits.length || m.warnings.length ? {} : architectureBundle(m.facts, loaded(m));
}
