/**
 * Descriptor tables: which open file, with which rights, a process knows under which number. Only the threads
 * of a process use its table, and whoever builds the process before it runs, so there is no lock.
 */
import { errno } from "../../kernel/errno.ts";
import { type DescriptorTable, limits } from "../../kernel/state.ts";
import type { Accessor } from "../../memory/index.ts";
import type { OpenFiles } from "./open-files.ts";

const notPreopened = -1;

export class Descriptors {
  private readonly tables: Accessor<typeof DescriptorTable.fields>;
  private readonly openFiles: OpenFiles;

  constructor(tables: Accessor<typeof DescriptorTable.fields>, openFiles: OpenFiles) {
    this.tables = tables;
    this.openFiles = openFiles;
  }

  /** The open file behind a descriptor that has all of `rights`; −BADF, −NOTCAPABLE. */
  lookup(slot: number, fd: number, rights: number): number {
    if (fd >>> 0 >= limits.descriptorsPerProcess) return -errno.BADF;
    const file = this.tables.entriesFile(slot, fd >>> 0);
    if (file === 0) return -errno.BADF;
    return (this.tables.entriesRights(slot, fd >>> 0) & rights) === rights ? file : -errno.NOTCAPABLE;
  }

  /**
   * Gives the lowest free descriptor to an open file, taking over one reference; −MFILE leaves it. `preopen` is
   * the index among the process's preopened directories.
   */
  install(slot: number, file: number, rights: number, inheriting: number, preopen = notPreopened): number {
    const { tables } = this;
    for (let fd = tables.lowestFree(slot); fd < limits.descriptorsPerProcess; fd++) {
      if (tables.entriesFile(slot, fd) !== 0) continue;
      this.fill(slot, fd, file, rights, inheriting, preopen);
      tables.setLowestFree(slot, fd + 1);
      return fd;
    }
    return -errno.MFILE;
  }

  /** Gives a certain descriptor to an open file; what it had is closed. The descriptor, or −BADF. */
  installAt(
    slot: number,
    fd: number,
    file: number,
    rights: number,
    inheriting: number,
    preopen = notPreopened,
  ): number {
    if (fd >>> 0 >= limits.descriptorsPerProcess) return -errno.BADF;
    const before = this.tables.entriesFile(slot, fd);
    this.fill(slot, fd, file, rights, inheriting, preopen);
    if (fd === this.tables.lowestFree(slot)) this.tables.setLowestFree(slot, fd + 1);
    if (before !== 0) this.openFiles.release(before);
    return fd;
  }

  private fill(
    slot: number,
    fd: number,
    file: number,
    rights: number,
    inheriting: number,
    preopen: number,
  ): void {
    const { tables } = this;
    tables.setEntriesRights(slot, fd, rights);
    tables.setEntriesInheriting(slot, fd, inheriting);
    tables.setEntriesPreopen(slot, fd, preopen + 1);
    tables.setEntriesFile(slot, fd, file);
  }

  close(slot: number, fd: number): number {
    const file = this.lookup(slot, fd, 0);
    if (file < 0) return file;
    this.tables.setEntriesFile(slot, fd, 0);
    if (fd < this.tables.lowestFree(slot)) this.tables.setLowestFree(slot, fd);
    this.openFiles.release(file);
    return 0;
  }

  /** Moves a descriptor to a number that is open too, which is closed. Zero or −BADF. */
  renumber(slot: number, from: number, to: number): number {
    const { tables } = this;
    const file = this.lookup(slot, from, 0);
    if (file < 0) return file;
    const replaced = this.lookup(slot, to, 0);
    if (replaced < 0) return replaced;
    if (from === to) return 0;
    const rights = tables.entriesRights(slot, from);
    const inheriting = tables.entriesInheriting(slot, from);
    this.fill(slot, to, file, rights, inheriting, tables.entriesPreopen(slot, from) - 1);
    tables.setEntriesFile(slot, from, 0);
    if (from < tables.lowestFree(slot)) tables.setLowestFree(slot, from);
    this.openFiles.release(replaced);
    return 0;
  }

  /** Gives a process whose table is empty all descriptors of another one; they refer to the same open files. */
  copyAll(from: number, to: number): void {
    const { tables } = this;
    for (let fd = 0; fd < limits.descriptorsPerProcess; fd++) {
      const file = tables.entriesFile(from, fd);
      if (file === 0) continue;
      this.openFiles.retain(file);
      const rights = tables.entriesRights(from, fd);
      const inheriting = tables.entriesInheriting(from, fd);
      this.fill(to, fd, file, rights, inheriting, tables.entriesPreopen(from, fd) - 1);
    }
    tables.setLowestFree(to, tables.lowestFree(from));
  }

  /** Closes everything a process has open; its table is then as new. */
  closeAll(slot: number): void {
    for (let fd = 0; fd < limits.descriptorsPerProcess; fd++) {
      const file = this.tables.entriesFile(slot, fd);
      if (file === 0) continue;
      this.tables.setEntriesFile(slot, fd, 0);
      this.openFiles.release(file);
    }
    this.tables.setLowestFree(slot, 0);
  }

  /** Rights of an open descriptor, or −BADF. */
  rights(slot: number, fd: number): number {
    return this.lookup(slot, fd, 0) < 0 ? -errno.BADF : this.tables.entriesRights(slot, fd);
  }

  inheriting(slot: number, fd: number): number {
    return this.lookup(slot, fd, 0) < 0 ? -errno.BADF : this.tables.entriesInheriting(slot, fd);
  }

  /** Rights can only shrink: −NOTCAPABLE for any that the descriptor does not have. */
  setRights(slot: number, fd: number, rights: number, inheriting: number): number {
    const { tables } = this;
    if (this.lookup(slot, fd, 0) < 0) return -errno.BADF;
    if ((rights & ~tables.entriesRights(slot, fd)) !== 0) return -errno.NOTCAPABLE;
    if ((inheriting & ~tables.entriesInheriting(slot, fd)) !== 0) return -errno.NOTCAPABLE;
    tables.setEntriesRights(slot, fd, rights);
    tables.setEntriesInheriting(slot, fd, inheriting);
    return 0;
  }

  /** Index among the process's preopened directories; −BADF for every other descriptor. */
  preopenIndex(slot: number, fd: number): number {
    if (this.lookup(slot, fd, 0) < 0) return -errno.BADF;
    const stored = this.tables.entriesPreopen(slot, fd);
    return stored === 0 ? -errno.BADF : stored - 1;
  }

  /** How many descriptors a process has open. */
  count(slot: number): number {
    let count = 0;
    for (let fd = 0; fd < limits.descriptorsPerProcess; fd++)
      if (this.tables.entriesFile(slot, fd) !== 0) count++;
    return count;
  }
}
