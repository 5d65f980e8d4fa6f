/** How instrumented programs call functions that know 64-bit parameters as one value. */

/** Parameters of 64 bits, by position, of the system calls that have them: instrumented programs pass halves. */
const wideParameters: Readonly<Record<string, readonly number[]>> = {
  clock_time_get: [1],
  fd_advise: [1, 2],
  fd_allocate: [1, 2],
  fd_fdstat_set_rights: [1, 2],
  fd_filestat_set_size: [1],
  fd_filestat_set_times: [1, 2],
  fd_pread: [3],
  fd_pwrite: [3],
  fd_readdir: [3],
  fd_seek: [1],
  path_filestat_set_times: [4, 5],
  path_open: [5, 6],
};

type SystemCall = (...values: (number | bigint)[]) => unknown;

/** System calls of `node:wasi` as instrumented programs call them: 64-bit values in two halves, the lower first. */
export function withHalves(
  calls: Record<string, WebAssembly.ImportValue>,
): Record<string, WebAssembly.ImportValue> {
  const wrapped = { ...calls };
  for (const [name, positions] of Object.entries(wideParameters)) {
    const call = calls[name] as SystemCall | undefined;
    if (call === undefined) continue;
    wrapped[name] = (...values: number[]) => {
      const whole: (number | bigint)[] = [];
      for (let from = 0; from < values.length; from++) {
        if (!positions.includes(whole.length)) whole.push(values[from]);
        else {
          whole.push((BigInt(values[from + 1]) << 32n) | BigInt(values[from] >>> 0));
          from++;
        }
      }
      return call(...whole);
    };
  }
  return wrapped;
}
