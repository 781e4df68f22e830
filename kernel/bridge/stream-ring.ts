/**
 * The text that user code prints, in shared memory. A cell may be stopped at any instruction and may print without ever giving its
 * thread back: so a record is visible only once it is whole, the reader needs nothing from the writer's event loop, and a full ring
 * holds the writer until the front end has sent what is there (memory stays bounded at any volume).
 *
 * A record is two words, byte length and cell * 2 + stream, then UTF-8 text, padded to 8 bytes. A length of -1 says: go on at the start.
 */

import type { CellId, StreamName } from "./messages.ts";
import { RING_BYTES, type Shared, Word, wordsOf } from "./shared.ts";

const HEADER = 8;
/** Characters a record; at most three bytes each. */
const PIECE = 16384;
const at = (position: number): number => position & (RING_BYTES - 1);
const padded = (bytes: number): number => (bytes + 7) & ~7;

/** Main thread. */
export class StreamWriter {
  readonly #words: Int32Array;
  readonly #header: Int32Array;
  readonly #bytes: Buffer;
  readonly #notify: () => void;

  /** `notify` is called when the reader may be asleep. */
  constructor(shared: Shared, notify: () => void) {
    this.#words = wordsOf(shared);
    this.#header = new Int32Array(shared.ring);
    this.#bytes = Buffer.from(shared.ring);
    this.#notify = notify;
  }

  /** The position that a message sent now must carry: everything printed so far comes before it. */
  get mark(): number {
    return Atomics.load(this.#words, Word.ringWrite);
  }

  write(cell: CellId, stream: StreamName, text: string): void {
    for (let start = 0; start < text.length; ) {
      let end = Math.min(start + PIECE, text.length);
      if (end < text.length && isHighSurrogate(text.charCodeAt(end - 1))) end--;
      this.#record(cell, stream, end - start === text.length ? text : text.slice(start, end));
      start = end;
    }
    if (Atomics.exchange(this.#words, Word.ringNotified, 1) === 0) this.#notify();
  }

  #record(cell: CellId, stream: StreamName, piece: string): void {
    const room = HEADER + padded(piece.length * 3);
    let write = Atomics.load(this.#words, Word.ringWrite);
    const left = RING_BYTES - at(write);
    if (left < room) {
      if (!this.#wait(left)) return;
      this.#header[at(write) >> 2] = -1;
      write = (write + left) | 0;
      Atomics.store(this.#words, Word.ringWrite, write);
    }
    if (!this.#wait(room)) return;
    const base = at(write);
    const bytes = this.#bytes.write(piece, base + HEADER, "utf8");
    this.#header[base >> 2] = bytes;
    this.#header[(base >> 2) + 1] = cell * 2 + (stream === "stderr" ? 1 : 0);
    Atomics.store(this.#words, Word.ringWrite, (write + HEADER + padded(bytes)) | 0);
  }

  /** Until that many bytes are free; false when nobody reads any more. */
  #wait(bytes: number): boolean {
    for (;;) {
      const read = Atomics.load(this.#words, Word.ringRead);
      const used = (Atomics.load(this.#words, Word.ringWrite) - read) | 0;
      if (RING_BYTES - used >= bytes) return true;
      if (Atomics.load(this.#words, Word.closed)) return false;
      if (Atomics.exchange(this.#words, Word.ringNotified, 1) === 0) this.#notify();
      Atomics.wait(this.#words, Word.ringRead, read, 200);
    }
  }
}

export interface StreamChunk {
  cell: CellId;
  stream: StreamName;
  text: string;
}

/** Worker. */
export class StreamReader {
  readonly #words: Int32Array;
  readonly #header: Int32Array;
  readonly #bytes: Buffer;

  constructor(shared: Shared) {
    this.#words = wordsOf(shared);
    this.#header = new Int32Array(shared.ring);
    this.#bytes = Buffer.from(shared.ring);
  }

  /** The writer notifies again for what it writes after this. */
  rearm(): void {
    Atomics.store(this.#words, Word.ringNotified, 0);
  }

  get mark(): number {
    return Atomics.load(this.#words, Word.ringWrite);
  }

  /**
   * What one cell printed to one stream, as much of it as follows without a break before `mark`, up to about `limit` bytes.
   * The space is free for the writer only after `release`, so that a slow front end holds the printing cell.
   */
  next(mark: number, limit = 1 << 18): { chunk: StreamChunk; release: () => void } | null {
    let read = Atomics.load(this.#words, Word.ringRead);
    let tag = -1;
    let size = 0;
    const parts: Buffer[] = [];
    while (((mark - read) | 0) > 0 && size < limit) {
      const base = at(read);
      const bytes = this.#header[base >> 2];
      if (bytes === -1) {
        read = (read + RING_BYTES - base) | 0;
        continue;
      }
      const own = this.#header[(base >> 2) + 1];
      if (tag !== -1 && own !== tag) break;
      tag = own;
      parts.push(this.#bytes.subarray(base + HEADER, base + HEADER + bytes));
      size += bytes;
      read = (read + HEADER + padded(bytes)) | 0;
    }
    const release = (): void => {
      Atomics.store(this.#words, Word.ringRead, read);
      Atomics.notify(this.#words, Word.ringRead);
    };
    if (tag === -1) {
      release();
      return null;
    }
    const text = (parts.length === 1 ? parts[0] : Buffer.concat(parts)).toString("utf8");
    return { chunk: { cell: tag >> 1, stream: tag & 1 ? "stderr" : "stdout", text }, release };
  }
}

const isHighSurrogate = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff;
