/** Data as a command names it: a file of one's own, a published dataset's behind its name, or either on the hub. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { breakable } from "../base/bounded.ts";
import { breather, type Context } from "../base/context.ts";
import { fail, nearest } from "../base/fail.ts";
import { rng } from "../base/rng.ts";
import { isRecord } from "../base/store.ts";
import { arrange, asFields, parseColumns, suggestColumns } from "./columns.ts";
import type { Located } from "./records.ts";
import { eachRow, filled, type ForgetRequest, fromRows, hasGap, type QA, questionsFromRows, REQUEST_KEYS } from "./request.ts";
import { registry } from "./sets/registry.ts";
import { type DataSet, givenFor, type Loaded, noStray, readSubjects } from "./sets/set.ts";
import { isTable, pickFiles, rowsIn, stemOf } from "./source.ts";
import { findSubject } from "./subject.ts";
import { resolveDataset } from "../hub/hub.ts";

const WHO = "data";
const SETS: Readonly<Record<string, DataSet>> = registry;

export interface DataOptions {
  /** Which column is which field, of data in a layout of its own: `prompt=question,answer=reply`. */
  readonly columns?: string;
  /** A file of subjects by row, for data that names none. */
  readonly subjects?: string;
  /** Only so many requests: the first, or with a seed so many drawn, in their order. */
  readonly limit?: number;
  readonly seed?: number;
}

/** Questions whose answers must not change: a file of our own format, of questions or of requests, or a published dataset's as for requests. */
export async function questionsIn(spec: string, ctx: Context, options: DataOptions = {}): Promise<QA[]> {
  const { set, path, split, groups } = named(spec);
  if (set !== undefined || options.columns !== undefined || groups !== undefined) {
    const { requests } = await requestsIn(spec, ctx, options);
    return asQuestions(requests);
  }
  const { records, stem, hasColumns } = await ownRows(path, split, ctx);
  if (claimant(records) !== undefined) return asQuestions((await requestsIn(spec, ctx, options)).requests);
  const rows = hasColumns ? asFields(records) : records;
  const breathe = breather(ctx, WHO);
  const found = areRequests(rows) ? asQuestions(await fromRows(rows, stem, breathe)) : await questionsFromRows(rows, stem, breathe);
  return taken(found, options);
}

const areRequests = (rows: readonly Located[]): boolean =>
  rows.length > 0 && rows.every(({ value }) => isRecord(value) && "prompt" in value);
const asQuestions = (requests: readonly ForgetRequest[]): QA[] =>
  requests.map(({ id, prompt, answer }) => ({ id, question: prompt, answer }));

/**
 * `[SET:]PLACE[#SPLIT]`: PLACE is a file (JSONL, JSON, CSV, TSV, parquet), a folder of such, or a dataset of the hub (org/name[@revision]); SET
 * is the id of a published dataset whose layout it has; SPLIT chooses among several files, and of one file the rows of some groups:
 * `#A,B*`, or all but those, `#-A,B*`. Refuses an id that no dataset has, and a group that no row is of.
 */
export async function requestsIn(spec: string, ctx: Context, options: DataOptions = {}): Promise<Loaded> {
  const { groups, path } = named(spec);
  const all = await allIn(spec, ctx, options);
  return limited(groups === undefined ? all : ofGroups(all, groups, basename(path)), options);
}

async function allIn(spec: string, ctx: Context, { columns, subjects }: DataOptions): Promise<Loaded> {
  const { set, path, split } = named(spec);
  if (set === undefined) {
    const { records, stem, name, hasColumns, file } = await ownRows(path, split, ctx);
    const owner = columns === undefined ? claimant(records) : undefined;
    if (owner) {
      ctx.log({ kind: "note", who: "data", text: `${name} has the layout of ${owner.name}` });
      return withGapsFilled(owner.read({ path: file, records, ...(subjects !== undefined && { subjects }) }));
    }
    if (columns === undefined) refuseOthers(records, name);
    const fields = columns === undefined ? (hasColumns ? asFields(records) : records) : arrange(records, parseColumns(columns), name);
    const isOpen = subjects !== undefined;
    return withSubjects(await fromRows(fields, stem, breather(ctx, WHO), { isOpen }), subjects, ctx);
  }
  if (columns !== undefined)
    fail(
      "--columns",
      `${columns} for ${set.name}`,
      "nothing: a published dataset has the columns it has",
      `Leave out "${set.name}:" for data of your own.`,
    );
  const source = await filesAt(path, split, set, ctx);
  const given = { ...(subjects !== undefined && { subjects }), ...(split !== undefined && { split }) };
  const readIn = (more: Parameters<DataSet["read"]>[0]): Promise<Loaded> =>
    breakable(WHO, () => withGapsFilled(set.read({ ...given, ...more })));
  if (source.isWhole) return readIn({ path: source.folder! });
  const [file] = source.files;
  // the file's name tells the split where nobody said
  const records = source.files.length > 1 || isTable(file!) ? { records: await rowsOf(source.files, ctx) } : {};
  return readIn({ ...(source.folder !== undefined && { split: stemOf(file!) }), path: file!, ...records });
}

const withGapsFilled = ({ requests, guessed }: Loaded): Loaded => ({ requests: requests.map((one) => filled(one, one.id)), guessed });

/** The dataset that all rows can be of, and no other. */
function claimant(records: readonly Located[]): DataSet | undefined {
  const owners = Object.values(SETS).filter(({ claims }) => claims && records.every(({ value }) => isRecord(value) && claims(value)));
  return owners.length === 1 ? owners[0] : undefined;
}

/** The requests of some groups, or behind a minus sign of all but those; a star stands for any letters. */
function ofGroups({ requests, guessed }: Loaded, wanted: string, name: string): Loaded {
  const there = [...new Set(requests.flatMap(({ group }) => group ?? []))];
  if (there.length === 0) fail(name, `#${wanted} of one file`, "rows that have a group", "Leave out what stands behind #.");
  const isLeftOut = wanted.startsWith("-");
  const named = new Set<string>();
  for (const pattern of wanted.slice(Number(isLeftOut)).split(",")) {
    const form = new RegExp(`^${pattern.trim().split("*").map(escaped).join(".*")}$`, "s");
    const meant = there.filter((group) => form.test(group));
    if (meant.length === 0) {
      const near = nearest(pattern, there);
      fail(name, `no row is of the group "${pattern}"`, there.slice(0, 20).join(", "), near ? `Did you mean "${near}"?` : "");
    }
    for (const group of meant) named.add(group);
  }
  return only(
    requests.filter(({ group }) => (group !== undefined && named.has(group)) !== isLeftOut),
    guessed,
  );
}

const escaped = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&");

/** Refuses rows that are in another layout: none has a prompt, or one has a key that no field is near to. Shows what --columns could say of them. */
function refuseOthers(records: readonly Located[], name: string): void {
  const keys = new Set(records.flatMap(({ value }) => (isRecord(value) ? Object.keys(value) : [])));
  const strange = [...keys].find((key) => !REQUEST_KEYS.includes(key) && nearest(key, REQUEST_KEYS) === undefined);
  // the reader of requests reports a misspelt field
  const isOurs = keys.has("prompt") ? strange === undefined : [...keys].some((key) => nearest(key, ["prompt"]) !== undefined);
  if (keys.size === 0 || isOurs) return;
  const suggested = suggestColumns(records);
  const first = records.find(({ value }) => isRecord(value) && strange !== undefined && Object.hasOwn(value, strange));
  fail(
    (keys.has("prompt") ? first : records[0])?.place ?? name,
    keys.has("prompt") ? `field "${strange}" is not known` : `no row has a field "prompt"; there are ${[...keys].slice(0, 12).join(", ")}`,
    REQUEST_KEYS.join(", "),
    `${suggested === undefined ? "Say which column is which, such as --columns prompt=COLUMN,answer=COLUMN" : `Say which column is which: --columns ${suggested}`}. Or say whose layout it is: SET:FILE (lethe data lists the sets).`,
  );
}

interface Named {
  readonly set?: DataSet;
  readonly path: string;
  readonly split?: string;
  /** Of one file. */
  readonly groups?: string;
}

/** A dataset's id, where the data is, and which part of it; a file of that very name goes before. */
function named(spec: string): Named {
  const [, name, rest] = existsSync(spec) ? [] : (/^([A-Za-z][\w-]+):(?!\/\/)(.+)$/s.exec(spec) ?? []);
  const place = rest ?? spec;
  const hash = existsSync(place) ? -1 : place.lastIndexOf("#");
  const at = hash > 0 && hash < place.length - 1 ? partOf(place.slice(0, hash), place.slice(hash + 1)) : { path: place };
  if (name === undefined) return at;
  if (Object.hasOwn(SETS, name)) return { set: SETS[name]!, ...at };
  const near = nearest(name, Object.keys(SETS));
  return fail("--data", `there is no dataset "${name}"`, `one of ${Object.keys(SETS).join(", ")}`, near ? `Did you mean "${near}"?` : "");
}

const partOf = (path: string, part: string): Named =>
  existsSync(path) && statSync(path).isFile() ? { path, groups: part } : { path, split: part };

/** Whether a spec names a published dataset, whose layout is known. */
export const namesSet = (spec: string): boolean => named(spec).set !== undefined;

interface Source {
  readonly files: readonly string[];
  /** The folder that they were chosen from. */
  readonly folder?: string;
  /** Whether that folder is the dataset. */
  readonly isWhole?: boolean;
}

/** `hf://datasets/org/name[@revision][/file]`, as other tools write it, or `org/name[@revision]` where no such file is here. */
function hubPlace(path: string): { readonly id: string; readonly file?: string } | undefined {
  const [, org, name, revision = "", file] = /^hf:\/\/datasets\/([\w.-]+)\/([\w.-]+)(@[\w.-]+)?(?:\/(.+))?$/.exec(path) ?? [];
  if (org) return { id: `${org}/${name}${revision}`, ...(file !== undefined && { file }) };
  const isId = /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*(@[\w./-]+)?$/.test(path) && !/\.(jsonl?|csv|tsv|parquet|txt|ya?ml)$/i.test(path);
  return isId ? { id: path } : undefined;
}

/** The files that are meant, brought from the hub where they lie there; says which, where there was a choice. */
async function filesAt(path: string, split: string | undefined, set: DataSet | undefined, ctx: Context): Promise<Source> {
  const own = (names: readonly string[]): string[] => (set?.files ? names.filter((name) => set.files!.test(name)) : []);
  const choose = (names: readonly string[]): string[] | string => {
    const whole = own(names);
    return whole.length > 0 ? whole : pickFiles(names, split, set?.richer);
  };
  const hub = existsSync(path) ? undefined : hubPlace(path);
  if (hub) {
    const only = hub.file;
    const { folder, names } = await resolveDataset(
      hub.id,
      only === undefined ? choose : (listed) => (listed.includes(only) ? [only] : `a file ${only}`),
      ctx,
    );
    ctx.log({ kind: "note", who: "data", text: `reading ${names.slice(0, 5).join(", ")}${names.length > 5 ? ", …" : ""} of ${hub.id}` });
    return { files: names.map((name) => join(folder, name)), folder, isWhole: only === undefined && own(names).length > 0 };
  }
  if (!existsSync(path) || !statSync(path).isDirectory()) {
    return { files: [path] };
  }
  const names = listing(path);
  if (own(names).length > 0) return { files: [], folder: path, isWhole: true };
  const chosen = choose(names);
  if (typeof chosen === "string")
    return fail(
      path,
      split === undefined ? "it is a folder" : `it has no split "${split}"`,
      chosen,
      "Name a file, or a split: FOLDER#SPLIT.",
    );
  if (split === undefined) ctx.log({ kind: "note", who: "data", text: `reading ${chosen.join(", ")} of ${path}` });
  return { files: chosen.map((name) => join(path, name)), folder: path };
}

/** Paths of a folder's files, three deep, joined by "/". */
function listing(folder: string, depth = 3): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (!statSync(path).isDirectory()) return [entry.name];
    return depth === 0 || entry.name.startsWith(".") ? [] : listing(path, depth - 1).map((name) => `${entry.name}/${name}`);
  });
}

/** Rows of data in a layout of its own, with the beginning of their ids. */
async function ownRows(
  path: string,
  split: string | undefined,
  ctx: Context,
): Promise<{
  readonly records: Located[];
  readonly stem: string;
  readonly name: string;
  readonly hasColumns: boolean;
  readonly file: string;
}> {
  const { files } = await filesAt(path, split, undefined, ctx);
  const file = files[0]!;
  return {
    records: await rowsOf(files, ctx),
    stem: files.length > 1 ? stemOf(file) : basename(file, extname(file)),
    name: basename(file),
    hasColumns: isTable(file),
    file,
  };
}

/** Rows of files one behind the other, numbered through. */
async function rowsOf(files: readonly string[], ctx: Context): Promise<Located[]> {
  if (files.length === 1) return rowsIn(files[0]!, basename(files[0]!), ctx);
  const all: Located[] = [];
  for (const file of files) for (const row of await rowsIn(file, basename(file), ctx)) all.push({ ...row, at: all.length + 1 });
  return all;
}

/** Subjects as a file gives them, as the data has them, or as the question spells them; the last are told. */
async function withSubjects(requests: readonly ForgetRequest[], file: string | undefined, ctx: Context): Promise<Loaded> {
  const given = file === undefined ? undefined : readSubjects(file);
  const guessed: string[] = [];
  const subjectOf = (request: ForgetRequest, row: number): ForgetRequest => {
    const known = givenFor(given, row, request.prompt);
    if (known) {
      const paraphrases = known.rephrase === undefined ? request.paraphrases : [...request.paraphrases, known.rephrase];
      return filled({ ...request, subject: known.subject, paraphrases }, request.id);
    }
    if (hasGap(request)) return filled(request, request.id);
    if (request.subject.trim() !== "") return request;
    const subject = findSubject(request.prompt);
    if (subject === undefined) return request;
    guessed.push(request.id);
    return { ...request, subject };
  };
  const found = await eachRow(requests, subjectOf, breather(ctx, WHO));
  noStray(given, requests.length);
  return { requests: found, guessed };
}

function limited({ requests, guessed }: Loaded, options: DataOptions): Loaded {
  return only(taken(requests, options), guessed);
}

/** Some of the requests, and which of them have a guessed subject. */
function only(requests: readonly ForgetRequest[], guessed: readonly string[]): Loaded {
  const ids = new Set(requests.map(({ id }) => id));
  return { requests, guessed: guessed.filter((id) => ids.has(id)) };
}

/** The first of the rows, or with a seed as many drawn, in the order of the file. */
function taken<T>(rows: readonly T[], { limit, seed }: DataOptions): T[] {
  if (limit === undefined || limit >= rows.length) return [...rows];
  if (seed === undefined) return rows.slice(0, limit);
  const drawn = rng(seed)
    .split("rows")
    .shuffled([...rows.keys()])
    .slice(0, limit);
  return drawn.sort((a, b) => a - b).map((i) => rows[i]!);
}
