#!/usr/bin/env node
/** The command line: `lethe COMMAND`. Commands load what they need when they are called, so that help is there at once. */
import { readFileSync } from "node:fs";
import { Command, type Option } from "commander";
import { completeHelp, number, several } from "./command.ts";
import { ask } from "./commands/ask.ts";
import { attack } from "./commands/attack.ts";
import { chat } from "./commands/chat.ts";
import { comparison } from "./commands/compare.ts";
import { data } from "./commands/data.ts";
import { demo } from "./commands/demo.ts";
import { doctor } from "./commands/doctor.ts";
import { edits } from "./commands/edits.ts";
import { evaluation } from "./commands/eval.ts";
import { exporting } from "./commands/export.ts";
import { finetune } from "./commands/finetune.ts";
import { forget } from "./commands/forget.ts";
import { grid } from "./commands/grid.ts";
import { models } from "./commands/models.ts";
import { reproduce } from "./commands/reproduce.ts";
import { runs } from "./commands/runs.ts";
import { select } from "./commands/select.ts";
import { stats } from "./commands/stats.ts";
import { trace } from "./commands/trace.ts";
import { worker } from "./commands/worker.ts";
import { EXIT, type Ending, endingOf } from "./exit.ts";
import { outletOf } from "./outlet.ts";
import { Terminal } from "./terminal.ts";

const COMMANDS = [
  demo,
  ask,
  chat,
  forget,
  data,
  select,
  edits,
  evaluation,
  comparison,
  attack,
  stats,
  trace,
  exporting,
  finetune,
  grid,
  worker,
  reproduce,
  runs,
  models,
  doctor,
];

/** The whole program; usage errors are thrown, and what commander would print on standard error is left to us. */
function createProgram(): Command {
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string };
  const program = new Command("lethe")
    .description("Make a language model forget, and measure what else it forgot.")
    .version(version, "-V, --version", "show the version")
    .helpOption("-h, --help", "show help, with examples")
    .helpCommand(false)
    .option("--json", "one JSON object on standard output (progress and errors as JSON on standard error)")
    .option("-q, --quiet", "no progress and no notes")
    .option("-v, --verbose", "more of what happens")
    .option("--threads <n>", "threads of the numerical engine (LETHE_THREADS, or 2)", number({ min: 1, max: 1024, whole: true }))
    .option("--memory <size>", "memory to stay within, such as 8GB (LETHE_MEMORY, or what the system has)")
    .option("--runs <folder>", "the folder of runs (LETHE_RUNS, or runs)")
    .option(
      "--plugin <file>",
      "load methods, architectures, metrics, targets and attacks from a JavaScript module; repeatable (LETHE_PLUGINS)",
      several,
    )
    .addHelpText("after", "\nlethe COMMAND --help has examples. MODEL is a folder, a .gguf file, a hub id (org/name), or bundled.")
    .exitOverride()
    .configureOutput({ writeOut: (text) => void outletOf(process.stdout).write(text), outputError: () => {} })
    .configureHelp({ showGlobalOptions: true, subcommandTerm: termOf, visibleGlobalOptions })
    .showHelpAfterError(false);
  for (const command of COMMANDS) program.addCommand(command);
  inherit(program);
  return program;
}

/** "ask MODEL [PROMPT]" in the list of commands. */
function termOf(command: Command): string {
  const hidden = command.usage() === "[options]";
  return [command.name(), ...(hidden ? [] : command.registeredArguments.map((a) => (a.required ? a.name() : `[${a.name()}]`)))].join(" ");
}

/** The flags that every command takes. */
const visibleGlobalOptions = (command: Command): Option[] =>
  command.parent ? rootOf(command).options.filter((option) => option.long !== "--version") : [];

const rootOf = (command: Command): Command => (command.parent ? rootOf(command.parent) : command);

/** Settings of the parent for commands that were made apart from it. */
function inherit(parent: Command): void {
  for (const command of parent.commands) {
    command.copyInheritedSettings(parent).helpOption("-h, --help", "show this help").helpCommand(false);
    inherit(command);
  }
}

const argv = process.argv.slice(2);
let hasEnded = false;
const [out, err] = [outletOf(process.stdout), outletOf(process.stderr)];
// an error that nobody waits for, such as a library's that finds no memory
process.once("uncaughtException", (error) => void conclude(error));
try {
  const program = createProgram();
  const first = program.commands.find((c) => c.name() === argv[0]);
  const command = first?.commands.find((c) => c.name() === argv[1]) ?? first;
  if (argv.some((word) => word === "--help" || word === "-h")) await completeHelp(command, argv);
  if (argv.length === 0) program.outputHelp();
  else await program.parseAsync(argv, { from: "user" });
  await leave(Number(process.exitCode ?? 0));
} catch (error) {
  await conclude(error);
}

/** Says why a command failed, and ends with the exit code of that. */
async function conclude(error: unknown): Promise<never> {
  if (hasEnded) return new Promise<never>(() => {}); // it ends with what was said first
  hasEnded = true;
  const ending = endingOf(error, error instanceof Error && error.name === "AbortError");
  if (ending) say(ending);
  return leave(ending?.code ?? 0);
}

/** Says on standard error how the command ended. */
function say(ending: Ending): void {
  const flags = argv.slice(0, argv.includes("--") ? argv.indexOf("--") : argv.length);
  const terminal = new Terminal({
    json: flags.includes("--json"),
    quiet: false,
    verbose: flags.some((flag) => flag === "-v" || flag === "--verbose"),
    out,
    err,
    env: process.env,
    now: () => performance.now(),
  });
  terminal.end(ending);
}

/** Ends when what was written has gone out. An answer that could not be written is an error, unless its reader went away. */
async function leave(code: number): Promise<never> {
  await out.settle();
  const { trouble: got } = out;
  if (got !== undefined) {
    const hint = "The answer is incomplete. Files that were written are whole.";
    say({ code: EXIT.unavailable, message: `standard output: ${got}.`, hint, trouble: "unavailable" });
    if (code === 0) code = EXIT.unavailable;
  }
  await err.settle();
  process.exit(code);
}
