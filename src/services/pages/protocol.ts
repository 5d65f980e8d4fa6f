/**
 * Messages between independent page allocators.
 *
 * Free:  1. `page_free_request` to the kernel that has allocated the blocks: the oldest frees that are not known to be
 *           executed, in the order of their sequence numbers. It is sent again until 2 arrives.
 *        2. `page_free_reply`: the last number of the sender's sequence that is executed.
 * Block: 1. `page_block_request` from a kernel that has little memory, when no page block is free.
 *        2. `page_block_reply`: status 1 when a page block has been given up, which an urgent request waits for;
 *           0 when the receiver will see, in the background, whether it can; −NOMEM when it cannot.
 *        3. After status 0: `page_block_answer` says what became of it.
 * Death: 1. `page_blocks_adopted` from the kernel that has taken over the page blocks of a dead one, to all others.
 */
import { array, f64, u8, u32 } from "../../memory/index.ts";
import { message, request } from "../../message/index.ts";

/** Frees in one message. */
export const freesPerMessage = 16;

export const pageFree = request(
  "page_free",
  {
    /** Whose frees they are. */
    kernel: u32,
    count: u32,
    pages: array(u32, freesPerMessage),
    orders: array(u8, freesPerMessage),
    sequences: array(f64, freesPerMessage),
  },
  { executed: f64 },
);

export const pageBlock = request("page_block", { kernel: u32, urgent: u8 }, {});

/** `kernel` is the one that answers. */
export const pageBlockAnswer = message("page_block_answer", { kernel: u32, given: u8 });

export const pageBlocksAdopted = message("page_blocks_adopted", {});
