/** The physical page allocators. */
export type { RegionEnd } from "./block-table.ts";
export { PagesError } from "./errors.ts";
export type { IndependentPagesOptions, PageUsage } from "./independent-pages.ts";
export { IndependentPages } from "./independent-pages.ts";
export { order_max, page_bytes, pageUser } from "./layout.ts";
export type { PageNetwork } from "./meta-level-manager.ts";
export { type Mover, Movers } from "./movers.ts";
export type { PageAreasOptions } from "./page-areas.ts";
export { orderFor, type PageService } from "./page-service.ts";
export type { PagesOptions } from "./pages.ts";
export { Pages } from "./pages.ts";
export { UserPages, type UserPagesOptions } from "./user-pages.ts";
