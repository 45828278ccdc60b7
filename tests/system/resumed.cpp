// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// rankview_resumed DIRECTORY LOG COUNT soon|strict: a map with a checkpoint, to be killed and started again. Writes into LOG "run N T" when
// a task ends, and "have N T" when the client has its result; T in nanoseconds.
#include <rankview/rankview.hpp>

#include <fcntl.h>
#include <unistd.h>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

namespace rv = rankview;

// In one piece, whoever writes besides.
void note(const std::string& log, const char* what, int n) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const std::string line = std::string(what) + " " + std::to_string(n) + " " +
                           std::to_string(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count()) + "\n";
  const int file = open(log.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0 || write(file, line.data(), line.size()) != static_cast<ssize_t>(line.size()))
    throw std::runtime_error("cannot write " + log);
  close(file);
}

struct Cube {
  // A longer result now and then.
  std::vector<int> operator()(int n, const std::string& log) const {
    std::this_thread::sleep_for(std::chrono::milliseconds(n % 5));
    note(log, "run", n);
    return std::vector<int>(n % 100 == 0 ? 20'000U : 3U, n * n * n);
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: rankview_resumed DIRECTORY LOG COUNT soon|strict\n");
    return 2;
  }
  return rv::run(argc, argv, [&](rv::Client& rc) {
    const std::string log = argv[2];
    std::vector<int> numbers(static_cast<std::size_t>(std::atoi(argv[3])));
    std::iota(numbers.begin(), numbers.end(), 0);
    const auto durable = std::string_view(argv[4]) == "strict" ? rv::strict : rv::Durable::soon;
    const auto view = rc.load_balanced_view().with({.checkpoint = std::string(argv[1]), .durable = durable});
    const auto result = view.map(Cube(), numbers, rv::repeat(log));
    std::size_t right = 0;
    for (const auto& [index, value] : result.as_completed()) {
      const int n = static_cast<int>(index);
      note(log, "have", n);
      if (!value.empty() && value.front() == n * n * n && value.back() == n * n * n) ++right;
    }
    std::printf("%zu of %zu right\n", right, numbers.size());
    if (right != numbers.size()) throw std::runtime_error("some results are wrong");
  });
}
