// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/user_work.hpp"

#include "controller/call_life.hpp"

namespace rankview::controller {
namespace {

class DiscardPiece final : public UserWork::Piece {
 public:
  using Piece::Piece;
  void run() noexcept override { call().discard(); }
  void finish() override {}
};

}  // namespace

void UserWork::add(std::unique_ptr<Piece> piece) {
  const auto [behind, first] = behind_.try_emplace(&piece->call());
  (first ? ready_ : behind->second).push_back(std::move(piece));
}

std::unique_ptr<UserWork::Piece> UserWork::begin_next() {
  auto piece = std::move(ready_.front());
  ready_.pop_front();
  return piece;
}

// The next one of the same call may begin.
void UserWork::end(std::unique_ptr<Piece> piece) {
  piece->finish();
  const auto behind = behind_.find(&piece->call());
  if (behind->second.empty()) {
    behind_.erase(behind);
  } else {
    ready_.push_back(std::move(behind->second.front()));
    behind->second.pop_front();
  }
  leave(std::move(piece->call_));
  leave(std::shared_ptr<const Piece>(std::move(piece)));
}

thread_local UserWork::Left UserWork::spare_;

void UserWork::destroy_left_behind(std::unique_lock<SharedLock>& guard) {
  // A destructor may come here again.
  Left left = std::move(spare_);
  std::swap(left, left_);
  guard.unlock();
  left.things.clear();
  left.deferred.clear();
  spare_ = std::move(left);
}

void discard_results(UserWork& work, detail::Call& call) {
  if (call.plain && !work.busy(call)) {
    call.discard();
  } else {
    work.add(std::make_unique<DiscardPiece>(call.life().self));
  }
}

void Visit::run_next_piece() {
  auto piece = work_.begin_next();
  unlock();
  piece->run();
  lock();
  work_.end(std::move(piece));
}

}  // namespace rankview::controller
