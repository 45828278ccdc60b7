// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "world.hpp"

#include <rankview/rankview.hpp>

#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace sim {

inline void expect(bool right, const std::string& what) {
  if (!right) throw std::logic_error("not right: " + what);
}

// Some tasks take no time, some a little, and few long.
void take_time();

// What the verbs of one thread of a client have: results whose ends are looked at later, and how.
class Work {
 public:
  Work(rankview::Client& client, int most_slots, int thread) : client_(client), most_slots_(most_slots), thread_(thread) {}

  [[nodiscard]] rankview::Client& client() const { return client_; }
  [[nodiscard]] int most_slots() const { return most_slots_; }
  [[nodiscard]] rankview::LoadBalancedView pool() const {
    auto view = client_.load_balanced_view();
    if (world().chance(20)) return view.with({.priority = static_cast<int>(world().draw(3))});
    return view;
  }
  static int number() { return static_cast<int>(world().draw(1000)); }
  // Of a variable that nobody else has.
  std::string name() { return "v" + std::to_string(thread_) + "." + std::to_string(++names_); }

  template <class Result, class Check>
  void keep(Result result, Check check) {
    auto kept = std::make_shared<Result>(std::move(result));
    Later later;
    later.task = rankview::Dependency(*kept);
    later.aborted = std::make_shared<bool>(false);
    later.check = [this, kept, check, aborted = later.aborted] {
      try {
        check(*kept);
      } catch (const rankview::Draining& error) {
        expect(client_.draining(), error.what());
      } catch (const rankview::EngineError& error) {
        expect(world().deaths() != 0, error.what());
      } catch (const rankview::RemoteError& error) {
        // A task whose subtask was given up with it, or had nobody to run it.
        expect(*aborted || world().deaths() != 0, error.what());
      }
    };
    later.abort = [kept] { kept->abort(); };
    later_.push_back(std::move(later));
  }

  // A result that may have been given up.
  template <class T, class Right>
  static void check_value(const rankview::AsyncResult<T>& result, Right right) {
    try {
      expect(right(result.get()), "a value");
    } catch (const rankview::TaskAborted&) {
      return;
    } catch (const rankview::CompositeError& several) {
      for (const auto& failure : several.failures()) check_given_up(failure.error);
    } catch (const rankview::ImpossibleDependency&) {
      return;
    }
  }
  // What the only task of it has printed.
  template <class T>
  static void check_printed(const rankview::AsyncResult<T>& result, const std::string& text) {
    const rankview::Metadata task = result.metadata();
    if (task.status == rankview::Status::completed)
      expect(task.stdout_text == text,
             "task " + to_string(task.task) + " has printed \"" + task.stdout_text + "\" and not \"" + text + "\"");
  }
  static void check_void(const rankview::AsyncResult<void>& result) {
    try {
      result.get();
    } catch (const rankview::TaskAborted&) {
      return;
    } catch (const rankview::CompositeError& several) {
      for (const auto& failure : several.failures()) check_given_up(failure.error);
    } catch (const rankview::ImpossibleDependency&) {
      return;
    }
  }
  static void check_given_up(const std::exception_ptr& error) {
    try {
      std::rethrow_exception(error);
    } catch (const rankview::TaskAborted&) {
      return;
    } catch (const rankview::Draining&) {
      return;
    } catch (const rankview::EngineError&) {
      expect(world().deaths() != 0, "an engine is said to have died");
    }
  }

  // Those that have not been looked at.
  [[nodiscard]] bool any_later() const { return !later_.empty(); }
  [[nodiscard]] const rankview::Dependency& some_task() const { return later_[world().draw(later_.size())].task; }
  void abort_some() {
    if (later_.empty()) return;
    Later& some = later_[world().draw(later_.size())];
    *some.aborted = true;
    some.abort();
  }
  void look_at_some() {
    if (later_.empty()) return;
    const std::size_t place = world().draw(later_.size());
    const Later some = std::move(later_[place]);
    later_.erase(later_.begin() + static_cast<std::ptrdiff_t>(place));
    some.check();
  }

 private:
  struct Later {
    std::function<void()> check;
    rankview::Dependency task;
    std::function<void()> abort;
    std::shared_ptr<bool> aborted;
  };

  rankview::Client& client_;
  int most_slots_;
  int thread_;
  int names_ = 0;
  std::vector<Later> later_;
};

// What engines do together: one verb of it, drawn.
void do_together(Work& work);

}  // namespace sim
