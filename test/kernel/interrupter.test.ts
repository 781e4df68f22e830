/** The worker's side of the claim protocol, with a main thread that is played. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Say, ToSession } from "../../kernel/bridge/messages.ts";
import { NumberedSender, take } from "../../kernel/bridge/numbered.ts";
import { createShared, Word, wordsOf } from "../../kernel/bridge/shared.ts";
import { Interrupter } from "../../kernel/interrupt/interrupter.ts";
import type { MainInspector } from "../../kernel/interrupt/main-inspector.ts";
import { CLAIMED, Phase } from "../../kernel/interrupt/phase.ts";

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function until(what: string, test: () => boolean): Promise<void> {
  for (const end = performance.now() + 5000; !test(); await pause(2))
    assert.ok(performance.now() < end, `waited 5 s in vain for ${what}`);
}

function play(terminate: () => Promise<void>) {
  const words = wordsOf(createShared());
  const main = { words, outstanding: 0, terminations: 0, said: [] as string[] };
  const inspector = {
    post: (method: string) => {
      if (method !== "Runtime.terminateExecution") return Promise.resolve({ result: { value: false } });
      main.terminations++;
      return terminate();
    },
  } as unknown as MainInspector;
  const interrupter = new Interrupter(words, inspector, {
    outstanding: () => main.outstanding,
    soft: (cell) => main.said.push(`interrupt ${cell}`),
    ping: (sent) => Atomics.store(words, Word.pong, sent),
    cannot: () => main.said.push("cannot"),
    hold: () => {},
    sendEmpty: () => {},
    release: () => {},
  });
  const begin = (cell: number, phase: number): void => {
    main.outstanding = cell;
    Atomics.store(words, Word.cell, cell);
    Atomics.store(words, Word.phase, phase);
  };
  const end = (): void => {
    main.outstanding = 0;
    Atomics.store(words, Word.cell, 0);
    Atomics.store(words, Word.phase, Phase.idle);
    interrupter.ended();
  };
  return { main, interrupter, begin, end };
}

describe("interrupter", () => {
  it("asks for no second termination before the main thread has left the frame that the first struck", async () => {
    const { main, interrupter, begin, end } = play(() => Promise.resolve());
    begin(1, Phase.user);
    interrupter.interrupt();
    await until("a termination", () => main.terminations === 1);
    // The machine is busy: the main thread was struck and gets no time to go on. Several rounds pass.
    await pause(200);
    assert.equal(main.terminations, 1);
    assert.equal(Atomics.load(main.words, Word.phase), Phase.user | CLAIMED);
    // It goes on, and runs user code again (an error's getters, say): that may be struck.
    Atomics.store(main.words, Word.phase, Phase.user);
    await until("another termination", () => main.terminations === 2);
    end();
    await interrupter.close();
  });

  it("takes its claim back when no termination could be asked for, and tries again", async () => {
    let fail = true;
    const { main, interrupter, begin, end } = play(() => (fail ? Promise.reject(new Error("no")) : Promise.resolve()));
    begin(1, Phase.user);
    interrupter.interrupt();
    await until("two tries", () => main.terminations >= 2);
    fail = false;
    await until("a claim", () => Atomics.load(main.words, Word.phase) === (Phase.user | CLAIMED));
    end();
    await interrupter.close();
  });

  it("takes a claim on awaiting code back once it has struck", async () => {
    const { main, interrupter, begin, end } = play(() => Promise.resolve());
    begin(1, Phase.await);
    interrupter.interrupt();
    await until("a termination", () => main.terminations === 1);
    assert.deepEqual(main.said, ["interrupt 1"]);
    await until("the phase", () => Atomics.load(main.words, Word.phase) === Phase.await);
    end();
    await interrupter.close();
  });

  it("an interrupt while the last one still works reaches the next cell", async () => {
    const { main, interrupter, begin, end } = play(() => Promise.resolve());
    for (let cell = 1; cell <= 20; cell++) {
      begin(cell, Phase.user);
      interrupter.interrupt();
      await until(`a termination of cell ${cell}`, () => main.terminations === cell);
      end();
    }
    await interrupter.close();
  });

  it("strikes no cell that was not asked for", async () => {
    const { main, interrupter, begin, end } = play(() => Promise.resolve());
    begin(1, Phase.await);
    interrupter.interrupt();
    end();
    begin(2, Phase.user);
    await pause(120);
    assert.equal(main.terminations, 0);
    end();
    await interrupter.close();
  });
});

describe("numbered messages", () => {
  const ping = (sent: number): Say => ({ type: "ping", sent });
  const taken = (words: Int32Array, messages: ToSession[]): number[] =>
    messages.flatMap((message) => {
      const say = take(words, message);
      return say?.type === "ping" ? [say.sent] : [];
    });

  it("arrive once and in order, whichever are struck on their way", () => {
    for (let lost = 0; lost < 32; lost++) {
      const words = wordsOf(createShared());
      let way: ToSession[] = [];
      const sender = new NumberedSender(words, (message) => way.push(message));
      for (let i = 0; i < 5; i++) sender.say(ping(i));
      const got = taken(
        words,
        way.filter((_, i) => !(lost & (1 << i))),
      );
      way = [];
      sender.hold();
      sender.sendEmpty();
      sender.say(ping(5));
      assert.deepEqual(way, [{ number: 0 }], "held");
      sender.release();
      got.push(...taken(words, way));
      assert.deepEqual(got, [0, 1, 2, 3, 4, 5], `lost ${lost.toString(2)}`);
      way = [];
      sender.release();
      assert.deepEqual(taken(words, way), [], "nothing comes twice");
    }
  });
});
