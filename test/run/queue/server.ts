/** A PostgreSQL server of a test's own: in a temporary folder, on a free port of this machine. */
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";

/** Where Debian's packages put the programs of a server. */
const DEBIAN = "/usr/lib/postgresql";

/** The folder of initdb and postgres; undefined where there is no server. */
export function serverPrograms(): string | undefined {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).map((version) => join(DEBIAN, version, "bin")) : [];
  const paths = (process.env["PATH"] ?? "").split(":");
  return [...versions.reverse(), ...paths].find((path) => existsSync(join(path, "initdb")) && existsSync(join(path, "postgres")));
}

export interface Server {
  /** Makes an empty database, so that no test sees another one's queue. Returns its address. */
  database(name: string): string;
  start(): Promise<void>;
  /** Stops it at once, as a crash does. */
  stop(): Promise<void>;
  remove(): Promise<void>;
}

/** A user who may run a server: root may not, so it is Debian's postgres then. */
const asUser = (): readonly string[] => (userInfo().uid === 0 ? ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] : []);

function said(command: readonly string[]): void {
  const { status, stderr } = spawnSync(command[0]!, command.slice(1), { encoding: "utf8" });
  if (status !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
}

/** Makes a cluster and starts its server. */
export async function startServer(programs: string): Promise<Server> {
  const folder = mkdtempSync(join(tmpdir(), "lethe-postgres-"));
  const data = join(folder, "data");
  mkdirSync(data);
  chmodSync(folder, 0o755);
  const user = asUser();
  if (user.length > 0) said(["chown", "-R", "postgres", folder]);
  said([...user, join(programs, "initdb"), "-D", data, "-U", "lethe", "-A", "trust", "-N"]);
  const port = await freePort();
  const command = [...user, join(programs, "postgres"), "-D", data, "-p", String(port), "-k", folder, "-h", "127.0.0.1", "-F"];
  let child: ReturnType<typeof spawn> | undefined;
  const start = async (): Promise<void> => {
    child = spawn(command[0]!, command.slice(1), { stdio: "ignore" });
    for (let tries = 0; tries < 100; tries++) {
      const { status } = spawnSync(join(programs, "pg_isready"), ["-h", "127.0.0.1", "-p", String(port)]);
      if (status === 0) return;
      await new Promise((done) => setTimeout(done, 100));
    }
    throw new Error("PostgreSQL does not answer");
  };
  const stop = async (): Promise<void> => {
    const ended = new Promise((done) => child!.once("close", done));
    child!.kill("SIGQUIT");
    await ended;
  };
  const remove = async (): Promise<void> => {
    await stop();
    rmSync(folder, { recursive: true, force: true });
  };
  await start();
  const database = (name: string): string => {
    said([join(programs, "psql"), "-h", "127.0.0.1", "-p", String(port), "-U", "lethe", "-d", "postgres", "-c", `CREATE DATABASE ${name}`]);
    return `postgres://lethe@127.0.0.1:${port}/${name}`;
  };
  return { database, start, stop, remove };
}

const freePort = (): Promise<number> =>
  new Promise((done, refuse) => {
    const server = createServer();
    server.once("error", refuse);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => done(typeof address === "object" && address ? address.port : 0));
    });
  });
