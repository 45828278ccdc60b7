// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "children.hpp"

#include "printing.hpp"
#include "world.hpp"

#include <rankview/detail/callable.hpp>
#include <rankview/detail/code_address.hpp>
#include <rankview/errors.hpp>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <memory>

namespace sim {
namespace {

namespace rv = rankview;
using Kind = rv::isolation::Outcome::Kind;

// What a task has of the child that would run it.
class Running final : public rv::detail::Invocation {
 public:
  Running(const rv::isolation::Task& task, const void* code, const void* state, rv::detail::Reader& in, const rv::detail::Claims& claims,
          rv::detail::Writer& out, std::shared_ptr<void>& kept)
      : Invocation(in, out, code, state, nullptr, kept), task_(task), claims_(claims) {}

  void await_attachments() override {
    for (std::size_t i = 0; i < claims_.places().size(); ++i)
      std::memcpy(claims_.places()[i].data, task_.attachments[i].data(), claims_.places()[i].size);
  }

 private:
  const rv::isolation::Task& task_;
  const rv::detail::Claims& claims_;
};

rv::isolation::Outcome run_here(const rv::isolation::Task& task) {
  const auto* const thunk = static_cast<const rv::detail::Thunk*>(rv::detail::local_address(task.thunk));
  const void* const code = task.function == rv::wire::CodeAddress{} ? nullptr : rv::detail::local_address(task.function);
  std::shared_ptr<const void> object;
  if (task.has_object) {
    rv::detail::Reader in(task.object);
    object = thunk->load(in);
  }
  std::vector<std::uint64_t> sizes;
  for (const auto& attachment : task.attachments) sizes.push_back(attachment.size());
  rv::detail::Claims claims(sizes);
  rv::detail::Reader arguments(task.arguments, &claims);
  arguments.flat() = task.flat;
  rv::detail::Writer result;
  result.flat = task.flat;
  std::shared_ptr<void> folded;
  Running running(task, code, object.get(), arguments, claims, result, folded);
  Printing printing(task.engine);
  printing.divert();
  static_cast<void>(printing.begin());
  thunk->run(running);
  rv::isolation::Outcome outcome{Kind::value};
  outcome.printed = printing.take();
  outcome.bytes.assign(result.bytes.bytes().begin(), result.bytes.bytes().end());
  for (const rv::detail::Attachment& attachment : result.attachments)
    outcome.attachments.emplace_back(attachment.data, attachment.data + attachment.size);
  return outcome;
}

}  // namespace

namespace {

// How a task ends whose time is over.
rv::isolation::Outcome end_of(const rv::isolation::Task& task, rv::isolation::Watcher& watcher) {
  const std::uint64_t fate = world().draw(20);
  if (fate == 0) throw rv::Error("no process can be made");
  if (watcher.stop_requested()) return {Kind::aborted};
  if (fate == 1 && task.timeout != 0) return {Kind::timed_out};
  if (fate < 4) {
    rv::isolation::Outcome crash;
    crash.failure.kind = rv::wire::FailureKind::crashed;
    crash.failure.message = "the task was ended by a signal that the world has drawn";
    crash.failure.signal = SIGSEGV;
    return crash;
  }
  return run_here(task);
}

}  // namespace

rv::isolation::Outcome Children::run(const rv::isolation::Task& task, rv::isolation::Watcher& watcher) {
  world().sleep(std::chrono::nanoseconds(world().draw(500'000)));
  return end_of(task, watcher);
}

void ChildrenInSlots::start(std::shared_ptr<rv::isolation::SlotTask> task) {
  if (running_.size() == size_) world().give_up("an engine starts more than it has slots for");
  if (world().draw(20) == 0) throw rv::Error("no process can be made");
  const auto time = static_cast<std::int64_t>(world().draw(500'000));
  running_.push_back({std::move(task), world().now() + time});
}

bool ChildrenInSlots::Running::ended() const { return end <= world().now() || task->stop_requested(); }

bool ChildrenInSlots::any_ended() const {
  return std::any_of(running_.begin(), running_.end(), [](const Running& running) { return running.ended(); });
}

std::vector<std::shared_ptr<rv::isolation::SlotTask>> ChildrenInSlots::take_ended() {
  std::vector<std::shared_ptr<rv::isolation::SlotTask>> ended;
  std::erase_if(running_, [&ended](const Running& running) {
    if (!running.ended()) return false;
    ended.push_back(running.task);
    return true;
  });
  for (const auto& task : ended) {
    try {
      task->outcome = end_of(task->task, *task);
    } catch (...) {
      task->error = std::current_exception();
    }
  }
  return ended;
}

}  // namespace sim
