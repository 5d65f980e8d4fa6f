/** The physical page allocator. */
export { order_max, page_bytes } from "./layout.ts";
export type { PagesOptions } from "./pages.ts";
export { orderFor, Pages, PagesError } from "./pages.ts";
