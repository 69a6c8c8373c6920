/** The queue of a grid in PostgreSQL: jobs by pg-boss, and the workers with their heartbeats. It holds no results. */
import { randomUUID } from "node:crypto";
import PgBoss from "pg-boss";
import { type Context, pause } from "../../base/context.ts";
import { fail } from "../../base/fail.ts";
import type { NestedSpec } from "../fields.ts";
import type { Tags } from "./tags.ts";

/** A step as a worker gets it. */
export interface StepJob {
  readonly grid: string;
  /** The step in words. */
  readonly label: string;
  readonly spec: NestedSpec;
  /** The id of the run that it must become. */
  readonly run: string;
  /** The ids of the runs that it needs, by the hash of their specs. */
  readonly needs: Readonly<Record<string, string>>;
  readonly cache?: string;
  readonly threads: number;
  readonly encoder?: string;
  readonly force: boolean;
}

/** A job that a worker took. */
export interface Taken {
  readonly id: string;
  readonly queue: string;
  readonly data: StepJob;
}

/** The state of a job. A job with the state `lost` was given up, because too many of its workers were lost. `losses` is the number of lost workers. */
export type JobState = (
  | { readonly state: "waiting" | "active" | "done" }
  | { readonly state: "failed" | "lost"; readonly reason: string }
) & { readonly losses: number };

/** What a worker says of itself. */
export interface Identity {
  readonly name: string;
  readonly build: string;
  readonly tags: Tags;
}

/** A worker as a listing shows it. */
export interface WorkerCard {
  readonly id: string;
  readonly isAlive: boolean;
  readonly label: string | null;
  readonly tags: Tags;
}

/** The schema of the database that holds everything. */
const SCHEMA = "lethe";
/** How often a step is given to another worker after a worker was lost. */
const RETRIES = 3;
/** Seconds without a heartbeat after which a worker counts as lost, if nothing else is said. */
export const LOST_AFTER = 60;
/** Hours after which pg-boss gives up a job; its bound. Heartbeats find lost workers long before. */
const HOURS = 23;

/** The tables. Two processes that make them at once would refuse each other, so a lock lets one go first. */
const TABLES = `
BEGIN;
SELECT pg_advisory_xact_lock(7265341);
CREATE TABLE IF NOT EXISTS ${SCHEMA}.grid_worker (id text PRIMARY KEY, build text NOT NULL, seen timestamptz NOT NULL, job uuid, label text, tags jsonb NOT NULL);
CREATE TABLE IF NOT EXISTS ${SCHEMA}.grid_queue (name text PRIMARY KEY, needs jsonb NOT NULL);
CREATE TABLE IF NOT EXISTS ${SCHEMA}.grid_step (run text PRIMARY KEY, job uuid NOT NULL, queue text NOT NULL, label text NOT NULL);
CREATE TABLE IF NOT EXISTS ${SCHEMA}.grid_claim (run text PRIMARY KEY, worker text NOT NULL);
CREATE TABLE IF NOT EXISTS ${SCHEMA}.grid_build (one boolean PRIMARY KEY DEFAULT true CHECK (one), build text NOT NULL);
CREATE TABLE IF NOT EXISTS ${SCHEMA}.grid_store (one boolean PRIMARY KEY DEFAULT true CHECK (one), id text NOT NULL, path text NOT NULL);
COMMIT;`;

type Row = Readonly<Record<string, unknown>>;

/** An open queue. Every call waits while the server is away. */
export class Queue {
  private readonly boss: PgBoss;
  private readonly ctx: Context;
  /** Seconds without a heartbeat after which a worker counts as lost. */
  private readonly lostAfter: number;
  private isAway = false;

  constructor(boss: PgBoss, ctx: Context, lostAfter: number) {
    [this.boss, this.ctx, this.lostAfter] = [boss, ctx, lostAfter];
  }

  async close(): Promise<void> {
    await this.boss.stop({ graceful: false, wait: false }).catch(() => {});
  }

  /** Says which build the grid has. Refuses while workers of another build are at work. */
  async claimBuild(build: string): Promise<void> {
    const others = await this.rows(`SELECT id FROM ${SCHEMA}.grid_worker WHERE build <> $1 AND ${this.alive("grid_worker")}`, [build]);
    if (others.length > 0)
      fail(
        "grid",
        `worker ${String(others[0]!["id"])} has another build of Lethe`,
        "workers of this build",
        "Stop it, install the same version with the same plugins there, and start it again.",
        "unavailable",
      );
    const text = `INSERT INTO ${SCHEMA}.grid_build (build) VALUES ($1) ON CONFLICT (one) DO UPDATE SET build = $1`;
    await this.rows(text, [build]);
  }

  /** Refuses a worker of another build than the grid's. */
  async checkBuild(build: string): Promise<void> {
    const [row] = await this.rows(`SELECT build FROM ${SCHEMA}.grid_build`);
    if (row && row["build"] !== build)
      fail(
        "worker",
        `this is build ${build}, and the grid of the queue has build ${String(row["build"])}`,
        "the build of the grid",
        "Install the version and the plugins that `lethe grid run --queue` has, or start the grid again with this build.",
        "unavailable",
      );
  }

  /** Says where the results are. Refuses a second store: a step that is done in one would never arrive in the other. */
  async claimStore(id: string, path: string): Promise<void> {
    await this.rows(`INSERT INTO ${SCHEMA}.grid_store (id, path) VALUES ($1, $2) ON CONFLICT DO NOTHING`, [id, path]);
    await this.checkStore("grid", id, path);
  }

  /** Refuses another folder than the one that holds the results; before a grid has said which, any will do. */
  async checkStore(who: string, id: string | undefined, path: string): Promise<void> {
    const [row] = await this.rows(`SELECT id, path FROM ${SCHEMA}.grid_store`);
    if (row && row["id"] !== id)
      fail(
        who,
        `--store ${path} is not the store of this queue, which is ${String(row["path"])} where the grid was started`,
        "the folder that holds the results of the queue",
        "Give --store that folder, or use another database for another store (createdb NAME).",
        "unavailable",
      );
  }

  /** Puts a step into the queue of its needs, once. Returns its job. */
  async send(queue: string, needs: Tags, data: StepJob): Promise<string> {
    await this.patient(async () => {
      if (!(await this.boss.getQueue(queue)))
        await this.boss.createQueue(queue, { name: queue, retryLimit: RETRIES, expireInHours: HOURS, retentionDays: 90 });
    });
    await this.rows(`INSERT INTO ${SCHEMA}.grid_queue VALUES ($1, $2) ON CONFLICT DO NOTHING`, [queue, JSON.stringify(needs)]);
    const text = `INSERT INTO ${SCHEMA}.grid_step VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`;
    await this.rows(text, [data.run, randomUUID(), queue, data.label]);
    const [row] = await this.rows(`SELECT job FROM ${SCHEMA}.grid_step WHERE run = $1`, [data.run]);
    const id = String(row!["job"]);
    await this.patient(() => this.boss.send(queue, data, { id, retryLimit: RETRIES, expireInHours: HOURS })); // a job of that id stays
    return id;
  }

  /** Takes a step out of the queue, so that it can be put in again. */
  async forget(run: string): Promise<void> {
    const job = `id IN (SELECT job FROM ${SCHEMA}.grid_step WHERE run = $1) AND state <> 'active'`;
    await this.rows(`DELETE FROM ${SCHEMA}.job WHERE ${job}`, [run]);
    await this.rows(`DELETE FROM ${SCHEMA}.grid_step WHERE run = $1`, [run]);
  }

  /** The states of jobs; a job that the database no longer has is left out. */
  async states(jobs: readonly string[]): Promise<ReadonlyMap<string, JobState>> {
    const rows = await this.rows(`SELECT id, state, output, retry_count FROM ${SCHEMA}.job WHERE id = ANY($1::uuid[])`, [jobs]);
    return new Map(rows.map((row) => [String(row["id"]), stateOf(row)]));
  }

  /** The steps that were given up, because too many workers were lost with them. */
  async deadLetters(): Promise<{ readonly label: string; readonly reason: string }[]> {
    const text = `SELECT data, state, output, retry_count FROM ${SCHEMA}.job WHERE state = 'failed' AND name LIKE 'steps-%' ORDER BY completed_on`;
    return (await this.rows(text)).map((row) => {
      const state = stateOf(row);
      return { label: (row["data"] as StepJob).label, reason: "reason" in state ? state.reason : "" };
    });
  }

  async workers(): Promise<WorkerCard[]> {
    const text = `SELECT id, label, tags, ${this.alive("grid_worker")} AS alive FROM ${SCHEMA}.grid_worker ORDER BY id`;
    return (await this.rows(text)).map((row) => ({
      id: String(row["id"]),
      isAlive: row["alive"] === true,
      label: row["label"] === null ? null : String(row["label"]),
      tags: row["tags"] as Tags,
    }));
  }

  /** Takes a step whose needs the worker has; undefined if there is none. */
  async take(has: (needs: Tags) => boolean): Promise<Taken | undefined> {
    const queues = await this.rows(`SELECT name, needs FROM ${SCHEMA}.grid_queue ORDER BY name`);
    for (const { name, needs } of queues) {
      if (!has(needs as Tags)) continue;
      const [job] = await this.patient(() => this.boss.fetch<StepJob>(String(name)));
      if (job) return { id: job.id, queue: job.name, data: job.data };
    }
    return undefined;
  }

  /** Says that a worker lives, and what it works at. */
  async beat({ name, build, tags }: Identity, job: Taken | undefined): Promise<void> {
    const text = `INSERT INTO ${SCHEMA}.grid_worker VALUES ($1, $2, now(), $3, $4, $5)
      ON CONFLICT (id) DO UPDATE SET seen = now(), job = $3, label = $4`;
    await this.boss.getDb().executeSql(text, [name, build, job?.id ?? null, job?.data.label ?? null, JSON.stringify(tags)]);
  }

  /** Gives the steps of lost workers to others, or gives them up. A server that was away itself has seen nobody for a while. */
  async reclaim(): Promise<void> {
    const text = `UPDATE ${SCHEMA}.job AS job SET
        state = CASE WHEN retry_count < retry_limit THEN 'retry' ELSE 'failed' END::${SCHEMA}.job_state,
        completed_on = CASE WHEN retry_count < retry_limit THEN NULL ELSE now() END,
        output = jsonb_build_object('lost', retry_count + 1)
      WHERE state = 'active' AND name LIKE 'steps-%'
        AND started_on < now() - ${this.patience()} AND pg_postmaster_start_time() < now() - ${this.patience()}
        AND NOT EXISTS (SELECT 1 FROM ${SCHEMA}.grid_worker w WHERE w.job = job.id AND ${this.alive("w")})`;
    await this.rows(text);
  }

  /** Ends a job: the step is in the store, or it failed for this reason. */
  async complete({ queue, id }: Taken, reason?: string): Promise<void> {
    await this.patient(() => this.boss.complete(queue, id, reason === undefined ? {} : { failed: reason }));
  }

  /** Puts a job back, as if it had not been taken. */
  async release({ id }: Taken): Promise<void> {
    const text = `UPDATE ${SCHEMA}.job SET state = 'created', started_on = NULL WHERE id = $1 AND state = 'active'`;
    await this.boss.getDb().executeSql(text, [id]);
  }

  /** Removes a worker that ends. */
  async leave(worker: string): Promise<void> {
    await this.boss.getDb().executeSql(`DELETE FROM ${SCHEMA}.grid_claim WHERE worker = $1`, [worker]);
    await this.boss.getDb().executeSql(`DELETE FROM ${SCHEMA}.grid_worker WHERE id = $1`, [worker]);
  }

  /** Reserves a run for one worker; false while another living worker has it. */
  async claim(run: string, worker: string): Promise<boolean> {
    const lives = `EXISTS (SELECT 1 FROM ${SCHEMA}.grid_worker w WHERE w.id = grid_claim.worker AND ${this.alive("w")})`;
    const text = `INSERT INTO ${SCHEMA}.grid_claim AS grid_claim VALUES ($1, $2)
      ON CONFLICT (run) DO UPDATE SET worker = $2 WHERE grid_claim.worker = $2 OR NOT ${lives} RETURNING run`;
    return (await this.rows(text, [run, worker])).length > 0;
  }

  async unclaim(run: string, worker: string): Promise<void> {
    await this.rows(`DELETE FROM ${SCHEMA}.grid_claim WHERE run = $1 AND worker = $2`, [run, worker]);
  }

  private alive = (table: string): string => `${table}.seen > now() - ${this.patience()}`;

  private patience = (): string => `interval '${this.lostAfter} seconds'`;

  private rows(text: string, values: unknown[] = []): Promise<Row[]> {
    return this.patient(async () => (await this.boss.getDb().executeSql(text, values)).rows as Row[]);
  }

  /** A call that is made again until the server answers. */
  private async patient<T>(call: () => Promise<T>): Promise<T> {
    for (let wait = 250; ; wait = Math.min(5_000, 2 * wait)) {
      try {
        const result = await call();
        if (this.isAway) this.ctx.log({ kind: "note", who: "queue", text: "the database answers again" });
        this.isAway = false;
        return result;
      } catch (error) {
        if (!isAway(error)) throw error;
        if (!this.isAway)
          this.ctx.log({ kind: "warning", who: "queue", text: `the database does not answer (${wordsOf(error)}); waiting for it` });
        this.isAway = true;
        await pause(this.ctx, wait);
      }
    }
  }
}

/** The workers of a queue, and the steps that were given up. */
export interface QueueStatus {
  readonly workers: readonly WorkerCard[];
  readonly deadLetters: readonly { readonly label: string; readonly reason: string }[];
}

/** Looks at a queue. */
export async function queueStatus(url: string, ctx: Context, lostAfter = LOST_AFTER): Promise<QueueStatus> {
  const queue = await openQueue(url, ctx, lostAfter);
  try {
    return { workers: await queue.workers(), deadLetters: await queue.deadLetters() };
  } finally {
    await queue.close();
  }
}

/** Opens the queue of a database, and makes its tables. Refuses a database that does not answer. */
export async function openQueue(url: string, ctx: Context, lostAfter: number): Promise<Queue> {
  const boss = new PgBoss({ connectionString: url, schema: SCHEMA, max: 4, schedule: false, archiveCompletedAfterSeconds: 30 * 86_400 });
  boss.on("error", () => {}); // the call that meets it says it
  try {
    await boss.start();
    await boss.getDb().executeSql(TABLES, []);
  } catch (error) {
    await boss.stop({ graceful: false, wait: false }).catch(() => {});
    fail(
      "queue",
      `${withoutPassword(url)}: ${wordsOf(error)}`,
      "a PostgreSQL database",
      "For example --queue postgres://user@host/lethe.",
      "unavailable",
    );
  }
  return new Queue(boss, ctx, lostAfter);
}

const withoutPassword = (url: string): string => url.replace(/:[^:@/]*@/, "@");

/** The message of an error; of several attempts the first. */
function wordsOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return wordsOf(error.errors[0]);
  return error instanceof Error ? error.message : String(error);
}

/** Codes of an error that says that the server is away, and not that the call is wrong. */
const AWAY = /^(?:ECONN\w+|EPIPE|ENOENT|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|57P0[123]|08\w{3})$/;

function isAway(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.some(isAway);
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return (
    AWAY.test(code) ||
    (error instanceof Error && /^(?:Connection terminated|timeout expired|Client has encountered a connection error)/.test(error.message))
  );
}

/** The queue counts a retry when a worker takes the job again. */
function stateOf({ state, output, retry_count: retries }: Row): JobState {
  const told = (output ?? {}) as { readonly failed?: string; readonly lost?: number };
  const losses = Number(retries) + (state === "retry" || state === "failed" ? 1 : 0);
  if (state === "completed")
    return told.failed === undefined ? { state: "done", losses } : { state: "failed", reason: told.failed, losses };
  if (state === "failed")
    return {
      state: "lost",
      reason: `${told.lost ?? "several"} workers were lost while they ran it. Is its memory too small? Try --retry`,
      losses,
    };
  if (state === "cancelled") return { state: "failed", reason: "its job was cancelled", losses };
  return { state: state === "active" ? "active" : "waiting", losses };
}
