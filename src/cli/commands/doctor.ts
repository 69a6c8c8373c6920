/** `lethe doctor`: what this machine can do, and what is wrong with it. */
import { acts, declare } from "../command.ts";

export const doctor = acts(
  declare("doctor", "Checks Node, the numerical engine, memory, folders and settings.", "The exit code is 1 if a check fails.", [
    ["lethe doctor", "checks this machine"],
    ["lethe doctor --json", "for a bug report"],
  ]),
  async ({ terminal, ctx }) => {
    const { examine } = await import("../../run/doctor.ts");
    const findings = await examine(ctx);
    const isWell = findings.every(({ state }) => state !== "bad");
    if (terminal.json) terminal.object("doctor", { ok: isWell, findings });
    else
      for (const { name, state, text, advice } of findings) {
        const mark = { good: ["ok", "green"], odd: ["note", "yellow"], bad: ["bad", "red"] } as const;
        const [word, style] = mark[state];
        terminal.line(`${terminal.paint(style, word.padEnd(4), terminal.out)}  ${name.padEnd(21)}${text}`);
        if (advice) terminal.line(`      ${" ".repeat(21)}${terminal.paint("dim", advice, terminal.out)}`);
      }
    return isWell ? 0 : 1;
  },
);
