/** The one translation of the operating system's errors: what happened in words, and what to do. */
import { LetheError, fail } from "./fail.ts";

/** An error of the operating system in words. */
export interface ErrnoWords {
  readonly got: string;
  readonly hint: string;
}

const SPACE = "Free some space or choose another folder; the old content is unchanged.";
const RIGHTS = "Check who owns it, and who may read and write it.";
const TROUBLES: Readonly<Record<string, readonly [got: string, hint: string]>> = {
  EACCES: ["permission is denied", RIGHTS],
  EAGAIN: ["the system has too few resources", "End other programs, or raise the limit (ulimit -u)."],
  EBUSY: ["another program uses it", "End that program, or choose another path."],
  EDQUOT: ["the disk quota is used up", SPACE],
  EEXIST: ["there is something already", "Choose another name."],
  EFBIG: [
    "the file is too large for the file system or for the limit of a file's size",
    "Choose another folder, or raise the limit (ulimit -f).",
  ],
  EINVAL: ["the system refuses the path", "Choose another name or another folder."],
  EIO: ["the disk reports an error", "Check the disk."],
  EISDIR: ["it is a folder", "Name a file."],
  ELOOP: ["the links run in a circle", "Mend the links, or name the thing itself."],
  EMFILE: ["too many files are open", "Raise the limit (ulimit -n)."],
  EMLINK: ["the file has too many names", "Choose another folder."],
  ENAMETOOLONG: ["a name in the path is too long", "Choose a shorter name."],
  ENFILE: ["too many files are open on this machine", "Close other programs."],
  ENODEV: ["the device is not there", "Choose another path."],
  ENOENT: ["there is no such file", "Check the path."],
  ENOLINK: ["a link in the path leads nowhere", "Mend the link, or choose another path."],
  ENOMEM: ["the system has no memory left", "Close other programs, or raise the limit (ulimit -v)."],
  ENOSPC: ["the disk is full", SPACE],
  ENOSYS: ["the file system cannot do that", "Choose another folder."],
  ENOTDIR: ["a part of the path is a file", "Check the path."],
  ENOTEMPTY: ["it is a folder that holds something", "Name a file, or choose another name."],
  ENOTSUP: ["the file system cannot do that", "Choose another folder."],
  ENXIO: ["nothing is at the other end of it", "Name a plain file."],
  EPERM: ["permission is denied", RIGHTS],
  EROFS: ["the file system is read-only", "Choose another folder."],
  ESPIPE: ["it is a pipe", "Name a plain file."],
  ESTALE: ["the network drive has lost it", "Mount the drive again."],
  ETXTBSY: ["a program that runs uses it", "End that program, or choose another path."],
  EXDEV: ["the two paths are on different disks", "Choose a folder on the same disk."],
};

const isErrno = (error: unknown): error is NodeJS.ErrnoException & { readonly code: string } =>
  error instanceof Error && "code" in error && typeof error.code === "string" && /^E[A-Z0-9]+$/.test(error.code);

/** The operating system's name for an error; empty where it is another kind of error. */
export const codeOf = (error: unknown): string => (isErrno(error) ? error.code : "");

/** What an error of the operating system says; undefined for any other error. */
export function wordsFor(error: unknown): ErrnoWords | undefined {
  if (!isErrno(error)) return undefined;
  const [got, hint] = TROUBLES[error.code] ?? [`the system reports ${error.code}`, "Check the path and the disk."];
  return { got, hint };
}

/** Turns an error of the operating system into one that a caller can act on; rethrows any other. */
export function complain(who: string, path: string, error: unknown): never {
  const words = error instanceof LetheError ? undefined : wordsFor(error);
  if (words === undefined) throw error;
  return fail(who, `${path}: ${words.got}`, "", words.hint, "unavailable");
}

/** How the system's loader and the engine say that there is no memory for them. */
const NO_ROOM = /failed to map segment|could not allocate memory|[Oo]ut of memory|bad_alloc|Array buffer allocation failed/;

/** An error of a file that nobody has translated, as {@link complain} says it; undefined for any other error. */
export function translated(error: unknown): LetheError | undefined {
  if (error instanceof Error && !(error instanceof LetheError) && NO_ROOM.test(error.message))
    return new LetheError(
      "memory",
      "the system gives no more of it",
      "",
      "Close other programs, or raise the limit (ulimit -v).",
      "memory",
    );
  const words = error instanceof LetheError ? undefined : wordsFor(error);
  if (words === undefined) return undefined;
  const { syscall, path, dest } = error as NodeJS.ErrnoException & { readonly dest?: string };
  if (syscall === undefined) return undefined;
  return new LetheError(path === undefined ? syscall : (dest ?? path), words.got, "", words.hint, "unavailable");
}
