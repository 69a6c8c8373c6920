/** The laws of the house: each reads the files and returns its complaints, none when the house is in order. */
import type { Files } from "./files.ts";
import { lineFinder } from "./lexer.ts";
import { entries, entryOf, exportName, fileOf, type Shelf, SHELVES } from "./shelves.ts";
import { code, imports, matches, quoted, tokensOf } from "./sources.ts";

export type Law = (files: Files) => string[];

const CRAFT = ["edit", "ask", "model", "text", "onnx", "tensor", "data", "base"];
const INNER = ["methods", "targets", "attack", "eval", "causal", "locate", "train", "checkpoint", "hub", ...CRAFT];
const DOORS = ["run", "report", "study", "base"];

/** `room: rooms it may import`; a room imports itself freely. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  base: [],
  tensor: ["base"],
  onnx: ["tensor", "base"],
  text: ["onnx", "tensor", "base"],
  hub: ["base"],
  checkpoint: ["text", "base"],
  data: ["hub", "base"],
  model: ["onnx", "tensor", "checkpoint", "text", "hub", "base"],
  edit: ["model", "text", "tensor", "data", "base"],
  ask: ["edit", "model", "text", "base"],
  causal: ["ask", "model", "text", "onnx", "tensor", "data", "base"],
  targets: ["ask", "model", "text", "data", "base"],
  locate: CRAFT,
  train: CRAFT,
  methods: ["locate", "train", ...CRAFT],
  eval: ["ask", "model", "text", "tensor", "data", "base"],
  attack: ["eval", "locate", "train", ...CRAFT],
  run: INNER,
  testing: [...INNER, "run"],
  report: ["run/record.ts", "run/grid/record.ts", "base"],
  study: ["run/record.ts", "base"],
  serve: DOORS,
  cli: DOORS,
  web: DOORS,
  "index.ts": [...INNER, "run", "report", "study", "serve"],
};

const roomOf = (path: string): string => path.slice("src/".length).split("/")[0]!;

/** Every import in `src/` follows an arrow of the table, ends at a file that is there, and stays out of sibling entries. */
export const importLaw: Law = (files) =>
  code(files, "src").flatMap((path) =>
    imports(files, path).flatMap((target) => {
      const complaint = arrow(files, path, target);
      return complaint ? [`${path}: imports ${target}; ${complaint}`] : [];
    }),
  );

function arrow(files: Files, path: string, target: string): string | undefined {
  if (target === "package.json") return undefined;
  if (!target.startsWith("src/")) return "src/ imports nothing outside itself";
  if (!files.has(target)) return "there is no such file";
  const [from, to] = [roomOf(path), roomOf(target)];
  const allowed = MAY_IMPORT[from];
  if (!allowed) return `the room ${from}/ is not in the table of rooms`;
  if (from !== to)
    return allowed.includes(to) || allowed.includes(target.slice("src/".length))
      ? undefined
      : `${from} may import ${allowed.join(", ") || "nothing"}`;
  const shelf = SHELVES.find(({ folder }) => path.startsWith(`${folder}/`) && target.startsWith(`${folder}/`));
  const ids = shelf ? entries(shelf, [path, target]) : [];
  return ids.length > 1 ? `one ${shelf!.holds} never sees another` : undefined;
}

const GENERATES = "src/model/decode/generate.ts";

/** A model is asked through `src/ask/`, where what could not be asked is an error; other files that have a model generate are listed, each with its reason. */
export const oneAsker = (files: Files, excuses: Readonly<Record<string, string>> = {}): string[] => {
  const users = code(files, "src").filter((path) => imports(files, path, "loaded").includes(GENERATES));
  return [
    ...users
      .filter((path) => !/^src\/(ask|model\/decode)\//.test(path) && !excuses[path])
      .map((path) => `${path}: imports ${GENERATES}; ask through src/ask/`),
    ...Object.keys(excuses)
      .filter((path) => !users.includes(path))
      .map((path) => `${path}: is excused for generating and does not`),
  ];
};

/** No file of `src/` imports itself by way of others. Imports of types count: whoever reads the file follows them too. */
export const noCycles: Law = (files) => {
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    if (trail.includes(path)) found.push(`cycle: ${[...trail.slice(trail.indexOf(path)), path].join(" → ")}`);
    if (done.has(path)) return;
    done.add(path);
    for (const target of imports(files, path)) if (files.has(target) && target.endsWith(".ts")) visit(target, [...trail, path]);
  };
  for (const path of code(files, "src")) visit(path, []);
  return found;
};

/** Craft of one method that stays in `locate/` for now, by file, each with its reason. */
export type OneUser = Readonly<Record<string, string>>;

/** A file of `locate/` has two users: methods that reach it, or another room. The craft of one method is a file beside that method. */
export const locateIsShared = (files: Files, excuses: OneUser = {}): string[] => {
  const shelf = SHELVES.find(({ folder }) => folder === "src/methods")!;
  const users = new Map<string, Set<string>>();
  const reach = (path: string, user: string): void => {
    for (const target of imports(files, path)) {
      if (!target.startsWith("src/locate/") || !files.has(target)) continue;
      const own = users.get(target) ?? new Set<string>();
      users.set(target, own);
      if (own.has(user)) continue;
      own.add(user);
      reach(target, user);
    }
  };
  for (const path of code(files, "src")) {
    if (path.startsWith("src/locate/")) continue;
    reach(path, entryOf(shelf, path) ?? roomOf(path));
  }
  return [...files.keys()]
    .filter((path) => /^src\/locate\/.*\.ts$/.test(path) && !excuses[path] && (users.get(path)?.size ?? 0) < 2)
    .map(
      (path) =>
        `${path}: has ${users.get(path)?.size ?? 0} user (${[...(users.get(path) ?? [])].join(", ") || "none"}); put it beside the method`,
    );
};

/** Words that are an id by accident, by file, each with its reason. */
export type Excuses = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** A method's or an architecture's id is quoted in its own file, in `defaults.json` and in registries, and nowhere else. */
export const noNamesOutOfPlace = (files: Files, excuses: Excuses = {}): string[] =>
  SHELVES.filter((shelf) => shelf.named).flatMap((shelf) => {
    const ids = new Set(entries(shelf, files.keys()));
    const own = (path: string, id: string): boolean => entryOf(shelf, path) === id || /\/(registry\.ts|defaults\.json)$/.test(path);
    return [...files.keys()]
      .filter((path) => path.startsWith("src/"))
      .flatMap((path) =>
        quoted(files, path)
          .filter(({ text }) => ids.has(text) && !own(path, text) && !excuses[path]?.[text])
          .map(({ text, line }) => `${path}:${line}: quotes the ${shelf.holds} "${text}"; read what it declares instead`),
      );
  });

const OUTSIDE =
  /\bprocess\s*\.\s*env\b|(?<![\w.$])console\s*\.|\bDate\s*\.\s*now\b|\bnew\s+Date\s*\(\s*\)|\bperformance\s*\.\s*(?:now|timeOrigin)\b|\bprocess\s*\.\s*hrtime\b/;

/** The environment, the console and the clock are read in `cli/`, `web/` and `base/context.ts` only; chance comes from `base/rng.ts`. */
export const noHiddenInputs: Law = (files) =>
  code(files, "src").flatMap((path) => [
    ...(/^src\/(cli|web)\/|^src\/base\/context\.ts$/.test(path) ? [] : matches(files, path, OUTSIDE, (what) => `${what} belongs to ctx`)),
    ...matches(files, path, /\bMath\s*\.\s*random\b/, (what) => `${what} has no seed; use base/rng.ts`),
  ]);

/** `settings` are the hub's, whose cache is the one that Python's tools share; `past` is what a model has read. */
const CACHE = /(?<!\.)(?<!\b(?:settings|past)\s*\??)\.\s*cache\b|\{[^{}]*\bcache\b[^{}]*\}\s*(?:=\s*(?:\w+\s*\.\s*)*ctx\b|:\s*Context\b)/;

/** What is below a context's cache folder is read and written by `base/kept.ts` only; the doctor and the command line may name the folder. */
export const oneCache: Law = (files) =>
  code(files, "src")
    .filter((path) => !/^src\/(base\/(kept|context)\.ts$|run\/doctor\.ts$|cli\/)/.test(path))
    .flatMap((path) => matches(files, path, CACHE, (what) => `${what} is read by hand; use base/kept.ts`));

const ANY = /(?:[:<|&]\s*|\b(?:as|extends|satisfies)\s+|<[^()<>;]*,\s*)any\b(?!\s*[.(:])/;
const SUPPRESSION =
  /@ts-(?:ignore|expect-error|nocheck)|(?:eslint|oxlint|biome|tslint)-(?:disable|ignore)|biome-ignore|(?:prettier|oxfmt)-ignore/;

/** No `any`, no suppression, no default export, no enum. */
export const noWayAround: Law = (files) =>
  code(files, "src", "test", "parity", "bench", "tools").flatMap((path) => [
    ...(path.endsWith(".ts") ? matches(files, path, ANY, () => "`any` says nothing; say what it is") : []),
    ...tokensOf(files, path)
      .tokens.filter(({ kind, text }) => kind === "comment" && SUPPRESSION.test(text))
      .map(({ text, line }) => `${path}:${line}: ${SUPPRESSION.exec(text)![0]} silences a check`),
    ...(path.endsWith("vitest.config.ts") ? [] : matches(files, path, /\bexport\s+default\b/, () => "a default export has no name")),
    ...matches(files, path, /^\s*(?:export\s+|declare\s+|const\s+)*enum\s+\w/m, () => "an enum; use a union of strings"),
  ]);

/** Every dependency has one exact version and a line saying why it is here; the lock file names no registry. */
export const exactDependencies = (files: Files, why: Readonly<Record<string, string>>): string[] => {
  const manifest = JSON.parse(files.get("package.json") ?? "{}") as Record<string, Record<string, string> | undefined>;
  const wanted = { ...manifest["dependencies"], ...manifest["devDependencies"], ...manifest["optionalDependencies"] };
  return [
    ...Object.entries(wanted)
      .filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))
      .map(([name, version]) => `package.json: ${name} "${version}" is not one exact version`),
    ...Object.keys(wanted)
      .filter((name) => !why[name])
      .map((name) => `package.json: ${name} has no line saying why it is here`),
    ...Object.keys(why)
      .filter((name) => !(name in wanted))
      .map((name) => `${name} is explained but not a dependency`),
    ...(/"resolved"/.test(files.get("package-lock.json") ?? "") ? ["package-lock.json: names the registry it was made with"] : []),
  ];
};

/** Every entry of every shelf exports itself by its name and has a test, and a page or a place on the shelf's page. */
export const oneTestOnePage: Law = (files) =>
  SHELVES.flatMap((shelf) =>
    entries(shelf, files.keys()).flatMap((id) => {
      const source = fileOf(shelf, id, (path) => files.has(path));
      const page = shelf.page ?? `${shelf.pages}/${id}.md`;
      const exported = new RegExp(`\\bexport const ${exportName(id, shelf)}\\b`).test(tokensOf(files, source).code);
      const isOnPage = shelf.page === undefined ? files.has(page) : files.get(page)?.includes(`\`${id}\``);
      return [
        ...(exported ? [] : [`${source}: does not export \`${exportName(id, shelf)}\``]),
        ...(isTested(files, shelf, id) ? [] : [`${source}: no test speaks of it (${shelf.folder.replace("src", "test")}/${id}.test.ts)`]),
        ...(isOnPage ? [] : [shelf.page === undefined ? `${source}: has no page ${page}` : `${source}: ${page} does not have \`${id}\``]),
      ];
    }),
  );

/** A test is the file's mirror, or one that takes the entry by its name from the file or the registry. */
function isTested(files: Files, shelf: Shelf, id: string): boolean {
  const { folder } = shelf;
  if (files.has(`${folder.replace("src", "test")}/${id}.test.ts`)) return true;
  const name = exportName(id, shelf);
  const imported = `\\bimport\\s*\\{[^}]*\\b${name}\\b[^}]*\\}\\s*from\\s*"[^"]*/${id}\\.ts"`;
  const byName = new RegExp(`\\bregistry\\s*(?:\\.\\s*${name}\\b|\\[\\s*"${id}"\\s*\\])|${imported}|\\bstep: "${id}"`);
  const mirror = `${folder.replace("src", "test")}/`;
  return code(files, "test", "parity").some(
    (path) =>
      path.endsWith(".test.ts") &&
      (byName.test(tokensOf(files, path).bare) ||
        (path.startsWith(mirror) &&
          (quoted(files, path).some(({ text }) => text === id) || new RegExp(`\\b${id}:`).test(tokensOf(files, path).code)))),
  );
}

/** A skipped test says why, in a string or a comment on its line or the two above it. */
export const skipsSayWhy: Law = (files) =>
  code(files, "test", "parity", "bench").flatMap((path) => {
    const { code: text, tokens } = tokensOf(files, path);
    const lineAt = lineFinder(text);
    const skips = [...text.matchAll(/\.\s*(?:skip|skipIf|todo|fails|runIf)\b/g)].map((found) => lineAt(found.index));
    const explained = (line: number): boolean =>
      tokens.some(
        (token) =>
          token.line <= line + 1 &&
          token.line >= line - 2 &&
          /\b(?:because|needs?|without|absent|not there|until|only|skipped)\b/i.test(token.text),
      );
    return skips.filter((line) => !explained(line)).map((line) => `${path}:${line}: a skip without its reason (say what it needs)`);
  });

/** Each source file opens with one sentence saying what it holds. */
export const opensWithASentence: Law = (files) =>
  code(files, "src", "test", "parity", "bench", "tools")
    .filter((path) => !/^(#![^\n]*\n)?\/\*\*\s+\S/.test(files.get(path)!))
    .map((path) => `${path}:1: does not open with /** a sentence saying what it holds */`);

/** `src/index.ts` re-exports by name and does nothing else. */
export const indexOnlyReexports: Law = (files) => {
  if (!files.has("src/index.ts")) return [];
  const rest = tokensOf(files, "src/index.ts")
    .bare.replaceAll(/export\s+(?:type\s+)?\{[^}]*\}\s*from\s*"[^"]+"\s*;/g, "")
    .trim();
  return rest ? [`src/index.ts: more than named re-exports: ${rest.slice(0, 60)}`] : [];
};

/** Exported values that no file imports yet: `file name` → the reason. */
export type Unused = Readonly<Record<string, string>>;

const EXPORTED = /^export\s+(?:async\s+)?(?:const|function\s*\*?|(?:abstract\s+)?class)\s+([\w$]+)/gm;

/** A value that a file exports is named in another one that imports the file, or has its path as a text. Types may be exported for whoever reads them. */
export const exportsAreUsed = (files: Files, excuses: Unused = {}): string[] => {
  const readers = new Map<string, string[]>();
  for (const path of code(files, "src", "test", "parity", "bench", "tools"))
    for (const target of new Set([...imports(files, path), ...quoted(files, path).map(({ text }) => text)]))
      if (target !== path && files.has(target)) readers.set(target, [...(readers.get(target) ?? []), path]);
  const unused = code(files, "src", "tools").flatMap((path) =>
    [...tokensOf(files, path).code.matchAll(EXPORTED)]
      .map(([, name]) => name!)
      .filter(
        (name) =>
          !(readers.get(path) ?? []).some((reader) => new RegExp(`(?<![\\w$])${name}(?![\\w$])`).test(tokensOf(files, reader).code)),
      )
      .map((name) => ({ path, name, key: `${path} ${name}` })),
  );
  return [
    ...unused.filter(({ key }) => !excuses[key]).map(({ path, name }) => `${path}: exports ${name}, and no other file uses it`),
    ...Object.keys(excuses)
      .filter((key) => !unused.some((one) => one.key === key))
      .map((key) => `${key}: is excused for having no user and has one`),
  ];
};

const MACHINE = new RegExp(["/", "work", "/(?:main|shared|\\.)"].join(""));

/** No committed text names a folder of the machine it was written on. */
export const noMachinePaths: Law = (files) =>
  [...files].filter(([, text]) => MACHINE.test(text)).map(([path]) => `${path}: names a folder of one machine`);
