// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/checkpointed_items.hpp"
#include "controller/controller.hpp"
#include "controller/items.hpp"

#include <rankview/detail/call.hpp>

#include <cstring>
#include <functional>
#include <utility>

// How templates make a call: its arguments, encoded block by block, and what few calls have.
namespace rankview::inline abi_0_1::detail {
namespace {

// So many items may wait on rank 0 while a range is still being read.
constexpr std::uint64_t read_ahead = 64 * 1024;

}  // namespace

std::span<const std::byte> ArgumentBlock::items(std::uint64_t begin, std::uint64_t end) const {
  const auto offset = [this](std::uint64_t item) -> std::size_t {
    const std::uint64_t index = item - first;
    if (index == count) return data.bytes.size();
    return stride != 0 ? index * stride : offsets[index];
  };
  return data.bytes.bytes().subspan(offset(begin), offset(end) - offset(begin));
}

Submission::Submission(std::shared_ptr<Call> call, std::optional<std::uint64_t> expected) : call_(std::move(call)), expected_(expected) {
  if (!call_->life().checkpointed) return;
  checkpointed_ = std::make_unique<CheckpointedItems>(*call_);
  block_.data.canonical = true;
}

Submission::~Submission() {
  if (begun_ && !finished_) call_->controller->cancel(*call_);
}

void Submission::set_size() {
  const std::uint64_t size = block_.data.bytes.size() - item_.bytes - sizeof(size);
  std::memcpy(block_.data.bytes.data() + item_.bytes, &size, sizeof(size));
  block_.offsets.push_back(item_.bytes);
}

// Whether the result of the last item is there already, so that it need not be run.
bool Submission::recall_item() {
  constexpr std::size_t much = 1024 * 1024;
  constexpr std::size_t many = 16 * 1024;
  CheckpointedItems& items = *checkpointed_;
  if (!items.look_up(block_.data, item_, block_.stride == 0 ? sizeof(std::uint64_t) : 0)) {
    // Those before it go first; the block has this one only.
    if (!items.recalled.parts.empty()) hand_over_recalled();
    return false;
  }
  block_.data.rewind(item_);
  --block_.count;
  if (block_.stride == 0) block_.offsets.pop_back();
  if (block_.count != 0) hand_over();
  if (items.recalled.bytes.size() > much || items.recalled.parts.size() > many) hand_over_recalled();
  return true;
}

// The last item has attachments: it goes into a block of its own.
void Submission::isolate() {
  if (block_.count > 1) {
    ArgumentBlock alone;
    alone.stride = block_.stride;
    alone.count = 1;
    if (alone.stride == 0) {
      alone.offsets.push_back(0);
      block_.offsets.pop_back();
    }
    Writer& from = block_.data;
    alone.data.bytes.append(from.bytes.data() + item_.bytes, from.bytes.size() - item_.bytes);
    alone.data.attachments = std::move(from.attachments);
    alone.data.kept = std::move(from.kept);
    from.rewind({item_.bytes, 0, 0});
    --block_.count;
    hand_over();
    block_ = std::move(alone);
  }
  hand_over();
}

void Submission::begin() {
  if (!begun_) call_->controller->begin(call_, expected_);
  begun_ = true;
}

void Submission::hand_over() {
  begin();
  block_.data.bytes.shrink_to_fit();
  if (checkpointed_ == nullptr) {
    call_->controller->extend(*call_, std::exchange(block_, {}));
  } else {
    std::vector<checkpoint::Key>& keys = checkpointed_->keys;
    const std::size_t count = block_.count;
    call_->controller->extend(*call_, std::exchange(block_, {}), std::span(keys).first(count), checkpointed_->handed_over(count));
    keys.erase(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(count));
    block_.data.canonical = true;
  }
  handed_over_ = true;
}

void Submission::hand_over_recalled() {
  begin();
  const bool drives = checkpointed_->handed_over(checkpointed_->recalled.parts.size());
  call_->controller->recall(*call_, std::exchange(checkpointed_->recalled, {}), drives);
  handed_over_ = true;
}

void Submission::wait_for_engines() {
  Controller& controller = *call_->controller;
  controller.drive({}, [&] { return controller.waiting() <= read_ahead || !controller::enqueued_as_they_come(*call_); });
}

void Submission::finish(bool unattended) {
  if (!begun_ && checkpointed_ == nullptr) {
    call_->controller->submit(call_, std::move(block_), unattended);
    return;
  }
  begin();
  if (checkpointed_ != nullptr && !checkpointed_->recalled.parts.empty()) hand_over_recalled();
  if (block_.count != 0) hand_over();
  finished_ = true;
  call_->controller->seal(*call_, unattended);
}

void begin_only_item(ArgumentBlock& block, std::size_t stride) {
  block.stride = stride;
  if (stride == 0) block.data.value(std::uint64_t{0});
}

void end_only_item(ArgumentBlock& block) {
  if (block.stride != 0) return;
  const std::uint64_t size = block.data.bytes.size() - sizeof(size);
  std::memcpy(block.data.bytes.data(), &size, sizeof(size));
  block.offsets = {0};
}

void submit_empty(const std::shared_ptr<Call>& call, bool unattended) {
  ArgumentBlock block;
  block.count = 1;
  call->controller->submit(call, std::move(block), unattended);
}

void set_label(Call& call, const std::string& label) {
  if (!label.empty()) call.life().more.edit().label = label;
}

void set_teams(Call& call, const std::vector<std::vector<int>>& teams) { call.life().more.edit().teams = teams; }

void add_feed(Call& call, const std::shared_ptr<CompletionFeed>& feed, std::uint64_t first) {
  call.life().more.edit().feeds.push_back({feed, first});
}

void defer(Call& call, const Dependency& arguments, EncodeArguments encode, bool plain) {
  if (call.life().checkpointed)
    throw UsageError(
        "a checkpoint does not know tasks by arguments that are results of others: wait for these, and give the task their values");
  Deferred& deferred = call.life().more.edit().deferred;
  deferred.arguments = arguments;
  deferred.encode = std::move(encode);
  deferred.plain = plain;
}

}  // namespace rankview::detail
