/** Standard output and standard error: a write that fails is noticed, whoever wrote it, and nothing more is written there. */
import { wordsFor } from "../base/errno.ts";
import type { Stream } from "./terminal.ts";

/** What a reader that went away looks like: a closed pipe, a connection that was cut, a terminal that was closed. */
const GONE: readonly string[] = ["EPIPE", "ECONNRESET", "EIO"];

/** A stream of this process and what became of it. */
class Outlet implements Stream {
  private readonly stream: NodeJS.WriteStream;
  private failure: NodeJS.ErrnoException | undefined;
  private hasWritten = false;

  constructor(stream: NodeJS.WriteStream) {
    this.stream = stream;
    stream.on("error", (error: NodeJS.ErrnoException) => {
      this.failure ??= error;
    });
  }

  get isTTY(): boolean {
    return this.stream.isTTY;
  }

  get columns(): number {
    return this.stream.columns;
  }

  get rows(): number {
    return this.stream.rows;
  }

  /** Whether somebody may still read what is written. */
  get isOpen(): boolean {
    return this.failure === undefined;
  }

  /** Why writing failed, in words; undefined where it did not, or where the reader went away (`| head -1`). */
  get trouble(): string | undefined {
    const { failure } = this;
    return failure === undefined || GONE.includes(String(failure.code)) ? undefined : (wordsFor(failure)?.got ?? failure.message);
  }

  write(text: string): boolean {
    this.hasWritten = true;
    return this.isOpen && this.stream.write(text);
  }

  /** Waits until everything that was written has gone out, or has failed. */
  async settle(): Promise<void> {
    if (this.hasWritten) await new Promise<void>((done) => void this.stream.write("", () => setImmediate(done)));
  }
}

const OUTLETS = new WeakMap<NodeJS.WriteStream, Outlet>();

/** The one outlet of a stream. */
export function outletOf(stream: NodeJS.WriteStream): Outlet {
  const outlet = OUTLETS.get(stream) ?? new Outlet(stream);
  OUTLETS.set(stream, outlet);
  return outlet;
}
