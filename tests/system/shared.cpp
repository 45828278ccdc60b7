// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// rankview_shared DIRECTORY LOG COUNT JOB: one of several jobs that use one checkpoint. Writes into LOG "run N JOB" when a task ends. With
// SHARED_JOBS=N a job that has run one waits with the next until N jobs have.
#include <rankview/rankview.hpp>

#include <fcntl.h>
#include <unistd.h>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace rv = rankview;

// In one piece, whoever writes besides.
void note(const std::string& log, int n, int job) {
  const std::string line = "run " + std::to_string(n) + " " + std::to_string(job) + "\n";
  const int file = open(log.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0 || write(file, line.data(), line.size()) != static_cast<ssize_t>(line.size()))
    throw std::runtime_error("cannot write " + log);
  close(file);
}

void await_others(const std::string& log, int job) {
  const char* const jobs = std::getenv("SHARED_JOBS");
  if (jobs == nullptr) return;
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(100);
  for (;;) {
    std::set<int> have;
    std::ifstream in(log);
    std::string run;
    for (int n = 0, by = 0; in >> run >> n >> by;) have.insert(by);
    if (!have.contains(job) || have.size() >= static_cast<std::size_t>(std::atoi(jobs))) return;
    if (std::chrono::steady_clock::now() > limit) throw std::runtime_error("the other jobs have come to run none");
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

struct Cube {
  std::vector<int> operator()(int n, const std::string& log, int job) const {
    await_others(log, job);
    std::this_thread::sleep_for(std::chrono::milliseconds(1 + n % 7));
    note(log, n, job);
    return std::vector<int>(n % 100 == 0 ? 20'000U : 3U, n * n * n);
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: rankview_shared DIRECTORY LOG COUNT JOB\n");
    return 2;
  }
  return rv::run(argc, argv, [&](rv::Client& rc) {
    std::vector<int> numbers(static_cast<std::size_t>(std::atoi(argv[3])));
    std::iota(numbers.begin(), numbers.end(), 0);
    const auto by_number = [](int n, const std::string&, int) { return n; };
    const auto view = rc.load_balanced_view().with({.checkpoint = std::string(argv[1]), .key = by_number});
    const auto result = view.map(Cube(), numbers, rv::repeat(std::string(argv[2])), rv::repeat(std::atoi(argv[4])));
    std::size_t right = 0;
    for (const auto& [index, value] : result.as_completed()) {
      const int n = static_cast<int>(index);
      if (!value.empty() && value.front() == n * n * n && value.back() == n * n * n) ++right;
    }
    std::printf("%zu of %zu right\n", right, numbers.size());
    if (right != numbers.size()) throw std::runtime_error("some results are wrong");
  });
}
