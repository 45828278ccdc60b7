// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "isolation/fd.hpp"

#include <csignal>

namespace rankview::farm {

// Who may want a farm to end. Interface, since tests have no signals.
class Interrupts {
 public:
  enum class Wish {
    none,
    finish,  // no further command is started: SIGHUP, as with GNU parallel
    drain,   // the same, and somebody starts the farm again: SIGUSR1, as of a batch system before the end of the job
    stop,    // commands are killed, and somebody starts the farm again: SIGALRM, since the job is about to end
    kill,    // commands are killed: SIGINT, SIGTERM
  };

  // The strongest so far.
  virtual Wish wish() = 0;
  // Becomes readable when there is one; or -1.
  [[nodiscard]] virtual int descriptor() const = 0;

 protected:
  ~Interrupts() = default;
};

// What the signals say. While it lives they do nothing else; it has to be made before other threads are.
class SignalInterrupts final : public Interrupts {
 public:
  // Throws std::system_error.
  SignalInterrupts();
  SignalInterrupts(const SignalInterrupts&) = delete;
  SignalInterrupts& operator=(const SignalInterrupts&) = delete;
  ~SignalInterrupts();

  Wish wish() override;
  [[nodiscard]] int descriptor() const override { return signals_.get(); }

 private:
  sigset_t before_{};
  isolation::Fd signals_;
  Wish wish_ = Wish::none;
};

}  // namespace rankview::farm
