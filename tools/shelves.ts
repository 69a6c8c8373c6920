/** The shelves of the house: folders where one file is one thing, and the registry that is generated from each listing. */

export interface Shelf {
  readonly folder: string;
  /** One word for what an entry is. */
  readonly holds: string;
  /** Files of the folder that are not entries. */
  readonly helpers: readonly string[];
  /** Where an entry's page stands, when each must have one. */
  readonly pages?: string;
  /** The page that has something of every entry, where entries have no page of their own. */
  readonly page?: string;
  /** Whether the law keeps an entry's id out of all other files. */
  readonly named?: true;
  /** What the exported name ends with, where the id alone is a word of the language. */
  readonly suffix?: string;
  /** Whether an entry declares types of its own, which whoever reads the types of the registry must see. */
  readonly typed?: true;
  /** Whether an entry may be a folder with its own craft beside it. */
  readonly folders?: true;
}

export const SHELVES: readonly Shelf[] = [
  { folder: "src/methods", holds: "method", helpers: ["method.ts", "registry.ts"], pages: "docs/methods", named: true, folders: true },
  {
    folder: "src/model/arch",
    holds: "architecture",
    helpers: [
      "arch.ts",
      "forms.ts",
      "gemma-parts.ts",
      "gguf-words.ts",
      "gpt-words.ts",
      "read-config.ts",
      "registry.ts",
      "rotary.ts",
      "usual-blocks.ts",
      "usual.ts",
      "windows.ts",
    ],
    pages: "docs/models",
    named: true,
  },
  { folder: "src/eval/metrics", holds: "metric", helpers: ["metric.ts", "registry.ts"], pages: "docs/metrics" },
  { folder: "src/eval/logs", holds: "log format", helpers: ["log.ts", "registry.ts"], page: "docs/eval.md" },
  { folder: "src/data/sets", holds: "dataset", helpers: ["set.ts", "registry.ts"], page: "docs/data.md" },
  { folder: "src/targets", holds: "target", helpers: ["target.ts", "merge.ts", "registry.ts"], page: "docs/targets.md" },
  { folder: "src/run/steps", holds: "step", helpers: ["registry.ts"], suffix: "Step", page: "docs/runs.md" },
  { folder: "src/run/needs", holds: "need", helpers: ["need.ts", "registry.ts"], suffix: "Need", typed: true, page: "docs/needs.md" },
  { folder: "src/attack", holds: "attack", helpers: ["attack.ts", "asking.ts", "registry.ts"], page: "docs/attacks.md" },
  { folder: "src/report/sinks", holds: "sink", helpers: ["sink.ts", "registry.ts"], page: "docs/sinks.md", folders: true },
];

/** The id of the entry that a path belongs to: NAME.ts, or a file of the folder NAME/ whose NAME.ts is the entry; undefined elsewhere. */
export function entryOf(shelf: Shelf, path: string): string | undefined {
  const [name, ...rest] = path.startsWith(`${shelf.folder}/`) ? path.slice(shelf.folder.length + 1).split("/") : [];
  if (name === undefined) return undefined;
  if (rest.length > 0) return shelf.folders ? name : undefined;
  return name.endsWith(".ts") && !shelf.helpers.includes(name) ? name.slice(0, -3) : undefined;
}

/** The file of an entry among some paths: NAME.ts on the shelf, or NAME.ts in a folder of that name. */
export const fileOf = (shelf: Shelf, id: string, has: (path: string) => boolean): string =>
  shelf.folders && has(`${shelf.folder}/${id}/${id}.ts`) ? `${shelf.folder}/${id}/${id}.ts` : `${shelf.folder}/${id}.ts`;

/** The ids on a shelf, in order, from a listing of paths relative to the repository. */
export const entries = (shelf: Shelf, paths: Iterable<string>): string[] =>
  [...new Set([...paths].flatMap((path) => entryOf(shelf, path) ?? []))].sort();

/** The name that a file exports its entry by: `forget-quality` is `forgetQuality`. */
export const exportName = (id: string, { suffix = "" }: Pick<Shelf, "suffix"> = {}): string =>
  id.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase()) + suffix;

/** The text of a shelf's `registry.ts`. */
export function registryText(shelf: Shelf, ids: readonly string[], has: (path: string) => boolean): string {
  const paths = ids.map((id) => `./${fileOf(shelf, id, has).slice(shelf.folder.length + 1)}`);
  return [
    `/** Every ${shelf.holds} by its id: generated from the listing of this folder by \`npm run fix\`. */`,
    ...(shelf.typed ? paths.map((path) => `import "${path}"; // what it declares of types`) : []),
    ...ids.map((id, i) => `import { ${exportName(id, shelf)} } from "${paths[i]}";`),
    "",
    "export const registry = {",
    ...ids.map((id) => `  "${id}": ${exportName(id, shelf)},`),
    "} as const;",
    "",
    "export type Name = keyof typeof registry;",
    "",
  ].join("\n");
}
