/** The memory that both threads see: a few words, and the ring that carries the text of streams. */

/** Indices into the words. */
export const Word = {
  /** See interrupt/phase.ts. */
  phase: 0,
  /** The running cell, or 0. Written by the main thread. */
  cell: 1,
  /** The last ping that the main thread answered. */
  pong: 2,
  /** Bytes ever read from and written to the ring, modulo 2^32. */
  ringRead: 3,
  ringWrite: 4,
  /** 1 while a "streams" message is on its way and the ring has not been looked at since. */
  ringNotified: 5,
  /** 1 once the front end has ended: nobody reads the ring. */
  closed: 6,
  /** The number of the last question to the user that has been answered. */
  answered: 7,
  /** The number of the last message that the main thread has taken. */
  received: 8,
} as const;

const WORDS = 16;
export const RING_BYTES = 1 << 22;

export interface Shared {
  words: SharedArrayBuffer;
  ring: SharedArrayBuffer;
}

export const createShared = (): Shared => ({
  words: new SharedArrayBuffer(WORDS * 4),
  ring: new SharedArrayBuffer(RING_BYTES),
});

export const wordsOf = (shared: Shared): Int32Array => new Int32Array(shared.words);

/** What a front end's worker finds in `workerData`. */
export interface FrontendData<T = unknown> {
  shared: Shared;
  /** Answers to questions travel here, so that the main thread can wait for one without its event loop. */
  answers: import("node:worker_threads").MessagePort;
  folder: string;
  /** The front end's own settings. */
  settings: T;
}
