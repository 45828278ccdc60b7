// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

// Which calls wait for which tasks, and when their waiting is over. Pure: no MPI, no threads, no clock.
namespace rankview::scheduler {

// What somebody who waits for tasks wants to have become of them: of all or of any, that they went well, or failed, or either.
struct Rule {
  bool all = true;
  bool success = true;
  bool failure = false;
};

enum class Verdict : std::uint8_t { waiting, met, impossible };

// How the tasks that a call is to run after have ended so far.
class After {
 public:
  After() = default;
  explicit After(Rule rule) : rule_(rule) {}

  void expect(std::uint64_t tasks) { total_ += tasks; }
  void ended(bool well) { ++(well ? succeeded_ : failed_); }
  [[nodiscard]] Verdict verdict() const;

 private:
  Rule rule_;
  std::uint64_t total_ = 0;
  std::uint64_t succeeded_ = 0;
  std::uint64_t failed_ = 0;
};

// The same by engine, for a call that is to run where they ran.
class Follow {
 public:
  // `targets`: the engines that may run the call; none for all.
  Follow(Rule rule, std::vector<int> targets) : rule_(rule), targets_(std::move(targets)) {}

  void expect(std::uint64_t tasks) { total_ += tasks; }
  // `engine`: -1 where it never ran.
  void ended(int engine, bool well);
  [[nodiscard]] Verdict verdict() const;
  // Where the rule is met. Empty with Verdict::met: anywhere, since there was nothing to follow.
  [[nodiscard]] std::vector<int> engines() const;

 private:
  Rule rule_;
  std::vector<int> targets_;
  std::uint64_t total_ = 0;
  std::uint64_t ended_ = 0;
  std::vector<std::pair<int, std::uint64_t>> at_;  // how many tasks that count ended on which engine
};

// Calls are nodes: those that wait, and those whose tasks somebody waits for.
//
// Cost: constant for each dependency, when it is made and when its task ends.
class Dependencies {
 public:
  using Node = std::uint32_t;
  static constexpr Node none = static_cast<Node>(-1);
  static constexpr std::uint64_t every = static_cast<std::uint64_t>(-1);

  // How the waiting of a call ended.
  struct Decision {
    std::uint64_t call = 0;
    Verdict verdict = Verdict::waiting;
    std::vector<int> engines{};  // where it may run, none for anywhere
    // Where impossible: the task that made it so.
    std::uint64_t cause_call = 0;
    std::uint64_t cause_item = 0;
  };

  // What a call waits for: all of these have to be met.
  struct Needs {
    After after{Rule()};
    After arguments{Rule()};
    std::optional<Follow> follow;
  };
  enum class Need : std::uint8_t { after, argument, follow };

  Node add(std::uint64_t call);
  // The call waits from here on. Its needs have been told what has ended already, and expect the rest; depend() says where it comes from.
  void wait(Node node, Needs needs);
  // What becomes of a task, or of every task that has not ended, of `on` matters to `node`.
  void depend(Node node, Node on, std::uint64_t item, Need need);
  // All of the node's dependencies have been told. Decides if there is nothing to wait for. The cause to name if they cannot be met.
  void settle(Node node, std::uint64_t cause_call = 0, std::uint64_t cause_item = 0);

  // A task of a node ended on an engine, -1 if it never ran.
  void ended(Node node, std::uint64_t item, int engine, bool well);
  // The call is over, and waits for nothing.
  void remove(Node node);

  // Whether there is any whose waiting is over, and the next of them.
  [[nodiscard]] bool decided() const { return !decisions_.empty(); }
  std::optional<Decision> next();
  [[nodiscard]] std::size_t waiting() const { return waiting_; }

 private:
  struct Edge {
    Node node;
    Need need;
    std::uint64_t call;  // of the node, which may have been removed since
  };
  using Edges = std::vector<Edge>;
  struct Vertex {
    std::uint64_t call = 0;
    std::unique_ptr<Needs> needs;
    Edges on_every;
    std::unique_ptr<std::unordered_map<std::uint64_t, Edges>> on_item;
  };

  void tell(const Edges& edges, std::uint64_t call, std::uint64_t item, int engine, bool well);
  void decide(Vertex& vertex, std::uint64_t cause_call, std::uint64_t cause_item);

  std::deque<Vertex> vertices_;
  std::vector<Node> free_;
  std::deque<Decision> decisions_;
  std::size_t waiting_ = 0;
};

}  // namespace rankview::scheduler
