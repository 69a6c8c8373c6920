/** Runs the command line in a process of its own, as a user does. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isStale } from "../../tools/stale.mjs";

const path = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url));
/** What runs TypeScript from its sources, wherever the process stands. */
export const TSX = new URL("../../node_modules/tsx/dist/esm/index.mjs", import.meta.url).href;

/** What is built where no source is newer, otherwise the sources, which start slower. */
export const command = (): readonly string[] => (isStale() ? ["--import", TSX, path("src/cli/main.ts")] : [path("dist/cli/main.js")]);

/** The environment of a command: nothing of this process that decides its output, and runs in the test's own home or in those of this process. */
export function environmentOf(env: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const {
    NO_COLOR: _n,
    FORCE_COLOR: _f,
    HF_HUB_OFFLINE: _o,
    LETHE_THREADS: _t,
    LETHE_MEMORY: _m,
    LETHE_RUNS: runs,
    ...clean
  } = process.env;
  return { ...clean, ...(!("LETHE_HOME" in env) && runs !== undefined && { LETHE_RUNS: join(runs, String(process.pid)) }), ...env };
}

export interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  /** Standard input; nothing by default. */
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Sent when standard error or output first holds this text. */
  readonly signalAt?: readonly [text: string, signal: NodeJS.Signals];
  /** Close standard output after this many bytes. */
  readonly closeAfter?: number;
}

/** What a command wrote and how it ended. */
export function lethe(args: readonly string[], { input = "", env = {}, cwd, signalAt, closeAfter }: RunOptions = {}): Promise<Ran> {
  return new Promise((done, refuse) => {
    const child = spawn(process.execPath, [...command(), ...args], { env: environmentOf(env), ...(cwd && { cwd }) });
    let [out, err] = ["", ""];
    let isSent = false;
    const watch = (): void => {
      if (signalAt && !isSent && (out + err).includes(signalAt[0])) {
        isSent = true;
        child.kill(signalAt[1]);
      }
      if (closeAfter !== undefined && out.length >= closeAfter) child.stdout.destroy();
    };
    child.stdout.on("data", (piece: Buffer) => {
      out += piece.toString("utf8");
      watch();
    });
    child.stderr.on("data", (piece: Buffer) => {
      err += piece.toString("utf8");
      watch();
    });
    child.stdin.on("error", () => {}); // a command that ends before it has read everything
    child.on("error", refuse);
    child.on("close", (code) => done({ code, out, err }));
    child.stdin.end(input);
  });
}

/** The JSON objects of a text, one a line. */
export const objects = (text: string): Record<string, unknown>[] =>
  text
    .trim()
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
