import { ArgumentError } from "../errors.ts";
import { host } from "../host.ts";

/**
 * Shows a value now; the last value of a cell shows itself. With an `id`, showing again under the same id replaces it.
 *
 * ```ts
 * display(r.routing, { id: "routing" })
 * ```
 */
export function display(value: unknown, o: { readonly id?: string } = {}): void {
  if (o.id !== undefined && typeof o.id !== "string")
    throw new ArgumentError({ where: "display, id", what: "it is not a text", fix: 'For example { id: "routing" }' });
  host().display(value, o);
}
