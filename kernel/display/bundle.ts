/** Any value to a MIME bundle: what it says of itself through `Symbol.for("Jupyter.display")`, else readable text. */
import type { MimeBundle } from "./mime.ts";
import { plainText } from "./text.ts";

export const DISPLAY = Symbol.for("Jupyter.display");

/** A value's own display method failed, or gave something that is no MIME bundle. */
export class DisplayError extends TypeError {
  override name = "DisplayError";
}

export function toBundle(value: unknown): MimeBundle | Promise<MimeBundle> {
  const method = displayMethod(value);
  if (!method) return { "text/plain": plainText(value) };
  const own = method.call(value) as unknown;
  return isPromise(own) ? own.then((bundle) => checked(bundle, value)) : checked(own, value);
}

export const hasDisplay = (value: unknown): boolean => displayMethod(value) !== null;

function displayMethod(value: unknown): ((this: unknown) => unknown) | null {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return null;
  const method = (value as { [DISPLAY]?: unknown })[DISPLAY];
  return typeof method === "function" ? (method as () => unknown) : null;
}

const isPromise = (value: unknown): value is Promise<unknown> =>
  typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";

function checked(bundle: unknown, value: unknown): MimeBundle {
  if (typeof bundle !== "object" || bundle === null || Array.isArray(bundle)) {
    throw new DisplayError(
      `[Symbol.for("Jupyter.display")]() must return an object of MIME type to content; it returned ${plainText(bundle)}.`,
    );
  }
  const clean: MimeBundle = {};
  for (const [type, content] of Object.entries(bundle)) {
    if (!type.includes("/"))
      throw new DisplayError(`"${type}" is no MIME type. A display is an object such as { "text/plain": "…" }.`);
    if (content !== undefined && content !== null) clean[type] = transferable(content);
  }
  // Front ends without a renderer for the rest must find something.
  if (!("text/plain" in clean)) clean["text/plain"] = nameOf(value);
  return clean;
}

/** Bytes as base64; of the rest what JSON keeps, so that it can cross to the front end. */
function transferable(content: unknown): unknown {
  if (typeof content === "string") return content;
  if (content instanceof Uint8Array)
    return Buffer.from(content.buffer, content.byteOffset, content.byteLength).toString("base64");
  return JSON.parse(JSON.stringify(content) ?? "null");
}

const nameOf = (value: unknown): string => `[${(value as object).constructor?.name ?? "object"}]`;
