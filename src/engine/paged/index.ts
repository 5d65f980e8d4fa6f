/** Memory that comes page by page, as the kernel uses it. */
export { mapMemoryPages, mapPage_bytes, mapPageShift, pageState } from "./abi.ts";
export { pageChecked } from "./page-checked.ts";
export { type MovePages, PageMovers } from "./page-mover.ts";
