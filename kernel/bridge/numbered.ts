/**
 * Messages to the session, numbered from 1. A termination may strike the handler of a message instead of user code (a busy machine lets one lie for
 * long), so the session takes them in order, each once, says in `Word.received` how far it is, and the rest is sent again.
 */
import type { Say, ToSession } from "./messages.ts";
import { Word } from "./shared.ts";

/** Worker. */
export class NumberedSender {
  readonly #words: Int32Array;
  readonly #send: (message: ToSession) => void;
  /** What the session may not have taken yet, in order. */
  readonly #unheard: { number: number; say: Say }[] = [];
  #said = 0;
  #held = false;

  constructor(words: Int32Array, send: (message: ToSession) => void) {
    this.#words = words;
    this.#send = send;
  }

  say(say: Say): void {
    this.#forget();
    const message = { number: ++this.#said, say };
    this.#unheard.push(message);
    if (!this.#held) this.#send(message);
  }

  /** A termination is on its way: what is said now is sent when it has landed. */
  hold(): void {
    this.#held = true;
  }

  sendEmpty(): void {
    this.#send({ number: 0 });
  }

  release(): void {
    this.#held = false;
    this.#forget();
    for (const message of this.#unheard) this.#send(message);
  }

  #forget(): void {
    const received = Atomics.load(this.#words, Word.received);
    while (this.#unheard.length && this.#unheard[0].number <= received) this.#unheard.shift();
  }
}

/** Main thread, inside the kernel's phase: what the message says, or null when it came before, or when one before it was lost and comes again. */
export function take(words: Int32Array, message: ToSession): Say | null {
  if (message.number !== Atomics.load(words, Word.received) + 1) return null;
  Atomics.store(words, Word.received, message.number);
  return (message as { say: Say }).say;
}
