// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/controller.hpp"
#include "controller/items.hpp"
#include "wire/error_text.hpp"
#include "wire/shipped_code.hpp"

#include <rankview/errors.hpp>

#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

// Tasks that tasks submit: calls of one item whose result goes back to an engine.
namespace rankview::inline abi_0_1::detail {
namespace {

class Subtask final : public Call {
 public:
  Subtask(int engine, std::uint64_t number) : submitter(engine), ticket(number) { subtask = true; }

  void grow(std::uint64_t) override {}
  void load(std::uint64_t, Reader& in) override {
    const auto bytes = in.take(in.remaining());
    value.assign(bytes.begin(), bytes.end());
  }
  void discard() noexcept override {}

  int submitter;
  std::uint64_t ticket;
  std::vector<std::byte> value;
};

// What is sent of an error that rank 0 has of a task.
wire::Failure describe(const std::exception_ptr& error) {
  using enum wire::FailureKind;
  try {
    std::rethrow_exception(error);
  } catch (const RemoteError& e) {
    return {exception, e.type_name(), e.message()};
  } catch (const TaskAborted& e) {
    return {exception, "rankview::TaskAborted", wire::error_text(e)};
  } catch (const TimeoutError& e) {
    return {exception, "rankview::TimeoutError", wire::error_text(e)};
  } catch (...) {
    return {exception, "", wire::error_text(std::current_exception())};
  }
}

}  // namespace

void Controller::on_subtask(int engine, const wire::Subtask& subtask) {
  const Call* const parent = find(subtask.parent_call);
  if (parent == nullptr || parent->aborted || closing_) {
    answer(engine, subtask.ticket, std::make_exception_ptr(TaskAborted("the task that submitted it is not wanted any more")));
    send_all();
    return;
  }
  const auto call = make_call<Subtask>(engine, subtask.ticket);
  call->controller = parent->controller;
  try {
    call->function.thunk = static_cast<const Thunk*>(local_address(subtask.thunk));
    if (subtask.function != CodeAddress()) call->function.code = local_address(subtask.function);
  } catch (const DecodeError&) {
    // That rank 0 does not have it is no fault of the message.
    answer(engine, subtask.ticket, std::current_exception());
    send_all();
    return;
  }
  call->code = &shipped_code({subtask.thunk, subtask.function, {}});
  call->function.object.edit().raw(subtask.object.data(), subtask.object.size());
  if (!parent->more->label.empty()) call->more.edit().label = parent->more->label;
  call->balanced = true;
  if (parent->balanced && parent->more->teams.empty()) call->engines = parent->engines;
  // Deeper ones first, so that what waits for them goes on before more is begun.
  call->terms.edit().priority = parent->terms->priority + 1;
  call->error_seen = true;
  call->submitted = now();
  ArgumentBlock block;
  block.count = 1;
  begin_only_item(block, static_cast<std::size_t>(subtask.stride));
  block.data.raw(subtask.item.data(), subtask.item.size());
  end_only_item(block);
  const std::uint64_t flow = parent->flow;
  add(call);
  call->flow = flow;
  add(*call, std::move(block));
  lay_out(*call);
  dispatch();
}

void Controller::answer(const Call& call) {
  const auto& subtask = static_cast<const Subtask&>(call);
  if (!open()) return;
  if (const std::exception_ptr error = call.failure ? call.failure : call.errors->empty() ? nullptr : call.errors->begin()->second) {
    answer(subtask.submitter, subtask.ticket, error);
  } else {
    wire::write(outgoing(subtask.submitter), wire::Answer{subtask.ticket, 0, subtask.value});
  }
}

void Controller::answer(int engine, std::uint64_t ticket, const std::exception_ptr& error) {
  Writer failure;
  wire::write(failure, describe(error));
  wire::write(outgoing(engine), wire::Answer{ticket, 1, failure.bytes.bytes()});
}

}  // namespace rankview::detail
