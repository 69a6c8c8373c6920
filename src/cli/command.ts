/** How a command is declared: its words, its examples, its flags, and what runs when it is called. */
import { Command, InvalidArgumentError, Option } from "commander";
import { type Context, defaultContext } from "../base/context.ts";
import { type Door, type Globals, openDoor, withPlugins } from "./context.ts";
import { EXIT, STOPPED, Stopped } from "./exit.ts";

/** A command: its arguments, one sentence for the list, what else its help says, and examples with what each is for. */
export function declare(
  usage: string,
  summary: string,
  about: string,
  examples: readonly (readonly [line: string, why: string])[],
): Command {
  const [name, ...args] = usage.split(" ");
  const command = new Command(name!).summary(summary).description(about ? `${summary}\n\n${about}` : summary);
  for (const argument of args) command.argument(argument);
  return command.addHelpText("after", `\nExamples:\n${examples.map(([line, why]) => `  ${line}\n      ${why}`).join("\n")}`);
}

/** What a command's body gets: how to speak, what to work with, arguments and flags. */
export type Body<O> = (door: Door, flags: O, ...args: string[]) => Promise<number | void>;

/** Attaches the body; a number that it returns becomes the exit code. */
export function acts<O extends object>(command: Command, body: Body<O>): Command {
  return command.action(async (...given: unknown[]) => {
    const self = given.at(-1) as Command;
    const flags = self.optsWithGlobals<O & Globals>();
    const door = await openDoor(flags);
    try {
      const code = (await body(door, flags, ...self.args)) ?? 0;
      process.exitCode = code === EXIT.aborted ? STOPPED[door.stoppedBy() ?? "SIGINT"] : code;
    } catch (error) {
      const signal = door.stoppedBy();
      throw signal === undefined ? error : new Stopped(signal, error);
    }
  });
}

type LaterHelp = (ctx: Context, words: readonly string[]) => Promise<string>;
const LATER = new WeakMap<Command, LaterHelp>();

/** Gives a command more help, which is worked out from plugins and the command line's words when help is asked for. */
export function later(command: Command, help: LaterHelp): Command {
  LATER.set(command, help);
  return command;
}

/** Completes the help of the command that is asked about. */
export async function completeHelp(command: Command | undefined, words: readonly string[]): Promise<void> {
  const help = command && LATER.get(command);
  if (help) command.addHelpText("after", `\n${await help(await withPlugins(defaultContext(), valuesOf("--plugin", words)), words)}`);
}

/** The values of a flag among words that nobody has parsed: behind it, or behind its equals sign. */
export const valuesOf = (flag: string, words: readonly string[]): string[] =>
  words.flatMap((word, i) =>
    word === flag && words[i + 1] !== undefined ? [words[i + 1]!] : word.startsWith(`${flag}=`) ? [word.slice(flag.length + 1)] : [],
  );

/** Reads a number flag; what is none, or out of range, is a usage error. */
export const number =
  ({ min = -Infinity, max = Infinity, whole = false }: { min?: number; max?: number; whole?: boolean } = {}) =>
  (text: string): number => {
    const n = text.trim() === "" ? NaN : Number(text);
    if (Number.isFinite(n) && n >= min && n <= max && (!whole || Number.isSafeInteger(n))) return n;
    const range = max < Infinity ? ` from ${min} to ${max}` : min > -Infinity ? ` of at least ${min}` : "";
    throw new InvalidArgumentError(`Wanted a ${whole ? "whole " : ""}number${range}.`);
  };

/** Collects a flag that may be given several times. */
export const several = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

/** Collects names divided by commas; the flag may be given several times. */
export const names = (value: string, before: readonly string[] = []): readonly string[] => [
  ...before,
  ...value.split(",").map((name) => name.trim()),
];

/** What MODEL may be, for the help of every command that takes one. */
export const MODEL =
  "MODEL is a folder, a .gguf file, a hub id (org/name[@revision]), or the word 'bundled': the small model that comes with Lethe.";

/** The flags of asking: how the prompt is made and how the answer is drawn. */
export interface AskFlags {
  readonly edit?: readonly string[];
  readonly plain?: boolean;
  readonly system?: string;
  readonly maxTokens: number;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly seed?: number;
  readonly stop?: readonly string[];
  readonly force?: boolean;
}

/** Adds the flags of {@link AskFlags}. */
export function asking(command: Command): Command {
  return command
    .option(
      "-e, --edit <file>",
      "an edit file, or a folder with a PEFT adapter, to apply to the model; repeatable, the first is applied first",
      several,
    )
    .option("--plain", "send the prompt without the model's chat template")
    .option("--system <text>", "the system message; it needs the chat template")
    .addOption(
      new Option("-n, --max-tokens <n>", "the largest number of tokens in an answer")
        .default(256)
        .argParser(number({ min: 1, whole: true })),
    )
    .option(
      "-t, --temperature <t>",
      "sample the answer at this temperature; the default takes the likeliest token each time",
      number({ min: 0 }),
    )
    .option("--top-k <k>", "sample from the k likeliest tokens", number({ min: 1, whole: true }))
    .option("--top-p <p>", "sample from the likeliest tokens that together have this probability", number({ min: 0, max: 1 }))
    .option("--seed <n>", "the seed of the sampling (0)", number({ whole: true }))
    .option("--stop <text>", "end the answer before this text; repeatable", several)
    .option("--force", "run even if the estimate says that memory is too small");
}

/** The options of asking that were given, for the library. */
export function askOptions(flags: AskFlags): Omit<AskFlags, "edit" | "plain" | "force"> & { format?: "plain" } {
  const { edit: _edit, plain, force: _force, ...rest } = flags;
  const { maxTokens, system, temperature, topK, topP, seed, stop } = rest;
  const given = Object.entries({ system, temperature, topK, topP, seed, stop }).filter(([, value]) => value !== undefined);
  return { maxTokens, ...Object.fromEntries(given), ...(plain && { format: "plain" as const }) };
}
