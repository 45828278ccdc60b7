// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "controller/recorder.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace rankview::controller {

// Several recorders, as one.
class Recorders final : public Recorder {
 public:
  void add(Recorder& recorder) { all_.push_back(&recorder); }
  // Null if there is none, itself if there are several.
  [[nodiscard]] Recorder* get() { return all_.empty() ? nullptr : all_.size() == 1 ? all_.front() : this; }

  void run_begins(const std::vector<EngineInfo>& engines) override {
    for (Recorder* each : all_) each->run_begins(engines);
  }
  void submitted(const detail::Call& call) override {
    for (Recorder* each : all_) each->submitted(call);
  }
  void granted(const detail::Call& call, std::uint64_t begin, std::uint64_t end, int engine) override {
    for (Recorder* each : all_) each->granted(call, begin, end, engine);
  }
  void retried(const detail::Call& call, std::uint64_t item) override {
    for (Recorder* each : all_) each->retried(call, item);
  }
  void ending(const detail::Call& call, std::uint64_t item, const std::span<const std::byte>* value) override {
    for (Recorder* each : all_) each->ending(call, item, value);
  }
  void printed(const detail::Call& call, std::uint64_t item, int engine, const capture::Texts& texts) override {
    for (Recorder* each : all_) each->printed(call, item, engine, texts);
  }
  void ended(const detail::Call& call, std::uint64_t begin, std::uint64_t end) override {
    for (Recorder* each : all_) each->ended(call, begin, end);
  }
  void engine_lost(const LostEngine& lost) override {
    for (Recorder* each : all_) each->engine_lost(lost);
  }
  void over(const detail::Call& call) override {
    for (Recorder* each : all_) each->over(call);
  }
  void run_ends(bool failed, const std::string& reason) override {
    for (Recorder* each : all_) each->run_ends(failed, reason);
  }

 private:
  std::vector<Recorder*> all_;
};

}  // namespace rankview::controller
