// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace rankview::submit {

// How a command has ended.
struct Outcome {
  int code = 0;  // 128 and the signal, where that has ended it; 127 if there is no such command
  std::string out;
  std::string err;
  bool too_late = false;  // it was ended, since it took too long

  [[nodiscard]] bool well() const { return code == 0 && !too_late; }
};

// Commands of this machine. Interface, so that tests do without a batch system.
class Commands {
 public:
  Commands() = default;
  Commands(const Commands&) = delete;
  Commands& operator=(const Commands&) = delete;
  virtual ~Commands() = default;

  // Whether there is one of that name.
  [[nodiscard]] virtual bool has(const std::string& name) const = 0;
  // Runs it with `input` as standard input. One that takes longer is ended.
  virtual Outcome run(const std::vector<std::string>& words, const std::string& input, std::chrono::milliseconds limit) = 0;
  virtual void pause(std::chrono::milliseconds time) = 0;
};

class PosixCommands final : public Commands {
 public:
  [[nodiscard]] bool has(const std::string& name) const override;
  Outcome run(const std::vector<std::string>& words, const std::string& input, std::chrono::milliseconds limit) override;
  void pause(std::chrono::milliseconds time) override;
};

}  // namespace rankview::submit
