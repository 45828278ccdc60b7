// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/controller.hpp"
#include "controller/items.hpp"

#include <rankview/errors.hpp>

#include <memory>
#include <string>
#include <utility>

// A run that ends before its work does: what has not begun is given back to the client, and is a later run's.
namespace rankview::inline abi_0_1::detail {

void Controller::drain(std::string why, bool sends) {
  {
    const auto visit = driver_.visit();
    if (!run_.begin_draining(std::move(why))) return;
    for (const auto& call : calls_.unfinished()) {
      if (gives_back(*call)) give_back(*call);
    }
    // What engines have and have not begun; they say what that is.
    for (const scheduler::Recall& recall : queue_.scheduler().recall_all()) ask_back(recall);
    sends ? advance() : carry_out();
  }
  driver_.wake_progress_thread();
}

// What still runs is told to stop. What ends by itself all the same has a result.
void Controller::hurry() {
  {
    const auto visit = driver_.visit();
    for (const auto& call : calls_.unfinished()) {
      if (in_pool(*call)) dispatcher_.stop(*call, 0, call->life().items.size());
    }
  }
  driver_.wake_progress_thread();
}

// Whether the call's tasks are not to be handed out, if they have not been: those of the client that any engine may run. Tasks that run may
// need their subtasks to end.
bool Controller::gives_back(const Call& call) const { return run_.draining() && in_pool(call) && !call.life().subtask; }

// Ends what waits of the call.
void Controller::give_back(Call& call) {
  const std::exception_ptr error = draining_error("the task was not run");
  withdraw(call, Status::aborted, [&](const TaskId&) -> const std::exception_ptr& {
    note_given_back(call);
    return error;
  });
}

// Of a call that is being made, items that were not enqueued.
void Controller::give_back(Call& call, std::uint64_t begin, std::uint64_t end) {
  const std::exception_ptr error = draining_error("the task was not run");
  for (std::uint64_t item = begin; item < end; ++item) {
    note_given_back(call);
    ledger_.ended(call, item, Status::aborted, error);
  }
}

// The same for an item that was handed out.
void Controller::give_back(Call& call, std::uint64_t item, const char* what) {
  note_given_back(call);
  ledger_.ended(call, item, Status::aborted, draining_error(what));
}

void Controller::note_given_back(Call& call) {
  ++call.life().more.edit().given_back;
  run_.note_given_back();
  // The run as a whole says so.
  call.life().error_seen = true;
}

std::exception_ptr Controller::draining_error(const char* what) const {
  return std::make_exception_ptr(Draining("the run drains (" + run_.why_draining() + "), and " + what));
}

std::uint64_t Controller::given_back() const {
  return locked([this] { return run_.given_back(); });
}

std::string Controller::why_draining() const {
  return locked([this] { return run_.why_draining(); });
}

void drain(Controller& controller) { controller.drain("Client::drain()", true); }

bool draining(const Controller& controller) { return controller.draining(); }

}  // namespace rankview::detail
