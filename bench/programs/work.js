// A fixed piece of work for QuickJS; prints the milliseconds it took.
function fibonacci(n) {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

const start = Date.now();
let total = 0;
for (let n = 0; n < 2_000_000; n++) total += (n * n) % 7;
const seen = new Map();
for (let n = 0; n < 60_000; n++) {
  const word = `word${(n * 7919) % 5003}`;
  seen.set(word, (seen.get(word) ?? 0) + n);
}
const text = [...seen]
  .sort()
  .map(([word, count]) => `${word}=${count}`)
  .join(",");
const result = [total, fibonacci(24), text.length];
console.log(`${Date.now() - start} ${result}`);
