/** Writes an answer piece by piece as it is generated, without the white space before and after it. */
export class TrimmingWriter {
  private readonly write: (text: string) => void;
  /** Whether anything has been written. */
  hasBegun = false;
  private held = "";

  constructor(write: (text: string) => void) {
    this.write = write;
  }

  /** Writes a piece. White space at its end waits until more text follows. */
  push(piece: string): void {
    const text = this.held + (this.hasBegun ? piece : piece.trimStart());
    if (text === "") return;
    const end = text.trimEnd();
    this.held = text.slice(end.length);
    if (end) this.write(end);
    this.hasBegun ||= end !== "";
  }
}
