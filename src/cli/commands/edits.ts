/** `lethe edits`: what edit files hold, one upon another, and taken off again. */
import { fail } from "../../base/fail.ts";
import type { EditCard } from "../../run/edits.ts";
import { acts, declare, number } from "../command.ts";
import { bytes, plural, table } from "../format.ts";
import type { Terminal } from "../terminal.ts";

const show = acts(
  declare("show <EDIT>", "Shows the edits in a file.", "The edit that is applied first comes first.", [
    ["lethe edits show edits/e1", "as text"],
    ["lethe edits show edits/e1 --json", "as JSON, with parameters and evidence"],
  ]),
  async ({ terminal }, _flags, path) => {
    const { showEdits } = await import("../../run/edits.ts");
    const cards = showEdits(path!);
    if (terminal.json) return terminal.object("edits", { path, edits: cards });
    terminal.line(`${path!}: ${plural(cards.length, "edit")}`);
    for (const card of cards) terminal.line(`\n${describe(terminal, card)}`);
  },
);

const list = acts(
  declare("list [FOLDER]", "Lists the edit files of a folder (edits).", "", [
    ["lethe edits list", "those in edits/"],
    ["lethe edits list old --json", "as JSON"],
  ]).alias("ls"),
  async ({ terminal }, _flags, folder = "edits") => {
    const { listEdits } = await import("../../run/edits.ts");
    const found = listEdits(folder);
    if (terminal.json) return terminal.object("edit-files", { folder, files: found });
    if (found.length === 0) return terminal.note(`There are no edits in ${folder}.`);
    const rows = found.map(({ path, bytes: size, edits }) => [
      path,
      String(edits.length),
      bytes(size),
      [...new Set(edits.map((e) => e.method))].join(", "),
      edits[0]!.base.slice(0, 12),
      aboutOf(edits),
    ]);
    terminal.line(table([["FILE", "EDITS", "SIZE", "METHOD", "MODEL", "REQUESTS"], ...rows], [1, 2]));
  },
);

interface Out {
  readonly output: string;
  readonly force?: boolean;
}

const stack = acts<Out>(
  declare(
    "stack <EDIT...>",
    "Writes several edits to one file.",
    "They are applied in this order. Repeating --edit does the same without a file.",
    [["lethe edits stack edits/e1 edits/e2 -o edits/both", "e1, then e2"]],
  )
    .option("--force", "overwrite the output file")
    .requiredOption("-o, --output <file>", "the output file"),
  async ({ terminal, ctx }, { output, force = false }, ...paths) => {
    const { stackEdits } = await import("../../run/edits.ts");
    said(terminal, output, stackEdits(paths, output, force, ctx));
  },
);

const undo = acts<Out & { readonly last?: number }>(
  declare(
    "undo <STACK> [ID]",
    "Writes a stack without its last edit, or without the edit that you name.",
    "The base model never changes. So undoing means to apply the edits that are left.",
    [
      ["lethe edits undo edits/both -o edits/first", "without the last edit"],
      ["lethe edits undo edits/all --last 3 -o edits/fewer", "without the last three edits"],
      ["lethe edits undo edits/all 4c1d -o edits/others", "without the edit whose id starts with 4c1d"],
    ],
  )
    .option("--last <n>", "how many of the last edits to remove (1)", number({ min: 1, whole: true }))
    .option("--force", "overwrite the output file")
    .requiredOption("-o, --output <file>", "the output file"),
  async ({ terminal, ctx }, { output, force = false, last }, path, id) => {
    if (id !== undefined && last !== undefined) fail("edits undo", "an id and --last", "one of them", "");
    const { undoEdits } = await import("../../run/edits.ts");
    said(terminal, output, undoEdits(path!, id === undefined ? { last: last ?? 1 } : { id }, output, force, ctx));
  },
);

function said(terminal: Terminal, path: string, cards: readonly EditCard[]): void {
  if (terminal.json) return terminal.object("edits", { path, edits: cards });
  terminal.line(`${path}: ${plural(cards.length, "edit")}`);
  for (const card of cards) terminal.line(`  ${card.id}  ${card.method}  ${aboutOf([card])}`);
}

const aboutOf = (cards: readonly EditCard[]): string => {
  const prompts = cards.flatMap((card) => card.requests.map((r) => r.prompt));
  const more = prompts.length > 1 ? ` and ${prompts.length - 1} more` : "";
  const first = prompts[0] ?? "";
  return `${first.length > 48 ? `${first.slice(0, 47)}…` : first}${more}`;
};

/** Requests of an edit that are shown one by one. */
const SHOWN = 10;

function describe(terminal: Terminal, card: EditCard): string {
  const rows: [string, string][] = [
    ["method", `${card.method}, seed ${card.seed}, ${card.format === "chat" ? "through the chat template" : "plain prompts"}`],
    ["model", card.base],
    ["made upon", card.on.join(", ") || "the unedited model"],
    ["changes", card.changes.join("; ")],
    ["numbers", bytes(card.bytes)],
    ["departures", card.departures.join("; ") || "none from the sourced defaults"],
    ...(card.compat.length ? [["compat", card.compat.join(", ")] as [string, string]] : []),
    ["made by", `Lethe ${card.code}`],
  ];
  const requests = card.requests
    .slice(0, SHOWN)
    .map(
      ({ prompt, subject, target, note }) =>
        `  ${prompt}${subject ? `  [${subject}]` : ""}\n    → ${target ?? "(no target)"}${note === undefined ? "" : `\n      ${note}`}`,
    );
  const rest = card.requests.length > SHOWN ? [`  … and ${card.requests.length - SHOWN} more (--json has them)`] : [];
  return [
    terminal.paint("bold", card.id, terminal.out),
    table(rows.map(([name, value]) => [`  ${name}`, value])),
    ...requests,
    ...rest,
  ].join("\n");
}

export const edits = declare(
  "edits",
  "Shows, lists, stacks and undoes edits.",
  "An edit is one file. A stack is one file with several edits.",
  [
    ["lethe edits list", "the edits of the folder edits"],
    ["lethe edits stack edits/e1 edits/e2 -o edits/both", "two edits as one file"],
    ["lethe edits undo edits/both -o edits/first", "without the last edit"],
  ],
)
  .addCommand(show)
  .addCommand(list)
  .addCommand(stack)
  .addCommand(undo);
