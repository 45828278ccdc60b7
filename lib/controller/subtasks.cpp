// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/subtasks.hpp"

#include "controller/items.hpp"
#include "wire/error_text.hpp"
#include "wire/shipped_code.hpp"

#include <rankview/errors.hpp>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace rankview::controller {
namespace {

class Subtask final : public detail::Call {
 public:
  Subtask(const TaskId& by, int on, std::uint64_t number) : Call(true), parent(by), engine(on), ticket(number) { life().subtask = true; }

  void grow(std::uint64_t, std::uint64_t) override {}
  void load(std::uint64_t, detail::Reader& in) override {
    const auto bytes = in.take(in.remaining());
    value.assign(bytes.begin(), bytes.end());
  }
  void discard() noexcept override {}

  TaskId parent;
  int engine;
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

std::shared_ptr<detail::Call> make_subtask(const detail::Call& parent, int engine, const wire::Subtask& subtask) {
  const auto call = detail::make_call<Subtask>(TaskId{parent.id, subtask.parent_item}, engine, subtask.ticket);
  call->controller = parent.controller;
  call->function.thunk = static_cast<const detail::Thunk*>(detail::local_address(subtask.thunk));
  if (subtask.function != wire::CodeAddress()) call->function.code = detail::local_address(subtask.function);
  call->life().code = &detail::shipped_code({subtask.thunk, subtask.function, {}});
  call->function.object.edit().raw(subtask.object.data(), subtask.object.size());
  if (!parent.life().more->label.empty()) call->life().more.edit().label = parent.life().more->label;
  call->spread = detail::Spread::pool;
  if (in_pool(parent) && parent.life().more->teams.empty()) call->engines = parent.engines;
  // Deeper ones first, so that what waits for them goes on before more is begun.
  call->life().terms.edit().priority = parent.life().terms->priority + 1;
  call->life().error_seen = true;
  return call;
}

detail::ArgumentBlock arguments_of(const wire::Subtask& subtask) {
  detail::ArgumentBlock block;
  block.count = 1;
  detail::begin_only_item(block, static_cast<std::size_t>(subtask.stride));
  block.data.raw(subtask.item.data(), subtask.item.size());
  detail::end_only_item(block);
  return block;
}

TaskId submitter_of(const detail::Call& subtask) { return static_cast<const Subtask&>(subtask).parent; }

void answer_subtask(Engines& engines, const detail::Call& call) {
  const auto& subtask = static_cast<const Subtask&>(call);
  if (const std::exception_ptr error = call.life().failure           ? call.life().failure
                                       : call.life().errors->empty() ? nullptr
                                                                     : call.life().errors->begin()->second) {
    // How a task fails that has been given up surprises nobody.
    const bool given_up = call.life().aborted;
    refuse_subtask(engines, subtask.engine, subtask.ticket,
                   given_up ? std::make_exception_ptr(TaskAborted(wire::error_text(error))) : error);
  } else {
    wire::write(engines.to(subtask.engine), wire::SubtaskResult{subtask.ticket, 0, subtask.value});
  }
}

void refuse_subtask(Engines& engines, int engine, std::uint64_t ticket, const std::exception_ptr& error) {
  detail::Writer failure;
  wire::write(failure, describe(error));
  wire::write(engines.to(engine), wire::SubtaskResult{ticket, 1, failure.bytes.bytes()});
}

}  // namespace rankview::controller
