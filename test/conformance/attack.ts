/** The kit that every attack passes, in our runner; an attack's own test adds what is peculiar to it. */
import * as vitest from "vitest";
import type { AnyAttack } from "../../src/attack/attack.ts";
import { type AttackCase, attackConforms } from "../../src/testing/attack.ts";

export const conforms = (attack: AnyAttack, c: AttackCase = {}): void => attackConforms(attack, c, vitest);
