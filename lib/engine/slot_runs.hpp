// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "engine/inbox.hpp"
#include "isolation/slots.hpp"
#include "wire/messages.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace rankview::engine {

[[nodiscard]] inline bool isolated(const Inbox::Command& command) {
  const auto* const batch = std::get_if<wire::Batch>(&command.what);
  return batch != nullptr && batch->isolated;
}

// A batch whose items run one after the other in a slot, and the one of them that runs.
class SlotRun final : public isolation::SlotTask {
 public:
  using Published = std::function<void(const SlotRun& run, std::string_view name, const char* type, std::span<const std::byte> value)>;

  // `published` is called in any thread.
  SlotRun(Inbox::Command command, Published published)
      : batch(std::get<wire::Batch>(command.what)),
        message(std::move(command.message)),
        number(command.number),
        items(batch),
        item(batch.first),
        published_(std::move(published)) {}

  void published(std::string_view name, const char* type, std::span<const std::byte> value) override {
    published_(*this, name, type, value);
  }

  const wire::Batch batch;
  const std::shared_ptr<InMessage> message;
  const std::uint64_t number;  // of the command
  wire::ItemCursor items;      // those that have not begun
  std::uint64_t item;          // the one that runs, or would be next
  std::int64_t began = 0;      // nanoseconds of the clock
  // What the task refers to.
  std::shared_ptr<InMessage> of_object;
  std::vector<std::vector<std::byte>> attachments;

 private:
  Published published_;
};

// What an engine runs side by side.
class SlotRuns {
 public:
  [[nodiscard]] std::size_t size() const { return runs_.size(); }
  [[nodiscard]] const std::vector<std::shared_ptr<SlotRun>>& all() const { return runs_; }

  void add(std::shared_ptr<SlotRun> run) { runs_.push_back(std::move(run)); }
  void remove(const SlotRun& run) {
    std::erase_if(runs_, [&run](const auto& each) { return each.get() == &run; });
  }
  // Tells those that have begun. What has not is for the inbox to know.
  void stop(const wire::Stop& stop) {
    for (const auto& run : runs_) {
      if (run->batch.call == stop.call && run->item >= stop.first && run->item - stop.first < stop.count) run->stop();
    }
  }
  void stop_all() {
    for (const auto& run : runs_) run->stop();
  }

 private:
  std::vector<std::shared_ptr<SlotRun>> runs_;
};

}  // namespace rankview::engine
