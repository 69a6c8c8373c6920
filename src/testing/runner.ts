/** What runs the tests of a kit: Vitest or Node's own runner, whole as it is imported. */
import { fail } from "../base/fail.ts";

/** Both have these names; what ends a suite is `afterAll` in one and `after` in the other. */
export interface Runner {
  readonly describe: (name: string, body: () => void) => unknown;
  readonly test: (name: string, options: { readonly timeout: number }, body: () => Promise<void>) => unknown;
  readonly afterAll?: (work: () => Promise<void>) => unknown;
  readonly after?: (work: () => Promise<void>) => unknown;
}

/** A test of a kit: it fails by throwing. */
export type Test = (name: string, body: () => void | Promise<void>) => void;

/** Milliseconds for one test: a search on a busy machine takes a minute. */
const TIMEOUT = 240_000;

/** A suite of tests under one name, and what is done after the last. */
export function suite(runner: Runner, name: string, body: (test: Test, after: (work: () => Promise<void>) => void) => void): void {
  const { describe, test } = runner;
  const after =
    runner.afterAll ??
    runner.after ??
    fail("lethe/testing", "a runner without after or afterAll", "Vitest or node:test", 'For example import * as runner from "node:test".');
  describe(name, () => {
    body(
      (title, work) => void test(title, { timeout: TIMEOUT }, async () => work()),
      (work) => void after(work),
    );
  });
}

/** Work that is done once, by whichever test needs it first. */
export function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
}
