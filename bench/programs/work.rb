# A fixed piece of work for Ruby; prints the milliseconds it took.
def fibonacci(n) = n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2)

start = Process.clock_gettime(Process::CLOCK_MONOTONIC)
total = 0
600_000.times { |n| total += n * n % 7 }
seen = Hash.new(0)
60_000.times { |n| seen["word#{n * 7919 % 5003}"] += n }
text = seen.sort.map { |word, count| "#{word}=#{count}" }.join(",")
result = [total, fibonacci(21), text.length]
puts "#{((Process.clock_gettime(Process::CLOCK_MONOTONIC) - start) * 1000).round(3)} #{result}"
