/**
 * The programs that workloads run, as text. Arguments are numbers in decimal unless said otherwise; paths are below the
 * root, without a slash in front. What each writes to its standard output, and how it ends, is predicted by
 * `predictions.ts`.
 */
import type { FunctionText } from "./assembler.ts";
import { appendFlag, buffer, openFlags, wrongAnswer } from "./library.ts";

const start = (
  text: Omit<FunctionText, "parameters" | "result">,
): Readonly<Record<string, FunctionText>> => ({
  _start: { ...text, code: `call take_arguments ${text.code}` },
});

/** SEED ROUNDS: computes, and prints the result. */
const compute = start({
  locals: ["value", "rounds"],
  code: `
    i32.const 1 call number local.set $value
    i32.const 2 call number local.set $rounds
    block loop
      local.get $rounds i32.eqz br_if 1
      local.get $value call step local.tee $value local.get $value i32.const 15 i32.shr_u i32.xor local.set $value
      local.get $rounds i32.const 1 i32.sub local.set $rounds br 0
    end end
    local.get $value call print`,
});

/** PATH SEED LENGTH PIECE: makes a file of a pattern, and prints its hash. */
const write = start({
  locals: ["file"],
  code: `
    i32.const 1 i32.const ${openFlags.createEmpty} i32.const 0 call open local.tee $file
    i32.const 2 call number i32.const 3 call number i32.const 4 call number call write_pattern
    local.get $file call fd_close call check
    call print`,
});

/** PATH WRITER COUNT: appends records of 16 bytes (writer, number, two checks), each with one call. */
const append = start({
  locals: ["file", "writer", "count", "at"],
  code: `
    i32.const 1 i32.const ${openFlags.create} i32.const ${appendFlag} call open local.set $file
    i32.const 2 call number local.set $writer
    i32.const 3 call number local.set $count
    block loop
      local.get $at local.get $count i32.ge_u br_if 1
      i32.const ${buffer} local.get $writer i32.store
      i32.const ${buffer} local.get $at i32.store offset=4
      i32.const ${buffer} local.get $writer local.get $at i32.xor i32.store offset=8
      i32.const ${buffer} local.get $writer i32.const 65536 i32.mul local.get $at i32.add call step i32.store offset=12
      local.get $file i32.const ${buffer} i32.const 16 call write_some
      i32.const 16 i32.ne if i32.const ${wrongAnswer.shortWrite} call proc_exit end
      local.get $at i32.const 1 i32.add local.set $at br 0
    end end
    local.get $at call print`,
});

/** PATH: prints the hash and the length of a file. */
const read = start({
  code: `
    i32.const 1 i32.const ${openFlags.none} i32.const 0 call open i32.const -2128831035 call hash_rest call print
    i32.const 20 i32.load call print`,
});

/** SEED LENGTH PIECE: writes a pattern to standard output. */
const source = start({
  code: `i32.const 1
    i32.const 1 call number i32.const 2 call number i32.const 3 call number call write_pattern drop`,
});

/** Copies standard input to standard output. */
const pump = start({
  locals: ["count"],
  code: `
    block loop
      i32.const 0 i32.const ${buffer} i32.const 4096 call read_some local.tee $count i32.eqz br_if 1
      i32.const 1 i32.const ${buffer} local.get $count call write_all br 0
    end end`,
});

/** Prints the hash and the length of standard input. */
const sink = start({
  code: `i32.const 0 i32.const -2128831035 call hash_rest call print i32.const 20 i32.load call print`,
});

/** MILLISECONDS ROUNDS: sleeps, and ends with an error if time went by faster than that, or backwards. */
const sleep = start({
  locals: ["rounds", "milliseconds"],
  longs: ["before"],
  code: `
    i32.const 1 call number local.set $milliseconds
    i32.const 2 call number local.set $rounds
    block loop
      local.get $rounds i32.eqz br_if 1
      call look_at_clock i32.const 3200 i64.load local.set $before
      local.get $milliseconds call sleep
      call look_at_clock
      i32.const 3200 i64.load local.get $before i64.sub
      local.get $milliseconds i64.extend_i32_u i64.const 1000000 i64.mul i64.lt_s
      if i32.const ${wrongAnswer.time} call proc_exit end
      local.get $rounds i32.const 1 i32.sub local.set $rounds br 0
    end end
    i32.const 1 call print`,
});

/**
 * CHILDREN ROUNDS: forks; each child computes, writes its number and pid into a pipe, and exits with its number and 1.
 * Prints the sum of the numbers that came through the pipe, and the sum of the exit codes.
 */
const fork = {
  ...start({
    locals: ["children", "at", "sum", "writer"],
    code: `
      i32.const 1 call number local.set $children
      i32.const 16 i32.const 20 call fd_pipe call check
      i32.const 20 i32.load local.set $writer
      block loop
        local.get $at local.get $children i32.ge_u br_if 1
        i32.const 1 i32.const 24 call proc_fork call check
        i32.const 24 i32.load i32.eqz if local.get $at local.get $writer call be_child end
        local.get $at i32.const 2 i32.shl i32.const 24 i32.load i32.store offset=5120
        local.get $at i32.const 1 i32.add local.set $at br 0
      end end
      local.get $writer call fd_close call check
      block loop
        i32.const 16 i32.load i32.const ${buffer} i32.const 8 call read_some i32.eqz br_if 1
        i32.const ${buffer} i32.load local.tee $at i32.const 2 i32.shl i32.load offset=5120
        i32.const ${buffer} i32.load offset=4
        i32.ne if i32.const ${wrongAnswer.wrongPid} call proc_exit end
        local.get $sum local.get $at i32.add local.set $sum br 0
      end end
      local.get $sum call print
      i32.const 0 local.set $sum i32.const 0 local.set $at
      block loop
        local.get $at local.get $children i32.ge_u br_if 1
        i32.const 32 i32.const 0 i32.store8
        i32.const 32 i32.const 0 i32.const 48 call proc_join call check
        local.get $sum i32.const 48 i32.load16_u offset=2 i32.add local.set $sum
        local.get $at i32.const 1 i32.add local.set $at br 0
      end end
      local.get $sum call print`,
  }),
  be_child: {
    parameters: ["number", "writer"],
    locals: ["rounds", "value"],
    code: `
      i32.const 2 call number local.set $rounds
      block loop
        local.get $rounds i32.eqz br_if 1
        local.get $value call step local.set $value
        local.get $rounds i32.const 1 i32.sub local.set $rounds br 0
      end end
      i32.const 28 call proc_id call check
      i32.const ${buffer} local.get $number i32.store
      i32.const ${buffer} i32.const 28 i32.load i32.store offset=4
      local.get $writer i32.const ${buffer} i32.const 8 call write_all
      local.get $number i32.const 1 i32.add call proc_exit`,
  },
};

/**
 * PATH LOCK COUNT: adds 1 to the number in a file, so many times, each time under a lock: a file that can be created
 * only once. Gives up when the lock cannot be had for long.
 */
const counter = {
  ...start({
    locals: ["file", "count"],
    code: `
      i32.const 1 i32.const ${openFlags.create} i32.const 0 call open local.set $file
      i32.const 3 call number local.set $count
      block loop
        local.get $count i32.eqz br_if 1
        call acquire
        i32.const 0 i32.const ${buffer} i32.store i32.const 4 i32.const 4 i32.store
        i32.const ${buffer} i32.const 0 i32.store
        local.get $file i32.const 0 i32.const 1 i64.const 0 i32.const 8 call fd_pread call check
        i32.const ${buffer} i32.const ${buffer} i32.load i32.const 1 i32.add i32.store
        local.get $file i32.const 0 i32.const 1 i64.const 0 i32.const 8 call fd_pwrite call check
        call release
        local.get $count i32.const 1 i32.sub local.set $count br 0
      end end
      i32.const 3 call number call print`,
  }),
  acquire: {
    locals: ["path", "tries"],
    code: `
      i32.const 2 call argument local.set $path
      loop
        local.get $path local.get $path call text_length i32.const ${openFlags.createNew} i32.const 0 call try_open
        if
          local.get $tries i32.const 1 i32.add local.tee $tries i32.const 1000 i32.gt_u
          if i32.const ${wrongAnswer.gaveUp} call proc_exit end
          i32.const 1 call sleep
          br 1
        end
      end
      i32.const 16 i32.load call fd_close call check`,
  },
  release: {
    locals: ["path"],
    code: `
      i32.const 2 call argument local.set $path
      i32.const 3 local.get $path local.get $path call text_length call path_unlink_file call check`,
  },
};

/** SEED HOPS ROUNDS KERNELS: as `compute`, moving to the next kernel after each ROUNDS. Refusals do not matter. */
const wander = start({
  locals: ["value", "rounds", "hop", "hops"],
  code: `
    i32.const 1 call number local.set $value
    i32.const 2 call number local.set $hops
    block loop
      local.get $hop local.get $hops i32.ge_u br_if 1
      i32.const 3 call number local.set $rounds
      block loop
        local.get $rounds i32.eqz br_if 1
        local.get $value call step local.tee $value local.get $value i32.const 15 i32.shr_u i32.xor local.set $value
        local.get $rounds i32.const 1 i32.sub local.set $rounds br 0
      end end
      local.get $hop i32.const 4 call number i32.rem_u call proc_migrate drop
      local.get $hop i32.const 1 i32.add local.set $hop br 0
    end end
    local.get $value call print`,
});

/** KIND: never ends: computes (0), waits for a pipe (1), or sleeps again and again (2). */
const victim = start({
  code: `
    i32.const 1 call number i32.eqz if loop br 0 end end
    i32.const 1 call number i32.const 1 i32.eq if
      i32.const 16 i32.const 20 call fd_pipe call check
      i32.const 16 i32.load i32.const ${buffer} i32.const 1 call read_some drop
    end
    loop i32.const 50 call sleep br 0 end`,
});

/** PIPES BYTES MILLISECONDS: makes pipes, puts bytes into each, and keeps them for a while. Stops where there is no room. */
const hoard = start({
  locals: ["at", "pipes"],
  code: `
    i32.const 1 call number local.set $pipes
    block loop
      local.get $at local.get $pipes i32.ge_u br_if 1
      i32.const 16 i32.const 20 call fd_pipe br_if 1
      i32.const 0 i32.const ${buffer} i32.store i32.const 4 i32.const 2 call number i32.store
      i32.const 20 i32.load i32.const 0 i32.const 1 i32.const 8 call fd_write br_if 1
      local.get $at i32.const 1 i32.add local.set $at br 0
    end end
    i32.const 3 call number call sleep`,
});

/**
 * PATH PROCESSOR LOCATIONS COUNT SEED: reads and writes words of a file, and writes a log of it to standard output:
 * times before and after (64 bits), 1 for a write, location, value, 0. Written values are unique.
 */
const register = start({
  locals: ["file", "count", "at", "state", "writes"],
  longs: ["before"],
  code: `
    i32.const 1 i32.const ${openFlags.create} i32.const 0 call open local.set $file
    i32.const 4 call number local.set $count
    i32.const 5 call number local.set $state
    block loop
      local.get $at local.get $count i32.ge_u br_if 1
      local.get $state call step local.set $state
      ;; The entry of the log is made at the buffer's start.
      i32.const ${buffer} local.get $state i32.const 20 i32.shr_u i32.const 1 i32.and i32.store offset=16
      i32.const ${buffer} local.get $state i32.const 24 i32.shr_u i32.const 3 call number i32.rem_u i32.store offset=20
      i32.const ${buffer} i32.const 2 call number i32.const 65536 i32.mul local.get $at i32.add i32.const 1 i32.add i32.store offset=24
      i32.const ${buffer} i32.const 0 i32.store offset=28
      i32.const 0 i32.const ${buffer + 24} i32.store i32.const 4 i32.const 4 i32.store
      call look_at_clock i32.const ${buffer} i32.const 3200 i64.load i64.store
      i32.const ${buffer} i32.load offset=16 if
        local.get $file i32.const 0 i32.const 1
        i32.const ${buffer} i32.load offset=20 i32.const 2 i32.shl i64.extend_i32_u i32.const 8 call fd_pwrite call check
      else
        i32.const ${buffer} i32.const 0 i32.store offset=24
        local.get $file i32.const 0 i32.const 1
        i32.const ${buffer} i32.load offset=20 i32.const 2 i32.shl i64.extend_i32_u i32.const 8 call fd_pread call check
      end
      call look_at_clock i32.const ${buffer} i32.const 3200 i64.load i64.store offset=8
      i32.const 1 i32.const ${buffer} i32.const 32 call write_all
      local.get $at i32.const 1 i32.add local.set $at br 0
    end end`,
});

/**
 * PATH SEED COUNT: does operations on files and directories below a directory of its own, as `tree-model.ts` does
 * too; prints a hash of what came of them.
 */
const tree = {
  ...start({
    locals: ["state", "count", "value", "operation", "name", "length", "file", "errno", "other"],
    code: `
      i32.const 2 call number local.set $state
      i32.const 3 call number local.set $count
      i32.const -2128831035 local.set $value
      block loop
        local.get $count i32.eqz br_if 1
        local.get $count i32.const 1 i32.sub local.set $count
        local.get $state call step local.tee $state i32.const 16 i32.shr_u i32.const 8 i32.rem_u local.set $operation
        local.get $state call step local.tee $state i32.const 16 i32.shr_u i32.const 6 i32.rem_u local.set $name
        local.get $state call step local.tee $state i32.const 16 i32.shr_u i32.const 5000 i32.rem_u local.set $length
        i32.const 0 local.set $errno
        ;; 0, 1 and 2: write a file anew, or append to it.
        local.get $operation i32.const 3 i32.lt_u if
          i32.const 4096 i32.const 4096 i32.const 102 local.get $name call make_path
          i32.const ${openFlags.create} i32.const ${openFlags.createEmpty}
          local.get $operation i32.const 2 i32.eq select
          local.get $operation i32.const 2 i32.eq call try_open call check
          i32.const 16 i32.load local.tee $file
          local.get $state local.get $length i32.const 4096 call write_pattern drop
          local.get $file call fd_close call check
        end
        local.get $operation i32.const 3 i32.eq if
          i32.const 3 i32.const 4096 i32.const 4096 i32.const 102 local.get $name call make_path call path_unlink_file
          local.set $errno
        end
        local.get $operation i32.const 4 i32.eq if
          i32.const 3 i32.const 4096 i32.const 4096 i32.const 102 local.get $name call make_path
          i32.const 3 i32.const 4352 i32.const 4352 i32.const 102 local.get $length i32.const 6 i32.rem_u call make_path
          call path_rename local.set $errno
        end
        ;; 5 and 6: give a file another length, or read it.
        local.get $operation i32.const 5 i32.ge_u local.get $operation i32.const 6 i32.le_u i32.and if
          i32.const 4096 i32.const 4096 i32.const 102 local.get $name call make_path
          i32.const ${openFlags.none} i32.const 0 call try_open local.tee $errno
          i32.eqz if
            i32.const 16 i32.load local.set $file
            local.get $operation i32.const 5 i32.eq if
              local.get $file local.get $length i64.extend_i32_u call fd_filestat_set_size call check
            else
              local.get $file local.get $value call hash_rest local.set $value
            end
            local.get $file call fd_close call check
          end
        end
        ;; 7: make a directory, or remove it.
        local.get $operation i32.const 7 i32.eq if
          i32.const 3 i32.const 4096 i32.const 4096 i32.const 100 local.get $name call make_path
          call path_create_directory local.tee $errno
          if
            i32.const 3 i32.const 4096 i32.const 4096 i32.const 100 local.get $name call make_path
            call path_remove_directory call check
          end
        end
        i32.const 20 local.get $errno i32.store
        local.get $value i32.const 20 i32.const 4 call hash local.set $value
        br 0
      end end
      local.get $value call print`,
  }),
  /** Writes the directory's path, a slash, a letter and a digit to `at`; the length. */
  make_path: {
    parameters: ["at", "letter", "number"],
    result: true,
    locals: ["from", "start", "character"],
    code: `
      local.get $at local.set $start
      i32.const 1 call argument local.set $from
      block loop
        local.get $from i32.load8_u local.tee $character i32.eqz br_if 1
        local.get $at local.get $character i32.store8
        local.get $from i32.const 1 i32.add local.set $from
        local.get $at i32.const 1 i32.add local.set $at br 0
      end end
      local.get $at i32.const 47 i32.store8
      local.get $at local.get $letter i32.store8 offset=1
      local.get $at i32.const 48 local.get $number i32.add i32.store8 offset=2
      local.get $at i32.const 3 i32.add local.get $start i32.sub`,
  },
};

/** All programs by name. */
export const programTexts = {
  compute,
  write,
  append,
  read,
  source,
  pump,
  sink,
  sleep,
  fork,
  counter,
  wander,
  victim,
  hoard,
  register,
  tree,
} as const satisfies Readonly<Record<string, Readonly<Record<string, FunctionText>>>>;

export type ProgramName = keyof typeof programTexts;
