// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// A graph of tasks, handed in as a whole; rank 0 waits once, at the end. Parts of a measurement are loaded, filtered, merged in pairs and
// reported; results are arguments of the tasks behind them. The filters run after each engine has got its limit, the counts where the
// part was loaded and still is. One branch fails: what was to run after it does not, and its cleanup does, where it failed.
//
// Run:    mpirun -np 5 ./pipeline
//
// Output, where what stands in <> differs from run to run:
//   task         waits for                    began
//   limit        nothing                      some time
//   load 0       nothing                      some time
//   filter 0     load 0, after limit          after their end
//   count 0      follow load 0, filter 0      after their end
//   load 1       nothing                      some time
//   filter 1     load 1, after limit          after their end
//   count 1      follow load 1, filter 1      after their end
//   load 2       nothing                      some time
//   filter 2     load 2, after limit          after their end
//   count 2      follow load 2, filter 2      after their end
//   load 3       nothing                      some time
//   filter 3     load 3, after limit          after their end
//   count 3      follow load 3, filter 3      after their end
//   merge 01     filter 0, filter 1           after their end
//   merge 23     filter 2, filter 3           after their end
//   merge 0123   merge 01, merge 23           after their end
//   report       merge 0123                   after their end
//   archive      merge 0123                   after their end
//   index        after archive                never
//   clean up     follow failed archive        after their end
//
//   report: 3000 numbers from 0.00 to 75.00, median 37.51
//   dropped: 250 249 250 251 of 1000 each
//   index: cannot run, since task 18.0 has failed:
//     engine <2> (rank <3>, host <vm>), task 18.0: std::runtime_error: the archive is full after 500 numbers
//   clean up: 500 numbers of a broken archive

#include <rankview/rankview.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace rv = rankview;

using Numbers = std::vector<double>;

constexpr int parts = 4;

// ---- the tasks --------------------------------------------------------------------------------------------------------------

std::string raw(int part) { return "raw " + std::to_string(part); }

// A thousand numbers between 0 and 100, kept among the engine's variables, too. The later the part, the sooner it is there.
Numbers load(int part) {
  std::this_thread::sleep_for(std::chrono::milliseconds(10 * (parts - part)));
  Numbers numbers;
  for (int i = 0; i < 1000; ++i) numbers.push_back((i * 7919 + part * 104'729) % 10'007 / 100.07);
  return rv::this_engine::vars().set(raw(part), numbers);
}

// Those up to the engine's limit, in ascending order.
Numbers filter(const Numbers& numbers, double limit) {
  Numbers kept;
  std::ranges::copy_if(numbers, std::back_inserter(kept), [limit](double x) { return x <= limit; });
  std::ranges::sort(kept);
  return kept;
}

// How many the filter left out: wants the part as it was loaded, and only runs where that is.
std::size_t count_dropped(int part, const Numbers& kept) { return rv::this_engine::vars().get<Numbers>(raw(part)).size() - kept.size(); }

Numbers merge(const Numbers& a, const Numbers& b) {
  Numbers both;
  std::ranges::merge(a, b, std::back_inserter(both));
  return both;
}

std::string report(const Numbers& sorted) {
  char text[100];
  std::snprintf(text, sizeof text, "%zu numbers from %.2f to %.2f, median %.2f", sorted.size(), sorted.front(), sorted.back(),
                sorted[sorted.size() / 2]);
  return text;
}

void archive(const Numbers& sorted) {
  rv::this_engine::vars().set("archive", Numbers(sorted.begin(), sorted.begin() + 500));
  throw std::runtime_error("the archive is full after 500 numbers");
}

void make_index() {}

// What a failed archive() has left on its engine.
std::size_t clean_up() {
  const std::size_t left = rv::this_engine::vars().get<Numbers>("archive").size();
  rv::this_engine::vars().erase("archive");
  return left;
}

// ---- the client -------------------------------------------------------------------------------------------------------------

// What a task waits for, and how it says so: "" where the result is an argument.
struct Need {
  std::string how;
  std::string name;
};

// Tasks and what they wait for, to look at when all has ended.
class Journal {
 public:
  template <class T>
  rv::AsyncResult<T> note(const std::string& name, std::vector<Need> waits_for, rv::AsyncResult<T> result) {
    entries_.push_back({name, std::move(waits_for), [result] { return result.metadata_all(); }});
    return result;
  }

  // By the clocks of the engines' hosts.
  void print() const {
    std::map<std::string, rv::Metadata::Time> ended;
    std::printf("%-12s %-28s %s\n", "task", "waits for", "began");
    for (const Entry& entry : entries_) {
      std::string needs;
      rv::Metadata::Time ready{};
      for (const Need& need : entry.waits_for) {
        needs += (needs.empty() ? "" : ", ") + need.how + (need.how.empty() ? "" : " ") + need.name;
        ready = std::max(ready, ended.at(need.name));
      }
      const std::vector<rv::Metadata> tasks = entry.tasks();  // several where several engines have a part in it
      const auto began = std::ranges::min(tasks, {}, &rv::Metadata::started).started;
      ended[entry.name] = std::ranges::max(tasks, {}, &rv::Metadata::completed).completed;

      const bool ran = began != rv::Metadata::Time{};
      if (ran && began < ready) throw std::logic_error(entry.name + " began too early");
      std::printf("%-12s %-28s %s\n", entry.name.c_str(), needs.empty() ? "nothing" : needs.c_str(),
                  !ran            ? "never"
                  : needs.empty() ? "some time"
                                  : "after their end");
    }
  }

 private:
  struct Entry {
    std::string name;
    std::vector<Need> waits_for;
    std::function<std::vector<rv::Metadata>()> tasks;
  };
  std::vector<Entry> entries_;
};

int main(int argc, char** argv) {
  return rv::run(argc, argv, [](rv::Client& rc) {
    const rv::LoadBalancedView view = rc.load_balanced_view();
    Journal journal;

    const auto limits = journal.note("limit", {}, rc[rv::all].push("limit", 75.0));

    std::vector<std::pair<std::string, rv::AsyncResult<Numbers>>> sorted;  // what is to be merged, with names
    std::vector<rv::AsyncResult<std::size_t>> dropped;
    for (int part = 0; part < parts; ++part) {
      const std::string number = std::to_string(part);
      const auto loaded = journal.note("load " + number, {}, view.apply(load, part));
      const auto kept = journal.note("filter " + number, {{"", "load " + number}, {"after", "limit"}},
                                     view.with({.after = limits}).apply(filter, loaded, rv::ref("limit")));
      dropped.push_back(journal.note("count " + number, {{"follow", "load " + number}, {"", "filter " + number}},
                                     view.with({.follow = loaded}).apply(count_dropped, part, kept)));
      sorted.emplace_back(number, kept);
    }

    // The first two become one at the end, until there is only one.
    for (std::size_t i = 0; i + 1 < sorted.size(); i += 2) {
      const auto [a, numbers_a] = sorted[i];
      const auto [b, numbers_b] = sorted[i + 1];
      const auto needs = [](const std::string& name) { return (name.size() == 1 ? "filter " : "merge ") + name; };
      sorted.emplace_back(a + b, journal.note("merge " + a + b, {{"", needs(a)}, {"", needs(b)}}, view.apply(merge, numbers_a, numbers_b)));
    }
    const auto& [all, merged] = sorted.back();
    const auto reported = journal.note("report", {{"", "merge " + all}}, view.apply(report, merged));

    const auto archived = journal.note("archive", {{"", "merge " + all}}, view.apply(archive, merged));
    const auto index = journal.note("index", {{"after", "archive"}}, view.with({.after = archived}).apply(make_index));
    const auto cleaned =
        journal.note("clean up", {{"follow failed", "archive"}}, view.with({.follow = rv::failed(archived)}).apply(clean_up));

    rc.wait();
    journal.print();
    std::printf("\nreport: %s\ndropped:", reported.get().c_str());
    for (const auto& count : dropped) std::printf(" %zu", count.get());
    std::printf(" of 1000 each\n");
    try {
      index.get();
    } catch (const rv::ImpossibleDependency& error) {
      std::printf("index: cannot run, since task %s has failed:\n", to_string(error.chain().back()).c_str());
      std::printf("  %s\n", error.because()->why.c_str());
    }
    std::printf("clean up: %zu numbers of a broken archive\n", cleaned.get());
  });
}
