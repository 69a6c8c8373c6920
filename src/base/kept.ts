/** The one cache: what can be computed again is kept by a hash of everything it depends on, so that what is there never changes a result. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Codec } from "./codec.ts";
import { checkAbort, type Context } from "./context.ts";
import { fail, LetheError } from "./fail.ts";
import { discard } from "./unfinished.ts";
import { keyOf } from "./hash.ts";
import { lockAll, lockOf } from "./turns.ts";

const WHO = "cache";

/** Everything that decides a value, as {@link keyOf} takes it. */
export type DependsOn = readonly unknown[];

/** What a maker has so far, so that the next one goes on where this one was stopped. It is removed once the thing is made. */
export interface Part {
  /** What was saved last for the same thing; undefined where there is nothing, or nothing that can be read. */
  load<P>(codec: Codec<P>): P | undefined;
  save<P>(codec: Codec<P>, value: P): void;
}

/**
 * A value from the cache; otherwise `make` makes it, and it is kept. Whoever wants it meanwhile, here or in another process of this
 * machine, waits for it. A file that is damaged is made again, with a warning. A cache that cannot be written costs one warning.
 */
export async function kept<T>(
  ctx: Context,
  kind: string,
  dependsOn: DependsOn,
  codec: Codec<T>,
  make: (part: Part) => Promise<T>,
): Promise<T> {
  const all = await keptAll(ctx, kind, new Map([[kind, dependsOn]]), codec, async (_, part) => new Map([[kind, await make(part)]]));
  return all.get(kind)!;
}

/** As {@link kept}, for several values of a kind by name: those that are missing are made together. */
export async function keptAll<K, T>(
  ctx: Context,
  kind: string,
  wanted: ReadonlyMap<K, DependsOn>,
  codec: Codec<T>,
  make: (missing: readonly K[], part: Part) => Promise<ReadonlyMap<K, T>>,
): Promise<ReadonlyMap<K, T>> {
  const { underway } = ctx.making;
  const entries = [...wanted].map(([key, dependsOn]) => ({ key, kind, name: nameOf(kind, dependsOn, codec), codec }));
  const isUnderway = (entry: Place): boolean => !ctx.findsOnly && underway.has(pathOf(ctx, entry));
  const others = entries.filter(isUnderway).map((entry) => ({ entry, theirs: underway.get(pathOf(ctx, entry))! }));
  const own = entries.filter((entry) => !isUnderway(entry));
  const work = found(ctx, own, make);
  for (const entry of ctx.findsOnly ? [] : own) {
    const path = pathOf(ctx, entry);
    const one = work.then((all) => all.get(entry.key)).finally(() => underway.delete(path));
    underway.set(path, one);
    one.catch(() => {}); // whoever waits for it hears of it
  }
  const all = new Map(await work);
  for (const { entry, theirs } of others) {
    const again = async (): Promise<T> => {
      const only = new Map([[entry.key, wanted.get(entry.key)!]]);
      return (await keptAll(ctx, kind, only, codec, make)).get(entry.key)!;
    };
    all.set(entry.key, await joined(theirs as Promise<T>, ctx, again));
  }
  return all;
}

/** A value if it is kept, otherwise undefined. */
export const peek = <T>(ctx: Context, kind: string, dependsOn: DependsOn, codec: Codec<T>): T | undefined =>
  read(ctx, { kind, name: nameOf(kind, dependsOn, codec), codec });

/** Whether a value is kept; its file is not read. */
export const isKept = <T>(ctx: Context, kind: string, dependsOn: DependsOn, codec: Codec<T>): boolean =>
  placesOf(ctx, kind).some((folder) => existsSync(join(folder, kind, nameOf(kind, dependsOn, codec))));

/** Keeps a value in the place of what was kept, such as a note that may change; false where the cache cannot be written. */
export const keep = <T>(ctx: Context, kind: string, dependsOn: DependsOn, codec: Codec<T>, value: T): boolean =>
  write(ctx, pathOf(ctx, { kind, name: nameOf(kind, dependsOn, codec) }), codec, value);

/** What work gives that finds everything it asks the cache for; undefined as soon as it asks for something that would have to be made. */
export async function ifKept<T>(ctx: Context, work: (ctx: Context) => Promise<T>): Promise<T | undefined> {
  try {
    return await work({ ...ctx, findsOnly: true, log: () => {} });
  } catch (error) {
    if (error instanceof NotKept) return undefined;
    throw error;
  }
}

/** A context that keeps things in another folder, and finds as well what this one finds, except some kinds. */
export function layered(ctx: Context, folder: string, except: readonly string[] = []): Context {
  const further = (ctx.behind ?? []).map((place) => ({ ...place, except: [...place.except, ...except] }));
  return { ...ctx, cache: folder, behind: [{ folder: ctx.cache, except }, ...further] };
}

/** A context with a cache of its own, below the folder of the first. */
export const apart = (ctx: Context, ...path: readonly string[]): Context => ({ ...ctx, cache: join(ctx.cache, ...path) });

/** A folder for the state of work that may be stopped, such as checkpoints. */
export interface WorkFolder {
  readonly path: string;
  /** Warns of a file of the folder that cannot be read or written. */
  readonly lost: (error: unknown) => void;
}

/**
 * Does work that has a folder of its own, the same one whenever it depends on the same. The folder stays where the work is stopped, and is
 * removed once it is done. While another process does the same work there is no folder.
 */
export async function inWorkFolder<T>(
  ctx: Context,
  kind: string,
  dependsOn: DependsOn,
  work: (folder: WorkFolder | undefined) => Promise<T>,
): Promise<T> {
  const path = join(ctx.cache, kind, keyOf(kind, ...dependsOn));
  const lock = lockOf(path);
  if (typeof lock === "object") {
    ctx.log({ kind: "note", who: WHO, text: `process ${lock.pid} on ${lock.host} does the same work; this one keeps no checkpoints` });
    return work(undefined);
  }
  const lost = (error: unknown): void => {
    if (!(error instanceof LetheError)) throw error;
    tell(ctx, `work that is stopped now may have to begin anew (${error.message})`, path);
  };
  try {
    const result = await work({ path, lost });
    discard(path);
    return result;
  } finally {
    lock?.();
  }
}

/** Thrown where work that may only find things asks for one that is not kept. */
class NotKept extends LetheError {
  constructor(kind: string) {
    super(WHO, `something of the ${kind} is not kept`, "work inside ifKept", "", "internal");
  }
}

/** A file of the cache by its name. */
interface Place {
  readonly kind: string;
  readonly name: string;
}

interface Entry<T> extends Place {
  readonly codec: Codec<T>;
}

const nameOf = <T>(kind: string, dependsOn: DependsOn, codec: Codec<T>): string => `${keyOf(kind, codec.id, ...dependsOn)}.${codec.ends}`;

const pathOf = (ctx: Context, { kind, name }: Place): string => join(ctx.cache, kind, name);

/** The folders that are read, the nearest first. */
const placesOf = (ctx: Context, kind: string): string[] => [
  ctx.cache,
  ...(ctx.behind ?? []).flatMap(({ folder, except }) => (except.includes(kind) ? [] : [folder])),
];

/** Entries as they are found; those that are missing are made and written. */
async function found<K, T>(
  ctx: Context,
  entries: readonly (Entry<T> & { readonly key: K })[],
  make: (missing: readonly K[], part: Part) => Promise<ReadonlyMap<K, T>>,
): Promise<ReadonlyMap<K, T>> {
  const all = new Map<K, T>();
  const look = (among: typeof entries): typeof entries =>
    among.filter((entry) => {
      const value = read(ctx, entry);
      if (value === undefined) return true;
      all.set(entry.key, value);
      if (!ctx.findsOnly) discard(partFolder(ctx, entry)); // a process that was killed at the last moment may have left it
      return false;
    });
  const missing = look(entries);
  if (missing.length === 0) return all;
  if (ctx.findsOnly) throw new NotKept(missing[0]!.kind);
  const paths = missing.map((entry) => pathOf(ctx, entry));
  const release = await lockAll(paths, missing[0]!.kind, ctx);
  try {
    const still = look(missing); // another process may have made it while this one waited
    if (still.length === 0) return all;
    const part = partOf(ctx, still);
    const made = await make(
      still.map(({ key }) => key),
      part,
    );
    for (const entry of still) {
      const value = made.get(entry.key) ?? fail(WHO, `nothing for one of the ${entry.kind}`, "what was to be made", "", "internal");
      write(ctx, pathOf(ctx, entry), entry.codec, value);
      all.set(entry.key, value);
    }
    part.remove();
    return all;
  } finally {
    release();
  }
}

/** What another call of this process makes; where that one is stopped and this one is not, it is made again. */
async function joined<T>(theirs: Promise<T>, ctx: Context, again: () => Promise<T>): Promise<T> {
  checkAbort(ctx, WHO);
  let stop = (): void => {};
  const stopped = new Promise<undefined>((resolve) => {
    stop = () => resolve(undefined);
    ctx.signal.addEventListener("abort", stop, { once: true });
  });
  try {
    await Promise.race([theirs, stopped]);
    checkAbort(ctx, WHO);
    return await theirs;
  } catch (error) {
    if (error instanceof LetheError && error.trouble === "aborted" && !ctx.signal.aborted) return again();
    throw error;
  } finally {
    ctx.signal.removeEventListener("abort", stop);
  }
}

function read<T>(ctx: Context, { kind, name, codec }: Entry<T>): T | undefined {
  for (const folder of placesOf(ctx, kind)) {
    const path = join(folder, kind, name);
    if (!existsSync(path)) continue;
    try {
      return codec.read(path);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      tell(ctx, `a file of the ${kind} is damaged and counts as not there (${why})`);
    }
  }
  return undefined;
}

function write<T>(ctx: Context, path: string, codec: Codec<T>, value: T): boolean {
  try {
    codec.write(path, value);
    return true;
  } catch (error) {
    if (!(error instanceof LetheError) || error.trouble !== "unavailable") throw error;
    tell(ctx, `the cache cannot be written (${error.message}); what it lacks is made again each time`, ctx.cache);
    return false;
  }
}

/** Warns, once a log and subject. */
function tell(ctx: Context, text: string, subject = text): void {
  const told = ctx.making.told.get(ctx.log) ?? new Set();
  ctx.making.told.set(ctx.log, told);
  if (told.has(subject)) return;
  told.add(subject);
  ctx.log({ kind: "warning", who: WHO, text });
}

/** Beside the first of several entries that are made together; the file in it is named by all of them. */
function partOf(ctx: Context, entries: readonly Entry<unknown>[]): Part & { remove(): void } {
  const { kind, name } = entries[0]!;
  const id = keyOf(...entries.map((entry) => entry.name));
  const at = <P>(codec: Codec<P>): Entry<P> => ({ kind: join(kind, `${name}.part`), name: `${id}.${codec.ends}`, codec });
  return {
    load: (codec) => read({ ...ctx, behind: [] }, at(codec)),
    save: (codec, value) => void write(ctx, pathOf(ctx, at(codec)), codec, value),
    remove: () => discard(partFolder(ctx, { kind, name })),
  };
}

const partFolder = (ctx: Context, entry: Place): string => `${pathOf(ctx, entry)}.part`;
