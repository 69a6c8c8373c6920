/** Pools: things that many tasks share, made on first use and freed only while no task uses them. */
import { fail } from "../base/fail.ts";

/** Counts the tasks that are inside; once it is closed, no other task can enter. */
export class Gate {
  private readonly refuse: () => never;
  private inside = 0;
  private isClosed = false;
  private waiting: (() => void)[] = [];

  constructor(refuse: () => never) {
    this.refuse = refuse;
  }

  get isEmpty(): boolean {
    return this.inside === 0;
  }

  /** Runs a task inside; it counts from this call on. Refuses it if the gate is closed. */
  async enter<T>(task: () => Promise<T>): Promise<T> {
    if (this.isClosed) this.refuse();
    this.inside++;
    try {
      return await task();
    } finally {
      this.inside--;
      if (this.isEmpty) for (const go of this.waiting.splice(0)) go();
    }
  }

  /** Closes the gate and waits until all tasks inside are done. */
  async close(): Promise<void> {
    this.isClosed = true;
    if (!this.isEmpty) await new Promise<void>((resolve) => void this.waiting.push(resolve));
  }
}

/** Something that holds memory outside JavaScript. */
export interface Releasable {
  /** Frees the memory; a later use fails. */
  release(): Promise<void>;
}

interface Kept<T> {
  readonly made: Promise<T>;
  readonly users: Gate;
}

/**
 * Lends things by key. An idle thing is kept for later tasks as long as the pool holds no more than `most` things; the least recently used
 * is freed first. Things in use may be more than that.
 */
export class Pool<T extends Releasable> {
  private readonly kept = new Map<string, Kept<T>>(); // the least recently used first
  private readonly most: number;

  constructor(most: number) {
    this.most = most;
  }

  /** Runs a task with the thing of a key; `make` makes it if the pool has none. Nothing frees it until the task is done. */
  async use<R>(key: string, make: () => Promise<T>, task: (thing: T) => Promise<R>): Promise<R> {
    if (!this.kept.has(key)) await this.trim(this.most - 1); // so that the old one and the new one are never in memory together
    const { made, users } = this.lend(key, make);
    try {
      return await users.enter(async () => task(await made));
    } finally {
      await this.trim(this.most);
    }
  }

  /**
   * Frees idle things at once and the others when their last task is done, and waits until all are freed: a task inside must not wait for
   * this. Later tasks get new things.
   */
  async release(): Promise<void> {
    await this.free([...this.kept.keys()]);
  }

  private lend(key: string, make: () => Promise<T>): Kept<T> {
    const one = this.kept.get(key) ?? this.make(key, make);
    this.kept.delete(key);
    this.kept.set(key, one);
    return one;
  }

  private make(key: string, make: () => Promise<T>): Kept<T> {
    const users = new Gate(() => fail("pool", `"${key}", which is freed`, "one that is kept", "", "internal"));
    const one = { made: make(), users };
    one.made.catch(() => this.kept.get(key) === one && this.kept.delete(key)); // the next use tries again
    return one;
  }

  private async trim(most: number): Promise<void> {
    const over = this.kept.size - most;
    if (over > 0) await this.free([...this.kept].flatMap(([key, { users }]) => (users.isEmpty ? [key] : [])).slice(0, over));
  }

  private async free(keys: readonly string[]): Promise<void> {
    const gone = keys.map((key) => this.kept.get(key)!);
    for (const key of keys) this.kept.delete(key);
    await Promise.all(
      gone.map(async ({ made, users }) => {
        await users.close();
        const thing = await made.catch(() => undefined); // its users have seen why it could not be made
        await thing?.release();
      }),
    );
  }
}
