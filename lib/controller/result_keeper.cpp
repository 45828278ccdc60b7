// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/result_keeper.hpp"

#include "checkpoint/checkpoint.hpp"
#include "controller/call_life.hpp"
#include "controller/task_errors.hpp"
#include "wire/error_text.hpp"

#include <rankview/detail/caught.hpp>
#include <rankview/errors.hpp>

#include <string>
#include <utility>
#include <vector>

namespace rankview::controller {

using detail::Call;
using detail::Checkpointed;
using detail::Recalled;

namespace {

const Checkpointed& checkpointed(const Call& call) { return *call.life().more->checkpointed; }

// Puts a value in its place. The error if that throws.
std::exception_ptr load(Call& call, std::uint64_t item, std::span<const std::byte> value) noexcept {
  try {
    detail::Reader in(value, detail::Flat());
    call.load(item, in);
    if (!in.done()) throw DecodeError("it is longer than such a value");
    return nullptr;
  } catch (...) {
    return std::make_exception_ptr(
        DecodeError("the result of task " + to_string(TaskId{call.id, item}) + " that is kept in " + checkpointed(call).in->directory() +
                    " cannot be read, so its type has changed (Flags::version): " + wire::error_text(detail::caught())));
  }
}

std::exception_ptr failed_before(std::span<const std::byte> why) {
  return std::make_exception_ptr(
      Error("the task failed in an earlier run: " + std::string(reinterpret_cast<const char*>(why.data()), why.size())));
}

// As errors of the items of `found`, null for those that have a value.
std::vector<std::exception_ptr> load_all(Call& call, std::uint64_t first, const Recalled& found) {
  std::vector<std::exception_ptr> errors;
  errors.reserve(found.parts.size());
  auto rest = found.bytes.bytes();
  for (const Recalled::Part& part : found.parts) {
    const auto value = rest.first(part.size);
    rest = rest.subspan(part.size);
    errors.push_back(part.failed ? failed_before(value) : load(call, first + errors.size(), value));
  }
  return errors;
}

}  // namespace

// Encodes a value by code of the user's.
class ResultKeeper::Saving final : public UserWork::Piece {
 public:
  Saving(ResultKeeper& keeper, Call& call, std::uint64_t item) : Piece(call.life().self), keeper_(keeper), item_(item) { out_.flat = true; }

  void run() noexcept override {
    try {
      call().save(item_, out_);
    } catch (...) {
      error_ = detail::with_text(detail::caught());
    }
  }
  void finish() override {
    if (error_.error == nullptr) {
      keeper_.add(call(), item_, out_.bytes.bytes());
    } else {
      keeper_.end(call(), item_, detail::keep(call(), std::move(error_)));
    }
  }

 private:
  ResultKeeper& keeper_;
  std::uint64_t item_;
  detail::Writer out_;
  detail::ToldError error_;
};

// Reads values by code of the user's.
class ResultKeeper::Recalling final : public UserWork::Piece {
 public:
  Recalling(ResultKeeper& keeper, Call& call, std::uint64_t first, Recalled&& found)
      : Piece(call.life().self),
        keeper_(keeper),
        first_(first),
        total_(call.life().items.size()),
        expected_(call.life().items.capacity()),
        found_(std::move(found)) {}

  void run() noexcept override {
    try {
      call().grow(total_, expected_);
      errors_ = load_all(call(), first_, found_);
    } catch (...) {
      no_room_ = detail::with_text(detail::caught());
    }
  }
  void finish() override {
    if (no_room_.error != nullptr) errors_.assign(found_.parts.size(), detail::keep(call(), std::move(no_room_)));
    for (std::size_t i = 0; i < errors_.size(); ++i) keeper_.end(call(), first_ + i, std::move(errors_[i]));
  }

 private:
  ResultKeeper& keeper_;
  std::uint64_t first_;
  std::uint64_t total_;
  std::uint64_t expected_;
  Recalled found_;
  std::vector<std::exception_ptr> errors_;
  detail::ToldError no_room_;
};

void ResultKeeper::keep(Call& call, std::uint64_t item) {
  if (!call.plain) {
    work_.add(std::make_unique<Saving>(*this, call, item));
    return;
  }
  detail::Writer out;
  out.flat = true;
  call.save(item, out);
  add(call, item, out.bytes.bytes());
}

void ResultKeeper::add(Call& call, std::uint64_t item, std::span<const std::byte> value) {
  if (recorder_ != nullptr && detail::can_be_kept(call)) recorder_->ending(call, item, &value);
  if (!call.life().checkpointed) {
    end(call, item, nullptr);
    return;
  }
  const Checkpointed& in = checkpointed(call);
  const std::uint64_t addition = in.in->add(in.callable, in.keys[item], value);
  if (in.strict) {
    waiting_.push_back({call.life().self, item, addition});
  } else {
    end(call, item, nullptr);
  }
}

void ResultKeeper::end(Call& call, std::uint64_t item, std::exception_ptr error) {
  const Status status = error ? Status::failed : Status::completed;
  ledger_.finished(call, item, status, std::move(error));
}

void ResultKeeper::recall(Call& call, std::uint64_t first, Recalled&& found) {
  if (!call.plain) {
    work_.add(std::make_unique<Recalling>(*this, call, first, std::move(found)));
    return;
  }
  std::vector<std::exception_ptr> errors = load_all(call, first, found);
  for (std::size_t i = 0; i < errors.size(); ++i) end(call, first + i, std::move(errors[i]));
}

bool ResultKeeper::progress() {
  bool any = false;
  while (!waiting_.empty()) {
    checkpoint::Checkpoint& in = *checkpointed(*waiting_.front().call).in;
    const std::uint64_t addition = waiting_.front().addition;
    const bool added = addition != checkpoint::Checkpoint::not_added;
    const bool on_disk = added && in.durable() >= addition;
    if (!on_disk && added && !in.troubled()) break;
    Waiting ready = std::move(waiting_.front());
    waiting_.pop_front();
    end(*ready.call, ready.item,
        on_disk ? nullptr
                : std::make_exception_ptr(
                      Error("task " + to_string(TaskId{ready.call->id, ready.item}) +
                            " has a result, which is not handed out since it cannot be kept (Flags::durable): " + in.trouble())));
    work_.leave(std::move(ready.call));
    any = true;
  }
  return any;
}

}  // namespace rankview::controller
