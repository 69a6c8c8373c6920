/** Text as it forms, without the white space before and after it. */
export class Trickle {
  private readonly write: (text: string) => void;
  /** Whether anything has been written. */
  hasBegun = false;
  private held = "";

  constructor(write: (text: string) => void) {
    this.write = write;
  }

  /** Writes what can be written; white space waits until something follows it. */
  push(piece: string): void {
    const text = this.held + (this.hasBegun ? piece : piece.trimStart());
    if (text === "") return;
    const end = text.trimEnd();
    this.held = text.slice(end.length);
    if (end) this.write(end);
    this.hasBegun ||= end !== "";
  }
}
