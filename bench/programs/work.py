# A fixed piece of work for Python; prints the milliseconds it took.
import time


def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def sieve(limit):
    flags = bytearray([1]) * limit
    for n in range(2, int(limit**0.5) + 1):
        if flags[n]:
            flags[n * n :: n] = bytes(len(flags[n * n :: n]))
    return sum(flags)


def words(count):
    seen = {}
    for n in range(count):
        word = "word" + str(n * 7919 % 5003)
        seen[word] = seen.get(word, 0) + len(word)
    return ",".join(f"{word}={seen[word]}" for word in sorted(seen))


start = time.perf_counter()
total = 0
for n in range(400_000):
    total += n * n % 7
result = (total, fibonacci(20), sieve(300_000), len(words(60_000)))
print(f"{(time.perf_counter() - start) * 1000:.3f} {result}")
