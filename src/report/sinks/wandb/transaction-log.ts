/** The file of an offline run of Weights & Biases: protobuf records in the blocks of a LevelDB log. */
import { crc32 } from "node:zlib";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

/** Bytes of a block, and of the header of a piece: checksum, length, and kind. */
const [BLOCK, HEADER] = [32_768, 7];
/** Kinds of pieces: a whole record, or a part of one that crosses blocks. */
const [FULL, FIRST, MIDDLE, LAST] = [1, 2, 3, 4];
/** The bytes ":W&B", a number that never changes, and the version of the format. */
const BEGINNING = Uint8Array.of(0x3a, 0x57, 0x26, 0x42, 0xe1, 0xbe, 0);

/** The records as the bytes of a file. */
export function transactionLog(records: readonly Uint8Array[]): Uint8Array {
  const pieces: Uint8Array[] = [BEGINNING];
  let at = BEGINNING.length;
  const add = (bytes: Uint8Array): void => {
    pieces.push(bytes);
    at += bytes.length;
  };
  for (const record of records) {
    let [done, isFirst] = [0, true];
    do {
      const left = BLOCK - (at % BLOCK);
      if (left < HEADER) add(new Uint8Array(left)); // no header fits into the rest of the block
      const room = BLOCK - (at % BLOCK) - HEADER;
      const part = record.subarray(done, done + room);
      const isLast = done + part.length === record.length;
      add(piece(isFirst ? (isLast ? FULL : FIRST) : isLast ? LAST : MIDDLE, part)); // a header may fit with nothing behind it
      [done, isFirst] = [done + part.length, false];
    } while (done < record.length);
  }
  return Buffer.concat(pieces);
}

function piece(kind: number, data: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(HEADER + data.length);
  bytes.writeUInt16LE(data.length, 4);
  bytes.writeUInt8(kind, 6);
  bytes.set(data, HEADER);
  bytes.writeUInt32LE(crc32(bytes.subarray(6)), 0);
  return bytes;
}

/** A protobuf message: its fields by number. A number is a whole one; a list repeats the field. */
export interface Message {
  readonly [field: number]: string | number | Message | readonly (string | Message)[] | undefined;
}

/** The bytes of a message. */
export function encoded(message: Message): Uint8Array {
  const writer = new BinaryWriter();
  write(writer, message);
  return writer.finish();
}

function write(writer: BinaryWriter, message: Message): void {
  for (const [field, of] of Object.entries(message))
    for (const value of Array.isArray(of) ? (of as readonly (string | Message)[]) : [of as string | number | Message | undefined]) {
      if (typeof value === "number") writer.tag(Number(field), WireType.Varint).int64(value);
      else if (typeof value === "string") writer.tag(Number(field), WireType.LengthDelimited).string(value);
      else if (value !== undefined) {
        writer.tag(Number(field), WireType.LengthDelimited).fork();
        write(writer, value);
        writer.join();
      }
    }
}
