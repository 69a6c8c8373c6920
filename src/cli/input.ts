/** Lines of standard input, as they come, and one line asked of a person. */
import { fstatSync } from "node:fs";
import { createInterface } from "node:readline";
import { fail } from "../base/fail.ts";

/** Bytes of one line, or of a whole prompt, at most; a line without an end would fill the memory. */
const LONGEST = 1 << 24;

/** The lines of standard input. */
export async function* stdinLines(): AsyncGenerator<string> {
  try {
    let rest = "";
    for await (const piece of pieces()) {
      const lines = (rest + piece).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop()!;
      if (rest.length > LONGEST) tooLong("a line");
      yield* lines;
    }
    if (rest !== "") yield rest.replace(/\r$/, "");
  } finally {
    process.stdin.destroy();
  }
}

/** All of standard input, without the line break at its end. */
export async function stdinText(): Promise<string> {
  let text = "";
  for await (const piece of pieces()) {
    text += piece;
    if (text.length > LONGEST) tooLong("it");
  }
  return text.replace(/\r?\n$/, "");
}

/** Standard input as text, piece by piece. */
async function* pieces(): AsyncGenerator<string> {
  if (fstatSync(0).isDirectory()) fail("standard input", "it is a folder", "a text", "Name a file after <.", "unavailable");
  process.stdin.setEncoding("utf8");
  for await (const piece of process.stdin) yield piece as string;
}

const tooLong = (what: string): never =>
  fail("standard input", `${what} has more than ${LONGEST / 2 ** 20} million characters`, "shorter prompts", "Divide it into lines.");

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
