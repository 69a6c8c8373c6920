/** The parameter table of a method's page, made from the method's declaration. */
import { exportName } from "./shelves.ts";

/** What a page needs to know of a method. */
export interface Declared {
  readonly params: Readonly<Record<string, { readonly default: unknown; readonly doc: string; readonly source: string }>>;
  readonly compat?: Readonly<Record<string, string>>;
}

const [OPEN, CLOSE] = ["<!-- params -->", "<!-- /params -->"];

/** Parameters and compat options as Markdown. */
export function paramTable({ params, compat = {} }: Declared): string {
  const quirks = Object.entries(compat);
  return [
    ...table(
      ["parameter", "default", "what it is", "from"],
      Object.entries(params).map(([name, p]) => [`\`${name}\``, shown(p.default), p.doc, p.source]),
    ),
    ...(quirks.length
      ? [
          "",
          ...table(
            ["compat", "what it restores"],
            quirks.map(([name, doc]) => [`\`${name}\``, doc]),
          ),
        ]
      : []),
  ].join("\n");
}

const shown = (value: unknown): string => (typeof value === "function" ? "by the model" : `\`${JSON.stringify(value)}\``);

const row = (cells: readonly string[]): string =>
  `| ${cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |`;

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string[] => [
  row(head),
  row(head.map(() => "---")),
  ...rows.map(row),
];

/** The page with its table between the markers made new; undefined when the page has no markers. */
export function withTable(page: string, declared: Declared): string | undefined {
  const [from, to] = [page.indexOf(OPEN), page.indexOf(CLOSE)];
  if (from < 0 || to < from) return undefined;
  return `${page.slice(0, from)}${OPEN}\n${paramTable(declared)}\n${page.slice(to)}`;
}

/** Loads a method's declaration from its source. */
export async function declaration(root: string, folder: string, id: string): Promise<Declared> {
  const loaded = (await import(new URL(`${folder}/${id}.ts`, root).href)) as Record<string, Declared | undefined>;
  const found = loaded[exportName(id)];
  if (!found) throw new Error(`${folder}/${id}.ts does not export ${exportName(id)}`);
  return found;
}
