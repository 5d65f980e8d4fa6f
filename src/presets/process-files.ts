/** The file service as checkpoints use it. */
import type { CheckpointFiles, OpenFileImages } from "../kernel/checkpoint.ts";
import { FileImaging } from "../services/fs/file-images.ts";
import { emptyStat } from "../services/fs/filesystem.ts";
import type { Services } from "./services.ts";

export class ProcessFiles implements CheckpointFiles {
  private readonly files: Services["files"];
  private readonly imaging: FileImaging;

  constructor({ areas, files }: Pick<Services, "areas" | "files">) {
    this.files = files;
    this.imaging = new FileImaging(areas, files);
  }

  describe(slot: number, options: { readonly leaveOut: boolean }): OpenFileImages | string {
    return this.imaging.describe(slot, options);
  }

  open(
    slot: number,
    images: OpenFileImages,
    options: { readonly streams: readonly number[]; readonly acceptChanges: boolean },
  ): string | null {
    return this.imaging.open(slot, images, options);
  }

  writeAt(file: number, source: Uint8Array, offset: number, length: number, position: number): number {
    return this.files.writeAt(file, source, offset, length, position);
  }

  readAt(file: number, target: Uint8Array, offset: number, length: number, position: number): number {
    return this.files.readAt(file, target, offset, length, position);
  }

  size(file: number): number {
    const stat = emptyStat();
    const result = this.files.stat(file, stat);
    return result < 0 ? result : stat.size_bytes;
  }
}
