/** Writing from the worker straight to the process's own stdout and stderr: the worker's streams would wait for the main thread, which runs user code. */
import { writeSync } from "node:fs";

const pause = new Int32Array(new SharedArrayBuffer(4));

/** Writes all of it. False when nobody reads any more (a closed pipe). */
export function writeAll(fd: number, text: string): boolean {
  const bytes = Buffer.from(text);
  for (let done = 0; done < bytes.length; ) {
    try {
      done += writeSync(fd, bytes, done);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "EAGAIN") return false;
      // A full pipe that was set to non-blocking: let its reader read.
      Atomics.wait(pause, 0, 0, 2);
    }
  }
  return true;
}
