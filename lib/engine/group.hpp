// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "transport/clock.hpp"
#include "transport/idle.hpp"
#include "transport/team.hpp"

#include <rankview/detail/collective.hpp>

#include <boost/container/small_vector.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>

namespace rankview::engine {

// What a task of a collective call sees of its team.
class Group final : public detail::Group {
 public:
  // `votes`: rounds of voting that the call has. `broken`: whether one of the team has died; asked again and again by who waits.
  Group(std::shared_ptr<transport::Team> team, transport::SpinTime& spin, const transport::Clock& clock, std::uint64_t votes,
        std::function<bool()> broken)
      : owner_(std::move(team)), team_(*owner_), spin_(spin), clock_(clock), votes_(votes), is_broken_(std::move(broken)) {}

  [[nodiscard]] std::size_t index() const override { return static_cast<std::size_t>(team_.member()) - 1; }
  [[nodiscard]] std::size_t size() const override { return team_.engines(); }

  void keep(std::shared_ptr<const void> memory) override { kept_.push_back(std::move(memory)); }
  [[nodiscard]] bool broken() const override { return broken_; }
  // The item is over: nothing is kept for it any more.
  void end_item() { kept_.clear(); }

  std::uint64_t agree(std::uint64_t count) override;
  // Before and after a task with a communicator: has one made if there is none; tells the others how the task ended, and gives the
  // communicator up if it failed on any of them, since messages of that task may still be under way on it. `late` is called once if others
  // keep this engine waiting.
  void prepare();
  void settle(bool failed, const std::function<void()>& late);

  // The task has failed: votes against, if others wait for this engine's vote.
  void refuse();

  void broadcast(void* to, std::uint64_t bytes) override;
  void scatter(void* to, const detail::Deal& deal) override;
  void gather(const void* from, std::uint64_t count, const detail::Deal& deal) override;
  void reduce(const void* from, std::uint64_t count, detail::Element element, detail::Operation operation) override;

  void barrier() override;
  void allreduce(const void* from, void* to, std::uint64_t count, detail::Element element, detail::Operation operation) override;
  void allgather_counts(std::uint64_t count, std::span<std::uint64_t> counts) override;
  void allgather(const void* from, void* to, std::span<const std::uint64_t> counts, std::uint64_t element_bytes) override;
  void share(void* data, std::uint64_t bytes, std::size_t source) override;
  void send(std::size_t to, std::span<const std::byte> bytes) override;
  detail::Buffer receive(std::size_t from) override;

  const boost::mpi::communicator& communicator() override { return team_.communicator(); }

 private:
  transport::Verdict vote(const transport::Vote& own);
  // `bytes`: how much the transfer moves of rank 0's.
  void wait(transport::Team::Begun transfer, std::uint64_t bytes = 0, const std::function<void()>& late = {});
  [[noreturn]] void give_up(transport::Team::Begun transfer, std::uint64_t bytes);

  std::shared_ptr<transport::Team> owner_;
  transport::Team& team_;
  transport::SpinTime& spin_;
  const transport::Clock& clock_;
  std::uint64_t votes_;
  std::function<bool()> is_broken_;
  bool broken_ = false;
  boost::container::small_vector<std::shared_ptr<const void>, 4> kept_;
  bool agreed_ = false;
};

}  // namespace rankview::engine
