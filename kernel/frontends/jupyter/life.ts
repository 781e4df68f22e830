/** A kernel whose parent has died has nobody left to shut it down. */

const POLL_MS = 1000;

/** Only under a Jupyter server, which says who it is; a kernel started by hand may outlive its shell. */
export function watchParent(gone: () => void): void {
  const parent = Number(process.env.JPY_PARENT_PID);
  if (!Number.isInteger(parent) || parent <= 1) return;
  const first = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === first && alive(parent)) return;
    clearInterval(timer);
    gone();
  }, POLL_MS);
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
