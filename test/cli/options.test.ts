/** The table of options by command in docs/options.md says what the commands take, and gives a reason for every gap. */
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { describe, expect, test } from "vitest";
import { ask } from "../../src/cli/commands/ask.ts";
import { attack } from "../../src/cli/commands/attack.ts";
import { data } from "../../src/cli/commands/data.ts";
import { evaluation } from "../../src/cli/commands/eval.ts";
import { finetune } from "../../src/cli/commands/finetune.ts";
import { forget } from "../../src/cli/commands/forget.ts";
import { select } from "../../src/cli/commands/select.ts";
import { trace } from "../../src/cli/commands/trace.ts";

const COMMANDS: Readonly<Record<string, Command>> = {
  "data show": data.commands.find((command) => command.name() === "show")!,
  "data convert": data.commands.find((command) => command.name() === "convert")!,
  select: select,
  forget: forget,
  attack: attack,
  trace: trace,
  eval: evaluation,
  finetune: finetune,
  ask: ask,
};
const OPTIONS = ["data", "columns", "subjects", "limit", "seed", "edit", "plain", "system", "max-tokens", "batch", "force"];

const page = readFileSync(new URL("../../docs/options.md", import.meta.url), "utf8");
const rows = page
  .split("\n")
  .filter((line) => line.startsWith("|"))
  .map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
const [head, , ...body] = rows;
const takes = (command: Command, option: string): boolean => command.options.some(({ long }) => long === `--${option}`);

describe("docs/options.md", () => {
  test("has these commands and options", () => {
    expect(head!.slice(1)).toEqual(Object.keys(COMMANDS));
    expect(body.map(([option]) => option!.replaceAll(/[`-]/g, ""))).toEqual(OPTIONS.map((option) => option.replaceAll("-", "")));
  });
  test.each(
    OPTIONS.flatMap((option, row) =>
      Object.entries(COMMANDS).map(([name, command], column) => [option, name, command, row, column] as const),
    ),
  )("--%s of %s", (option, _, command, row, column) => {
    const cell = body[row]![column + 1]!;
    if (takes(command, option)) return expect(cell).toMatch(/^✓/);
    const note = /^\((\w)\)$/.exec(cell)?.[1];
    expect(note, `a gap without its reason: ${cell}`).toBeDefined();
    expect(page).toMatch(new RegExp(`^- \\(${note}\\) \\S`, "m"));
  });
  test("how rows are read is one declaration: the same words everywhere", () => {
    for (const option of ["columns", "subjects", "limit"]) {
      const said = new Set(
        Object.entries(COMMANDS).flatMap(([name, { options }]) =>
          name === "select" && option === "limit"
            ? []
            : options.filter(({ long }) => long === `--${option}`).map(({ description }) => description),
        ),
      );
      expect([...said]).toHaveLength(1);
    }
  });
});
