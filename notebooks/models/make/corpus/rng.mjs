/**
 * A small seeded generator (sfc32): the corpus must be the same on every machine, so `Math.random` is never used.
 */
export class Rng {
  #a;
  #b;
  #c;
  #d;

  /** @param {string | number} seed any text; nearby seeds give unrelated streams */
  constructor(seed) {
    let h = 0x811c9dc5;
    for (const ch of String(seed)) h = Math.imul(h ^ ch.codePointAt(0), 0x01000193);
    this.#a = h >>> 0;
    this.#b = 0x9e3779b9;
    this.#c = 0x243f6a88;
    this.#d = 1;
    for (let i = 0; i < 16; i++) this.next();
  }

  /** Uniform in [0, 1). */
  next() {
    const t = (((this.#a + this.#b) | 0) + this.#d) | 0;
    this.#d = (this.#d + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + t | 0;
    return (t >>> 0) / 4294967296;
  }

  /** Integer in [lo, hi], both included. */
  int(lo, hi) {
    return lo + Math.floor(this.next() * (hi - lo + 1));
  }

  chance(p) {
    return this.next() < p;
  }

  /** @template T @param {readonly T[]} list @returns {T} */
  pick(list) {
    return list[Math.floor(this.next() * list.length)];
  }

  /** n different members in random order. @template T @param {readonly T[]} list @returns {T[]} */
  sample(list, n) {
    const copy = list.slice();
    for (let i = 0; i < n; i++) {
      const j = this.int(i, copy.length - 1);
      [copy[i], copy[j]] = [copy[j], copy[i]];
    }
    return copy.slice(0, n);
  }

  shuffle(list) {
    return this.sample(list, list.length);
  }

  /** @template T @param {readonly (readonly [number, T])[]} table weight and value @returns {T} */
  weighted(table) {
    let total = 0;
    for (const [w] of table) total += w;
    let x = this.next() * total;
    for (const [w, v] of table) if ((x -= w) < 0) return v;
    return table[table.length - 1][1];
  }

  /** Digits without a leading zero. */
  digits(n) {
    let s = String(this.int(1, 9));
    while (s.length < n) s += this.int(0, 9);
    return s;
  }
}
