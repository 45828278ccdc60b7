// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "capture/excerpt.hpp"

#include <cstddef>
#include <memory>
#include <string>

// What tasks write to stdout and stderr.
namespace rankview::capture {

// What becomes of it.
struct Terms {
  std::size_t most = 0;  // bytes of either stream that are kept of a task, about; 0: nothing is
  bool shows = false;    // its lines are shown while it runs

  [[nodiscard]] bool wanted() const { return most != 0 || shows; }
  // For one stream.
  [[nodiscard]] Excerpt excerpt() const { return most == 0 ? Excerpt() : Excerpt(most - most / 2, most / 2); }
};

// What one task has printed by now.
struct Printed {
  explicit Printed(const Terms& terms) : out(terms.excerpt()), err(terms.excerpt()) {}

  Excerpt out;
  Excerpt err;

  [[nodiscard]] bool empty() const { return out.empty() && err.empty(); }
  void clear() {
    out.clear();
    err.clear();
  }
};

// The same, when it has ended.
struct Texts {
  std::string out{};
  std::string err{};

  [[nodiscard]] bool empty() const { return out.empty() && err.empty(); }
};

// Takes what a process writes to stdout and stderr: what it writes while a task runs is that task's, and the rest goes where it went
// before. For the thread that runs tasks. Interface, since a simulation has several engines in a process, and leaves its own output alone.
class Outputs {
 public:
  Outputs() = default;
  Outputs(const Outputs&) = delete;
  Outputs& operator=(const Outputs&) = delete;
  virtual ~Outputs() = default;

  // From here on it is taken, until restore().
  virtual void divert() = 0;
  virtual void restore() = 0;

  // From here on tasks run, one after the other. Gives what is to be given to end(): what the task has printed that waits for these, null
  // if none does.
  virtual std::unique_ptr<Printed> begin() = 0;
  virtual void end(std::unique_ptr<Printed> waiting) = 0;

  // The task that runs has ended: whether there is anything for take(), after which the next task runs.
  virtual bool any() = 0;
  virtual Texts take() = 0;
};

// While it lives, what is printed is taken; null does nothing.
class Diverted {
 public:
  explicit Diverted(Outputs* outputs) : outputs_(outputs) {
    if (outputs_ != nullptr) outputs_->divert();
  }
  Diverted(const Diverted&) = delete;
  Diverted& operator=(const Diverted&) = delete;
  ~Diverted() {
    if (outputs_ != nullptr) outputs_->restore();
  }

 private:
  Outputs* outputs_;
};

}  // namespace rankview::capture
