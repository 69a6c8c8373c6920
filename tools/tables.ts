/** The tables of a page, made from what a method or a metric declares. */
import { exportName } from "./shelves.ts";

/** What a page needs to know of a method. */
export interface Declared {
  readonly params: Readonly<Record<string, { readonly default: unknown; readonly doc: string; readonly source: string }>>;
  readonly compat?: Readonly<Record<string, string>>;
}

/** What a page needs to know of a metric. */
export interface Judging {
  readonly better: string;
  readonly reads: readonly string[];
  readonly after: readonly string[];
  readonly compares?: true | "optional";
  readonly caveat: string;
  readonly compat?: Readonly<Record<string, string>>;
}

/** What the list of architectures needs to know of one. */
export interface Shaped {
  readonly name: string;
  readonly claims: readonly string[];
  readonly gguf?: { readonly architecture: string };
}

const [OPEN, CLOSE] = ["<!-- params -->", "<!-- /params -->"];

/** Parameters and compat options as Markdown. */
function paramTable({ params, compat = {} }: Declared): string {
  return [
    ...table(
      ["parameter", "default", "what it is", "from"],
      Object.entries(params).map(([name, p]) => [code(name), shown(p.default), p.doc, p.source]),
    ),
    ...compatTable(compat),
  ].join("\n");
}

/** What a metric is computed from, how it misleads, and its compat names, as Markdown. */
function metricTable({ better, reads, after, compares, caveat, compat = {} }: Judging): string {
  return [
    ...table(
      ["better", "fields", "after", "comparison run"],
      [
        [
          better,
          reads.map(code).join(", ") || "none",
          after.map(code).join(", ") || "none",
          compares === true ? "needed" : (compares ?? "not needed"),
        ],
      ],
    ),
    "",
    `**Caveat.** ${caveat}`,
    ...compatTable(compat),
  ].join("\n");
}

const code = (name: string): string => `\`${name}\``;

function compatTable(compat: Readonly<Record<string, string>>): string[] {
  const quirks = Object.entries(compat).map(([name, doc]) => [code(name), doc]);
  return quirks.length ? ["", ...table(["compat", "what it restores"], quirks)] : [];
}

const shown = (value: unknown): string => (typeof value === "function" ? "by the model" : `\`${JSON.stringify(value)}\``);

const row = (cells: readonly string[]): string =>
  `| ${cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |`;

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string[] => [
  row(head),
  row(head.map(() => "---")),
  ...rows.map(row),
];

/** Architectures with what their checkpoints are called, as Markdown. */
function archTable(archs: readonly Shaped[]): string {
  const rows = archs.map(({ name, claims, gguf }) => [
    `[${name}](${name}.md)`,
    claims.map(code).join(", "),
    gguf ? code(gguf.architecture) : "not read",
  ]);
  return table(["page", "`model_type` in config.json", "`general.architecture` in GGUF"], rows).join("\n");
}

const tableOf = (declared: Declared | Judging | { readonly archs: readonly Shaped[] }): string =>
  "params" in declared ? paramTable(declared) : "archs" in declared ? archTable(declared.archs) : metricTable(declared);

/** The page with its table between the markers made new; undefined when the page has no markers. */
export function withTable(page: string, declared: Parameters<typeof tableOf>[0]): string | undefined {
  const [from, to] = [page.indexOf(OPEN), page.indexOf(CLOSE)];
  if (from < 0 || to < from) return undefined;
  return `${page.slice(0, from)}${OPEN}\n${tableOf(declared)}\n${page.slice(to)}`;
}

/** Loads a declaration from its source. */
export async function declaration<D = Declared>(root: string, file: string, id: string): Promise<D> {
  const loaded = (await import(new URL(file, root).href)) as Record<string, D | undefined>;
  const found = loaded[exportName(id)];
  if (!found) throw new Error(`${file} does not export ${exportName(id)}`);
  return found;
}
