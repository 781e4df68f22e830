/** The main thread's end of the bridge: starts a front end in a worker and the session here, and carries messages between them. */
import { writeSync } from "node:fs";
import { MessageChannel, receiveMessageOnPort, Worker } from "node:worker_threads";
import type { Say, ToFrontend, ToSession } from "./messages.ts";
import { take } from "./numbered.ts";
import { createShared, type FrontendData, Word, wordsOf } from "./shared.ts";

export interface HostOptions {
  /** The front end's entry, run in a worker; its `workerData` is FrontendData. */
  frontend: URL;
  /** Structured-cloneable; the front end finds it as `workerData.settings`. */
  settings?: unknown;
  /** Where imports resolve from: the notebook's folder. */
  folder?: string;
}

/** Runs until the front end ends the process. */
export async function hostSession(o: HostOptions): Promise<void> {
  const folder = o.folder ?? process.cwd();
  const shared = createShared();
  const words = wordsOf(shared);
  const answers = new MessageChannel();
  const data: FrontendData = {
    shared,
    answers: answers.port2,
    folder,
    settings: o.settings,
  };
  // The worker starts before anything else is loaded, so that both threads take their time together.
  const worker = new Worker(o.frontend, {
    workerData: data,
    transferList: [answers.port2],
    stdout: false,
    stderr: false,
  });
  // Without its front end the process has no purpose; what went wrong is for the log of whoever started it.
  worker.on("error", (error) => writeSync(2, `moescope kernel: the front end failed: ${error.stack ?? error}\n`));
  worker.on("exit", (code) => {
    Atomics.store(words, Word.closed, 1);
    void import("../session/process-guard.ts").then(({ exitProcess }) => exitProcess(code));
  });
  const post = (message: ToFrontend): void => worker.postMessage(message);
  const [{ Session }, { StreamWriter }] = await Promise.all([
    import("../session/session.ts"),
    import("./stream-ring.ts"),
  ]);
  const ring = new StreamWriter(shared, () => post({ type: "streams" }));
  let asked = 0;

  const session = new Session({
    folder,
    words,
    sink: {
      stream: (cell, name, text) => ring.write(cell, name, text),
      output: (cell, output) => post({ type: "output", cell, output, mark: ring.mark }),
      comm: (cell, comm) => post({ type: "comm", cell, comm, mark: ring.mark }),
      input: (cell, prompt, password) => {
        const question = ++asked;
        post({
          type: "input",
          cell,
          question,
          prompt,
          password,
          mark: ring.mark,
        });
        for (;;) {
          const answered = Atomics.load(words, Word.answered);
          if (answered !== question) Atomics.wait(words, Word.answered, answered);
          for (let m = receiveMessageOnPort(answers.port1); m; m = receiveMessageOnPort(answers.port1)) {
            if (m.message.question === question) return m.message.value;
          }
        }
      },
    },
  });

  const hear = (say: Say): void => {
    switch (say.type) {
      case "execute":
        session.execute(say.cell, say.request, (outcome) =>
          post({ type: "done", cell: say.cell, outcome, mark: ring.mark }),
        );
        break;
      case "interrupt":
        session.interrupt(say.cell);
        break;
      case "ping":
        Atomics.store(words, Word.pong, say.sent);
        break;
      case "comm":
        session.comm(say.comm);
        break;
      case "shutdown":
        void session.end().then(() => post({ type: "ended", mark: ring.mark }));
        break;
    }
  };
  const receive = (message: ToSession): void =>
    session.kernel(() => {
      const say = take(words, message);
      if (say) hear(say);
    });
  worker.on("message", receive);
  post({ type: "ready" });
}
