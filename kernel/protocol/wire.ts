/** Messages to frames and back: identities, the delimiter, the signature, four JSON parts, buffers. */
import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from "node:crypto";
import type { Header, Message } from "./message.ts";

const DELIMITER = Buffer.from("<IDS|MSG>");
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const EMPTY = json({});

/** Frames that are no message: too few, a wrong signature, not JSON. Such a message is dropped, never answered. */
export class WireError extends Error {
  override name = "WireError";
}

export class Wire {
  readonly #key: KeyObject | null;
  readonly #algorithm: string;
  #lastParent: object = {};
  #lastParentJson = EMPTY;
  /** Signatures seen: a replayed message is dropped. Bounded. */
  readonly #seen = new Set<string>();

  /** An empty key signs nothing and believes everything. */
  constructor(key: string, scheme = "hmac-sha256") {
    this.#key = key ? createSecretKey(key, "utf8") : null;
    this.#algorithm = scheme.replace(/^hmac-/, "");
  }

  encode(message: Message): Uint8Array[] {
    const parts = [
      json(message.header),
      this.#parent(message.parent),
      Object.keys(message.metadata).length ? json(message.metadata) : EMPTY,
      json(message.content),
    ];
    return [...message.identities, DELIMITER, Buffer.from(this.#sign(parts)), ...parts, ...message.buffers];
  }

  decode(frames: readonly Uint8Array[]): Message<any> {
    const at = frames.findIndex((frame) => DELIMITER.equals(frame));
    if (at < 0) throw new WireError("no delimiter <IDS|MSG>");
    const rest = frames.slice(at + 1);
    if (rest.length < 5) throw new WireError(`${rest.length} frames after the delimiter; a message has at least 5`);
    const [signature, ...all] = rest;
    const parts = all.slice(0, 4);
    this.#check(signature, parts);
    const [header, parent, metadata, content] = parts.map(parsePart);
    if (typeof header.msg_type !== "string" || typeof header.msg_id !== "string")
      throw new WireError("a header without msg_type or msg_id");
    return {
      identities: frames.slice(0, at),
      header: header as Header,
      parent: parent as Header,
      metadata,
      content,
      buffers: all.slice(4),
    };
  }

  /** Some five messages in a row have the same. */
  #parent(parent: Message["parent"]): Buffer {
    if (parent !== this.#lastParent) [this.#lastParent, this.#lastParentJson] = [parent, json(parent)];
    return this.#lastParentJson;
  }

  #sign(parts: readonly Uint8Array[]): string {
    if (!this.#key) return "";
    const hmac = createHmac(this.#algorithm, this.#key);
    for (const part of parts) hmac.update(part);
    return hmac.digest("hex");
  }

  #check(signature: Uint8Array, parts: readonly Uint8Array[]): void {
    if (!this.#key) return;
    const expected = Buffer.from(this.#sign(parts));
    if (signature.length !== expected.length || !timingSafeEqual(signature, expected))
      throw new WireError("a wrong signature");
    const text = expected.toString();
    if (this.#seen.has(text)) throw new WireError("a repeated signature");
    this.#seen.add(text);
    if (this.#seen.size > 65536) for (const old of [...this.#seen].slice(0, 16384)) this.#seen.delete(old);
  }
}

function parsePart(frame: Uint8Array): Record<string, any> {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength).toString("utf8"));
  } catch (error) {
    throw new WireError(`a part that is not JSON: ${(error as Error).message}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new WireError("a part that is no JSON object");
  return value as Record<string, any>;
}
