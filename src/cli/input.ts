/** Lines of standard input, as they come, and one line asked of a person. */
import { createInterface } from "node:readline";

/** The lines of standard input. */
export async function* stdinLines(): AsyncGenerator<string> {
  const lines = createInterface({ input: process.stdin, crlfDelay: Infinity });
  try {
    yield* lines;
  } finally {
    lines.close();
    process.stdin.destroy();
  }
}

/** All of standard input, without the line break at its end. */
export async function stdinText(): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of process.stdin) parts.push(part as Buffer);
  return Buffer.concat(parts)
    .toString("utf8")
    .replace(/\r?\n$/, "");
}

/** What a person did at the prompt: wrote a line, ended the input (Ctrl-D), or pressed Ctrl-C. */
export type Said = { readonly line: string } | "end" | "interrupt";

/** Asks a person for a line, with earlier lines at the arrow keys; the newest stands first in `history`. */
export function askLine(prompt: string, history: string[]): Promise<Said> {
  return new Promise((done) => {
    const output = process.stdout.isTTY ? process.stdout : process.stderr;
    const reader = createInterface({
      input: process.stdin,
      output,
      terminal: true,
      history: [...history],
      historySize: 500,
      removeHistoryDuplicates: true,
    });
    let said: Said = "end";
    reader.on("line", (line) => {
      if (line.trim()) history.unshift(line);
      said = { line };
      reader.close();
    });
    reader.on("SIGINT", () => {
      if (reader.line) return reader.write(null, { ctrl: true, name: "u" }); // the first Ctrl-C clears what was typed
      said = "interrupt";
      reader.close();
    });
    reader.on("close", () => {
      if (typeof said === "string") output.write("\n");
      done(said);
    });
    reader.setPrompt(prompt);
    reader.prompt();
  });
}
